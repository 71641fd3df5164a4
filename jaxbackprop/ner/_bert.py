"""The BERT tagger that a configuration describes, what it minimizes, and sentences through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop import ops
from jaxbackprop.finetune import MINI, POOLER, frozen_parts, locate, part_of
from jaxbackprop.models import MASK, Bert, BertTagger, decode_logits, load_bert, word_logits
from jaxbackprop.pretrained import load_tokenizer
from jaxbackprop.train import Config

from ._pieces import NO_LABEL, PieceEncoder, Pieces


def folder_of(config: Config) -> Path:
    """Where the encoder's files are.

    Raises:
        CannotRun: the asset has not been fetched.
    """
    return locate(config.encoder, MINI)


def pretrained_tagger(
    config: Config, tags: tuple[str, ...], warn: Callable[[str], None]
) -> tuple[BertTagger, PieceEncoder]:
    """A tagger on the encoder that the settings name, and its reader of words.

    Raises:
        CannotRun: a setting does not fit the model, or the asset has not been fetched.
        DataError, MissingExtra: see `load_bert`.
    """
    folder = folder_of(config)
    # The pooled vector, of which `load_bert` may warn, says nothing of a word.
    bert = load_bert(folder, dtype=_dtype(config), warn=lambda text: None)
    frozen_parts(config.freeze, bert.config.num_hidden_layers)
    # There may be room for fewer than the default.
    max_length = min(config.max_length, bert.config.max_position_embeddings)
    if max_length < config.max_length:
        warn(f"--max-length is {config.max_length}, but the model reads {max_length} pieces at a time")
    encoder = PieceEncoder(tags, load_tokenizer(folder), bert.config, max_length)
    return _with_head(bert, config, len(tags)), encoder


def abstract_tagger(config: Config, encoder: PieceEncoder) -> BertTagger:
    """Its structure alone, to be filled with parameters."""

    def make() -> BertTagger:
        bert = Bert(encoder.bert, dtype=_dtype(config), rngs=nnx.Rngs(0))
        return _with_head(bert, config, len(encoder.tags))

    model: BertTagger = nnx.eval_shape(make)
    return model


def trainable_parts(config: Config, layers: int) -> nnx.filterlib.Filter:
    """Which of the parameters are trained: those of no frozen part; the pooler says nothing of words."""
    frozen = frozen_parts(config.freeze, layers) | {POOLER}
    return nnx.All(nnx.Param, lambda path, value: part_of(path) not in frozen)


def bert_tagger_loss(model: BertTagger, batch: Mapping[str, jax.Array], key: jax.Array | None) -> jax.Array:
    """Mean cross-entropy of the words' tags, in float32 whatever the model computes in.

    Args:
        model: the tagger.
        batch: the model's input and ``labels``, -1 where there is no word; where there is a ``mask``, it is
            False for rows that fill the batch up and do not count.
        key: of the dropouts; None drops nothing.
    """
    logits = model(
        batch["input_ids"], batch["first_pieces"], batch["token_type_ids"], batch["attention_mask"], key=key
    )
    labels = batch["labels"]
    if MASK in batch:
        labels = jnp.where(batch[MASK][:, None], labels, jnp.full((), NO_LABEL, labels.dtype))
    losses = ops.softmax_cross_entropy(logits.astype(jnp.float32), labels, ignore_label=NO_LABEL)
    # A batch may hold no word that counts.
    count = jnp.maximum(jnp.sum(labels != NO_LABEL, dtype=losses.dtype), jnp.ones((), losses.dtype))
    return jnp.sum(losses) / count


def tag_pieces(
    model: BertTagger, encoder: PieceEncoder, pieces: Pieces, lengths: list[int], *, decode: str
) -> list[tuple[str, ...]]:
    """The tags of every word, one tuple a sentence.

    Args:
        model: the tagger.
        encoder: that made the rows.
        pieces: the sentences.
        lengths: words in each of them.
        decode: how; see `jaxbackprop.models.tag_ids`.
    """
    by_row = word_logits(model, pieces.arrays)
    used = [by_row[row, : end - begin] for row, (_, begin, end) in enumerate(pieces.rows)]
    logits = np.concatenate(used) if used else np.zeros((0, len(encoder.tags)), np.float32)
    tags = np.array(encoder.tags, dtype=object)[decode_logits(logits, lengths, encoder.tags, decode=decode)]
    ends = np.cumsum(lengths, dtype=np.int64)
    return [tuple(tags[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def _with_head(bert: Bert, config: Config, tags: int) -> BertTagger:
    return BertTagger(bert, tags, dtype=_dtype(config), rngs=nnx.Rngs(config.seed))


def _dtype(config: Config) -> jnp.dtype | None:
    return jnp.dtype(jnp.bfloat16) if config.dtype == "bfloat16" else None

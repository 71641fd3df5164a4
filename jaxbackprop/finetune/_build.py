"""The classifier that settings describe, and sentences as it reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop._errors import CannotRun
from jaxbackprop.data import Labelled
from jaxbackprop.models import Bert, BertClassifier, BertConfig, load_bert
from jaxbackprop.pretrained import BertTokenizer
from jaxbackprop.train import Config

from ._config import Settings
from ._dataset import BertDataset
from ._texts import MINI, locate


def pretrained(settings: Settings, warn: Callable[[str], None]) -> Bert:
    """The encoder that is fine-tuned.

    Raises:
        DataError, MissingExtra: see `load_bert`.
        CannotRun: the asset has not been fetched, or sentences are to be longer than the model reads.
    """
    bert = load_bert(locate(settings.own.model, MINI), dtype=_dtype(settings.training), warn=warn)
    longest = bert.config.max_position_embeddings
    if settings.own.max_length > longest:
        raise CannotRun(f"--max-length is {settings.own.max_length}, but the model reads {longest} pieces")
    return bert


def with_head(bert: Bert, settings: Settings, labels: int) -> BertClassifier:
    """A classifier on the encoder; the same seed draws the same new layer."""
    dtype, rngs = _dtype(settings.training), nnx.Rngs(settings.training.seed)
    return BertClassifier(bert, labels, settings.own.dropout, dtype=dtype, rngs=rngs)


def abstract_classifier(config: BertConfig, settings: Settings, labels: int) -> BertClassifier:
    """Its structure alone, to be filled with parameters."""

    def make() -> BertClassifier:
        bert = Bert(config, dtype=_dtype(settings.training), rngs=nnx.Rngs(0))
        return with_head(bert, settings, labels)

    model: BertClassifier = nnx.eval_shape(make)
    return model


def encode(
    tokenizer: BertTokenizer, rows: Sequence[Labelled], labels: Sequence[str], max_length: int
) -> dict[str, np.ndarray]:
    """Rows by the names under which the model reads them; see `BertDataset`."""
    at = {name: place for place, name in enumerate(Labelled._fields)}
    pair = at["pair"] if rows and rows[0].pair is not None else None
    return BertDataset(
        rows, at["sentence"], at["label"], tokenizer, max_length, pair=pair, labels=labels
    ).arrays


def _dtype(config: Config) -> jnp.dtype | None:
    return jnp.dtype(jnp.bfloat16) if config.dtype == "bfloat16" else None

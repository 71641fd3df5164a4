"""A trained tagger, read back from its run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop.data import (
    DataError,
    Encoder,
    MissingExtra,
    Sentence,
    WordVectors,
    compare_tags,
    load_vectors,
    read_conll,
)
from jaxbackprop.models import BertTagger, WindowNER
from jaxbackprop.train import (
    Config,
    RunError,
    Scores,
    TagScores,
    load_newest,
    load_parameters,
    read_run,
    read_status,
    score,
    score_tags,
)

from ._bert import abstract_tagger, tag_pieces
from ._build import build_model, tag_sentences
from ._pieces import PieceEncoder


@dataclass(frozen=True)
class Tagger:
    """Words in, tags out: BIO, or with task tags those of the training text.

    Attributes:
        config: the settings it was trained with.
        encoder: words to what the model reads.
        model: the classifier of windows, or the BERT.
        vectors: where words that training did not see are looked up; None leaves them unknown.
    """

    config: Config
    encoder: Encoder | PieceEncoder
    model: WindowNER | BertTagger
    vectors: WordVectors | None

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """Tags every word.

        Args:
            sentences: the words of each.

        Returns:
            The tags of each, as many as words.
        """
        if isinstance(self.encoder, PieceEncoder):
            assert isinstance(self.model, BertTagger)
            pieces, lengths = self.encoder.encode_words(sentences), [len(words) for words in sentences]
            return tag_pieces(self.model, self.encoder, pieces, lengths, decode=self.config.decode)
        encoder, model = self._extended(self.encoder, sentences)
        return tag_sentences(model, encoder, encoder.encode_words(sentences), decode=self.config.decode)

    def read(
        self,
        path: str | os.PathLike[str],
        warn: Callable[[str], None],
        *,
        columns: str | None = None,
        scheme: str | None = None,
    ) -> list[Sentence]:
        """Reads a file of tagged sentences as those of training were read.

        Args:
            path: of the file.
            warn: told, in one line, of tags that training lacks.
            columns: instead of those of training; see `read_conll`.
            scheme: instead of that of training.

        Raises:
            DataError: the file cannot be read so, or has no tag of training.
        """
        config = self.config
        if scheme is not None and config.task == "tags":
            raise DataError("--scheme is of entities: this run's task is tags")
        sentences = read_conll(
            path, columns=columns or config.columns, scheme=scheme or config.scheme, task=config.task
        )
        compare_tags(self.encoder.tags, sentences, name=os.fspath(path), task=config.task, warn=warn)
        return sentences

    def evaluate(
        self, sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]] | None = None
    ) -> Scores | TagScores:
        """Compares predicted with true entities, or tags; what training did not know counts as missed.

        Args:
            sentences: with the true tags.
            predicted: what `tag` gives for them; None asks it.

        Returns:
            The scores.
        """
        if predicted is None:
            predicted = self.tag([sentence.words for sentence in sentences])
        scored = score if self.config.task == "spans" else score_tags
        return scored([sentence.tags for sentence in sentences], predicted)

    def _extended(self, known: Encoder, sentences: Iterable[Sequence[str]]) -> tuple[Encoder, WindowNER]:
        """Encoder and model with rows for words of the text that the vectors know and training did not."""
        assert isinstance(self.model, WindowNER)
        if self.vectors is None:
            return known, self.model
        encoder, rows = known.extend(sentences, self.vectors)
        if not len(rows):
            return encoder, self.model
        # The table grows to a power of two, so that text read in pieces compiles for few sizes.
        fill = (1 << (len(rows) - 1).bit_length()) - len(rows)
        rows = np.pad(rows, ((0, fill), (0, 0)))
        graphdef, state = nnx.split(self.model)
        parameters = nnx.to_pure_dict(state)
        table = parameters["words"]["embedding"]
        parameters["words"]["embedding"] = jnp.concatenate([table, jnp.asarray(rows, table.dtype)])
        nnx.replace_by_pure_dict(state, parameters)
        return encoder, nnx.merge(graphdef, state)


def load_tagger(run: str | os.PathLike[str], warn: Callable[[str], None]) -> Tagger:
    """Reads a run folder.

    Args:
        run: a folder that `jaxbackprop train` made.
        warn: told, in one line, when the word vectors that training used are missing or have changed: words
            that training did not see are then unknown.

    Returns:
        The tagger of the best epoch; of the best so far, where the run has not come to its end.

    Raises:
        RunError: the folder is no run, or is damaged.
    """
    folder = Path(run)
    # A run that has not come to its end has checkpoints, and not yet the one that they lead to.
    begun = read_status(folder) not in (None, "finished")
    record, vocabulary = read_run(folder, begun=begun)
    _check_record(folder, record)
    try:
        config = Config.from_dict(record["settings"])
        encoder, model = _described(folder, config, record, vocabulary)
    except (KeyError, TypeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"is not usable: {error}"
        raise RunError(f"the configuration of {folder} {what}") from None
    graphdef, state = nnx.split(model)
    expected = nnx.to_pure_dict(state)
    parameters = load_newest(folder, expected, warn) if begun else load_parameters(folder, expected)
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, parameters))
    return Tagger(config, encoder, nnx.merge(graphdef, state), _find_vectors(record, warn))


def _described(
    folder: Path, config: Config, record: dict[str, Any], vocabulary: dict[str, Any]
) -> tuple[Encoder | PieceEncoder, WindowNER | BertTagger]:
    """The encoder, and the model's structure."""
    if config.model == "bert":
        pieces = PieceEncoder.from_dict(vocabulary, str(folder / "vocabulary.json"))
        return pieces, abstract_tagger(config, pieces)
    encoder, word_dim = Encoder.from_dict(vocabulary), record["word_dim"]
    return encoder, nnx.eval_shape(lambda: build_model(config, encoder, word_dim))


def _check_record(folder: Path, record: dict[str, Any]) -> None:
    vectors = record.get("vectors")
    if (kind := record.get("kind", "train")) != "train":
        raise RunError(f"{folder} is a run of jaxbackprop {kind}, and no tagger")
    if record.get("format") != 1:
        raise RunError(f"the configuration of {folder} has format {record.get('format')!r}, expected 1")
    if not isinstance(record.get("settings"), dict):
        raise RunError(f"the configuration of {folder} holds no settings")
    if vectors is not None and not (
        isinstance(vectors, dict) and all(isinstance(vectors.get(key), str) for key in ("source", "sha256"))
    ):
        raise RunError(f"the configuration of {folder} names its word vectors in no known way")


def _find_vectors(record: dict[str, Any], warn: Callable[[str], None]) -> WordVectors | None:
    described = record.get("vectors")
    if described is None:
        return None
    consequence = "words that training did not see are unknown"
    source, sha256 = described.get("source"), described.get("sha256")
    try:
        vectors = load_vectors(source)
        if vectors.sha256 != sha256:
            warn(f"the word vectors {source} have changed since training: {consequence}")
            return None
    except (DataError, MissingExtra, OSError) as error:
        warn(f"the word vectors of training are not to be had ({error}): {consequence}")
        return None
    return vectors

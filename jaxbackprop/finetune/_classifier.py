"""A fine-tuned classifier, read back from its run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop.data import DataError, Labelled
from jaxbackprop.models import BertClassifier, BertConfig, class_logits
from jaxbackprop.pretrained import BertTokenizer, tokenizer_from_text
from jaxbackprop.train import (
    RunError,
    TagScores,
    kind_of_run,
    load_newest,
    load_parameters,
    read_run,
    read_status,
    score_tags,
)

from ._build import abstract_classifier, encode
from ._config import SHARED, Settings


class Prediction(NamedTuple):
    """What a classifier says of a sentence.

    Attributes:
        label: the most probable one.
        probabilities: of every label, in the order of `Classifier.labels`.
    """

    label: str
    probabilities: np.ndarray


@dataclass(frozen=True)
class Classifier:
    """Sentences in, labels out.

    Attributes:
        settings: it was trained with.
        labels: of its logits, in order.
        in_pairs: whether it reads two sentences at a time.
        tokenizer: text to pieces.
        model: the classifier.
    """

    settings: Settings
    labels: tuple[str, ...]
    in_pairs: bool
    tokenizer: BertTokenizer
    model: BertClassifier

    def predict(self, sentences: Sequence[str], pairs: Sequence[str] | None = None) -> list[Prediction]:
        """The label of each sentence.

        Args:
            sentences: the texts.
            pairs: the second sentences, where it was trained on pairs.

        Raises:
            DataError: pairs are missing, or there should be none.
            FloatingPointError: the model's logits are not finite.
        """
        if (pairs is not None) != self.in_pairs:
            wanted = "a pair of sentences" if self.in_pairs else "one sentence"
            raise DataError(f"the classifier reads {wanted} at a time")
        seconds: Sequence[str | None] = [None] * len(sentences) if pairs is None else pairs
        return self._predicted([Labelled(a, b, "") for a, b in zip(sentences, seconds, strict=True)])

    def evaluate(self, rows: Sequence[Labelled]) -> tuple[TagScores, list[Prediction]]:
        """Accuracy, and the scores of each label; with what was predicted.

        Raises:
            DataError: rows are in pairs where training's were not, or the other way round.
        """
        if rows and (rows[0].pair is not None) != self.in_pairs:
            raise DataError("pairs of sentences do not go with single ones: see --columns")
        predicted = self._predicted(rows)
        return score_tags([[row.label] for row in rows], [[one.label] for one in predicted]), predicted

    def encode(self, rows: Sequence[Labelled]) -> dict[str, np.ndarray]:
        """Labelled sentences as the model reads them; see `BertDataset`."""
        return encode(self.tokenizer, rows, self.labels, self.settings.own.max_length)

    def _predicted(self, rows: Sequence[Labelled]) -> list[Prediction]:
        logits = class_logits(self.model, self.encode(rows))
        if not np.isfinite(logits).all():
            raise FloatingPointError("the model's logits are not finite")
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        shares = exponentials / exponentials.sum(-1, keepdims=True)
        return [Prediction(self.labels[at], row) for at, row in zip(logits.argmax(-1), shares, strict=True)]


def load_classifier(run: str | os.PathLike[str], warn: Callable[[str], None]) -> Classifier:
    """Reads a run folder of `jaxbackprop finetune`; it holds all it needs.

    Args:
        run: the folder.
        warn: told, in one line, of a checkpoint that is damaged.

    Returns:
        The classifier of the best epoch; of the best so far, where the run has not come to its end.

    Raises:
        RunError: the folder is no such run, or is damaged.
        MissingExtra: tokenizers is not installed.
    """
    folder = Path(run)
    begun = read_status(folder) not in (None, "finished")
    record, vocabulary = read_run(folder, begun=begun)
    if kind_of_run(folder) != "finetune":
        raise RunError(f"{folder} is no run of jaxbackprop finetune")
    settings = settings_of(folder, record)
    try:
        labels = tuple(vocabulary["labels"])
        config = BertConfig.from_dict(vocabulary["bert"])
        in_pairs, text = vocabulary["in_pairs"], vocabulary["tokenizer"]
        model = abstract_classifier(config, settings, len(labels))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the vocabulary of {folder} is not usable: {error}") from None
    tokenizer = tokenizer_from_text(text, str(folder / "vocabulary.json"))
    graphdef, state = nnx.split(model)
    expected = nnx.to_pure_dict(state)
    parameters = load_newest(folder, expected, warn) if begun else load_parameters(folder, expected)
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, parameters))
    return Classifier(settings, labels, in_pairs, tokenizer, nnx.merge(graphdef, state))


def settings_of(folder: Path, record: dict[str, Any]) -> Settings:
    """The settings that a run's record holds.

    Raises:
        RunError: they are not usable.
    """
    try:
        shared = {name: record["settings"][name] for name in SHARED if name in record["settings"]}
        return Settings.of(record["finetune"], shared)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the configuration of {folder} is not usable: {error}") from None

"""What a classifier is trained and judged on: three parts of labelled sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxbackprop.data import DataError, Labelled, read_labelled
from jaxbackprop.pretrained import ASSETS, find_asset

from ._config import FinetuneConfig

MINI, MOVIES = "bert-mini", "vader-movies"
_HELD_OUT = 0.1
_MOST_LABELS = 1000


@dataclass(frozen=True)
class Texts:
    """Labelled sentences.

    Attributes:
        name: where they come from.
        train: what is learnt from.
        dev: what the epoch is chosen by.
        test: what is looked at in the end; it may be empty.
        labels: those of `train`, sorted.
    """

    name: str
    train: list[Labelled]
    dev: list[Labelled]
    test: list[Labelled]
    labels: tuple[str, ...]

    @property
    def in_pairs(self) -> bool:
        """Whether sentences come in pairs."""
        return self.train[0].pair is not None

    def describe(self) -> dict[str, Any]:
        """The parts as config.json holds them: sizes and checksums."""
        return {part: _described(getattr(self, part)) for part in ("train", "dev", "test")}


def locate(name: str, asset: str, file: str | None = None) -> Path:
    """The path that a setting names: an asset (or a file in it), or a path.

    Raises:
        CannotRun: the asset has not been fetched.
    """
    if name != asset or Path(name).exists():
        return Path(name)
    folder = find_asset(asset)
    return folder if file is None else folder / file


def read_texts(config: FinetuneConfig) -> Texts:
    """Reads the files of a run, and holds parts out where there are none.

    What is held out depends on the file alone, not on the seed or on how many examples are trained on.

    Raises:
        DataError: a file is not what it should be.
        CannotRun: the asset has not been fetched.
    """
    path = locate(config.data, MOVIES, "movies.tsv")
    rows = read_labelled(path, config.columns)
    dev = None if config.dev is None else read_labelled(config.dev, config.columns)
    test = None if config.test is None else read_labelled(config.test, config.columns)
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = [rows[at] for at in order]
    held = max(1, round(_HELD_OUT * len(rows)))
    if test is None and dev is None:
        test, shuffled = shuffled[:held], shuffled[held:]
    if dev is None:
        dev, shuffled = shuffled[:held], shuffled[held:]
    train = shuffled if config.examples is None else shuffled[: config.examples]
    labels = tuple(sorted({row.label for row in train}))
    if len(labels) < 2:
        raise DataError(f"{path}: expected training sentences of two labels at least, got {len(labels)}")
    if len(labels) > _MOST_LABELS:
        raise DataError(f"{path}: expected at most {_MOST_LABELS} labels, got {len(labels)}; see --columns")
    return Texts(config.data if config.data in ASSETS else path.name, train, dev, test or [], labels)


def _described(rows: Sequence[Labelled]) -> dict[str, int | str]:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.sentence}\t{'' if row.pair is None else row.pair}\t{row.label}\n".encode())
    return {"sentences": len(rows), "sha256_of_sentences_and_labels": digest.hexdigest()}

"""Labelled sentences as arrays: the lecture's BERTDataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxbackprop.pretrained import BertTokenizer

UNKNOWN_LABEL = -1
# Sequences are padded to a multiple of this, so that few programs are compiled.
_STEPS = 8


class BertDataset:
    """Rows with a sentence (or two) and a label, as a BERT reads them.

    ``dataset[i]`` is (pieces, segments, mask, label), and ``dataset.arrays`` all of them, for
    `jaxbackprop.train.fit`.

    Attributes:
        labels: the names of the labels; a label is the place of its name there.
        arrays: ``input_ids``, ``token_type_ids`` and ``attention_mask``, (N, T), and ``labels``, (N,), int32;
            a label that has no name there is -1.

    Source: lecture, unit 1 "A pitfall when retraining word vectors" (BERTDataset).
    """

    def __init__(
        self,
        rows: Sequence[Sequence[Any]],
        sentence: int,
        label: int,
        tokenizer: BertTokenizer,
        max_length: int,
        pad: bool = False,
        pair: int | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Encodes the rows.

        Args:
            rows: N of them, such as `jaxbackprop.data.read_labelled` gives.
            sentence: the place of the sentence in a row.
            label: the place of the label.
            tokenizer: text to pieces.
            max_length: pieces in a sequence at most; what is longer is cut.
            pad: whether every sequence is padded to max_length, or but to the longest one.
            pair: the place of the second sentence; None where there are none.
            labels: their names, in order; None takes those of the rows, sorted.

        Raises:
            DataError: a sentence is no text.
            ValueError: max_length leaves no room for a piece.
        """
        named = [str(row[label]) for row in rows]
        self.labels = tuple(sorted(set(named))) if labels is None else tuple(labels)
        seconds = None if pair is None else [row[pair] for row in rows]
        found = tokenizer.encode([row[sentence] for row in rows], seconds, max_length=max_length)
        steps = found.input_ids.shape[1]
        fill = (max_length if pad else min(max_length, -(-steps // _STEPS) * _STEPS)) - steps
        arrays = {name: np.pad(ids, ((0, 0), (0, fill))) for name, ids in found._asdict().items()}
        arrays["input_ids"][:, steps:] = tokenizer.pad_id
        numbers = {name: number for number, name in enumerate(self.labels)}
        labelled = np.array([numbers.get(name, UNKNOWN_LABEL) for name in named], np.int32)
        self.arrays: dict[str, np.ndarray] = arrays | {"labels": labelled}

    def __len__(self) -> int:
        """N."""
        return len(self.arrays["labels"])

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Pieces, segments, mask and label of a row."""
        return tuple(array[index] for array in self.arrays.values())

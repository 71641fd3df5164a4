"""Sentences as a BERT reads them for tagging: rows of pieces, cut between words where they are too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxbackprop.data import Sentence
from jaxbackprop.pretrained import BertConfig, BertTokenizer, tokenizer_from_text

NO_LABEL = -1
# Rows are padded to a multiple of this, so that few programs are compiled.
_STEPS = 8


class Pieces(NamedTuple):
    """Sentences in R rows.

    Attributes:
        arrays: ``input_ids``, ``token_type_ids``, ``attention_mask``, ``first_pieces`` and ``labels``, int32
            of shape (R, T); a word stands in the columns of the last two by its place in its row, and those
            without one hold -1.
        rows: the sentence of each row (from 0), its first word there, and the word behind its last.
    """

    arrays: dict[str, np.ndarray]
    rows: list[tuple[int, int, int]]


@dataclass(frozen=True)
class PieceEncoder:
    """All that is needed to turn words into pieces, and nothing that is learnt.

    Attributes:
        tags: the tag of each label.
        tokenizer: words to pieces.
        bert: the sizes of the model.
        max_length: pieces in a row at most, [CLS] and [SEP] included.
    """

    tags: tuple[str, ...]
    tokenizer: BertTokenizer
    bert: BertConfig
    max_length: int

    def encode(self, sentences: Sequence[Sentence]) -> Pieces:
        """Tagged sentences; a tag that training lacks has no label."""
        pieces = self.encode_words([sentence.words for sentence in sentences])
        numbers = {tag: number for number, tag in enumerate(self.tags)}
        labels = pieces.arrays["labels"]
        for row, (number, begin, end) in enumerate(pieces.rows):
            tags = sentences[number].tags[begin:end]
            labels[row, : end - begin] = [numbers.get(tag, NO_LABEL) for tag in tags]
        # A word without a piece of its own (white space of another script, say) has nothing to learn from.
        labels[pieces.arrays["first_pieces"] < 0] = NO_LABEL
        return pieces

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> Pieces:
        """Sentences without tags."""
        rows = self._cut(sentences)
        found = self.tokenizer.encode_words(
            [sentences[number][begin:end] for number, begin, end in rows], max_length=self.max_length
        )
        steps = max(found.input_ids.shape[1], found.first_pieces.shape[1])
        steps = max(_STEPS, -(-steps // _STEPS) * _STEPS)
        values = {"input_ids": self.tokenizer.pad_id, "first_pieces": NO_LABEL}
        arrays = {
            name: np.pad(ids, ((0, 0), (0, steps - ids.shape[1])), constant_values=values.get(name, 0))
            for name, ids in found._asdict().items()
        }
        return Pieces(arrays | {"labels": np.full((len(rows), steps), NO_LABEL, np.int32)}, rows)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, `from_dict`'s way back."""
        return {
            "tags": list(self.tags),
            "bert": self.bert.to_dict(),
            "tokenizer": self.tokenizer.to_text(),
            "max_length": self.max_length,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], name: str) -> PieceEncoder:
        """From what `to_dict` gave; errors call the tokenizer by the name."""
        bert = BertConfig.from_dict(values["bert"])
        tokenizer = tokenizer_from_text(values["tokenizer"], name)
        return cls(tuple(values["tags"]), tokenizer, bert, values["max_length"])

    def _cut(self, sentences: Sequence[Sequence[str]]) -> list[tuple[int, int, int]]:
        """Which words stand in which row: as many as go in, and one at least."""
        rows: list[tuple[int, int, int]] = []
        pending = [(number, 0) for number, words in enumerate(sentences) if words]
        while pending:
            heads = [sentences[number][begin : begin + self.max_length] for number, begin in pending]
            # A row that takes one piece too many is known by it.
            found = self.tokenizer.encode_words(heads, max_length=self.max_length + 1)
            lengths = found.attention_mask.sum(1)
            left = []
            for at, (number, begin) in enumerate(pending):
                end = begin + len(heads[at])
                if lengths[at] > self.max_length:
                    last = int(np.flatnonzero(found.first_pieces[at] >= 0)[-1])
                    end = begin + max(1, last)
                rows.append((number, begin, end))
                if end < len(sentences[number]):
                    left.append((number, end))
            pending = left
        return sorted(rows)

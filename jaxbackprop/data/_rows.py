"""Lines taken apart into cells: at tabs, at spaces, or at bars as in `word|POS|tag`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ._lines import SPACE

_SPACES = re.compile(f"[{SPACE}]+")


class Row(NamedTuple):
    """A word's line.

    Attributes:
        number: of the line, counted from 1.
        text: of the line, or of the word's piece of it; empty where a sentence ends.
        cells: its columns.
    """

    number: int
    text: str
    cells: list[str]

    @property
    def layout(self) -> tuple[bool, int]:
        """How the line is made: with a tab or without, and of how many columns."""
        return "\t" in self.text, len(self.cells)


@dataclass(frozen=True)
class Splitting:
    """How the lines of a file are taken apart.

    A line with a tab is split at tabs, any other at runs of spaces. A file all of whose lines are pieces with
    bars in them, `word|POS|tag`, is split at the bars; where a line has several pieces it is a sentence.

    Attributes:
        bars: of each piece; 0 where the file is not split at bars.
        sentence_a_line: whether each line is a sentence.
    """

    bars: int = 0
    sentence_a_line: bool = False

    @classmethod
    def of(cls, lines: Sequence[str]) -> "Splitting":
        """That of a file with these lines, or of one that begins with them.

        Lines that start with # count neither for bars nor for sentences.
        """
        pieces = [_pieces(line) for line in lines if line and not line.startswith("#")]
        if not (pieces and all("|" in piece for line in pieces for piece in line)):
            return cls()
        # A word may hold bars too: the columns behind it are as many as in the piece with the fewest.
        every = [line for line in map(_pieces, lines) if _is_barred(line)]
        bars = min(piece.count("|") for line in every for piece in line)
        return cls(bars, any(len(line) > 1 for line in pieces))

    def rows(self, lines: Iterable[str], first: int = 1) -> Iterator[Row]:
        """The rows of some lines, of which the first has this number in the file."""
        for number, line in enumerate(lines, start=first):
            if not self.bars:
                yield Row(number, line, _cells(line))
                continue
            pieces = _pieces(line)
            if not _is_barred(pieces):
                yield Row(number, line, pieces)
                continue
            for piece in pieces:
                yield Row(number, piece, piece.rsplit("|", self.bars))
            if self.sentence_a_line:
                yield Row(number, "", [""])


def _pieces(line: str) -> list[str]:
    return _SPACES.split(line.strip(" "))


def _is_barred(pieces: Sequence[str]) -> bool:
    return all("|" in piece for piece in pieces)


def _cells(line: str) -> list[str]:
    if "\t" in line:
        # A space alone is a word where every character is one.
        return [cell if cell == " " else cell.strip(" ") for cell in line.split("\t")]
    return _pieces(line)

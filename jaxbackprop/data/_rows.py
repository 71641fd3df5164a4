"""Lines taken apart into cells: at tabs, at spaces, or at bars as in `word|POS|tag`."""

import re
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


def split_rows(lines: list[str]) -> list[Row]:
    """The rows of a file.

    A line with a tab is split at tabs, any other at runs of spaces. A file all of whose lines are pieces with
    bars in them, `word|POS|tag`, is split at the bars; where a line has several pieces it is a sentence.
    Lines that start with # count in neither question.
    """
    pieces = [_SPACES.split(line.strip(" ")) for line in lines if line and not line.startswith("#")]
    if pieces and all("|" in piece for line in pieces for piece in line):
        return _barred(lines, sentence_a_line=any(len(line) > 1 for line in pieces))
    return [Row(number, line, _cells(line)) for number, line in enumerate(lines, start=1)]


def _cells(line: str) -> list[str]:
    if "\t" in line:
        # A space alone is a word where every character is one.
        return [cell if cell == " " else cell.strip(" ") for cell in line.split("\t")]
    return _SPACES.split(line.strip(" "))


def _barred(lines: list[str], sentence_a_line: bool) -> list[Row]:
    split = [(line, _SPACES.split(line.strip(" "))) for line in lines]
    barred = [all("|" in piece for piece in pieces) for _, pieces in split]
    # A word may hold bars too: the columns behind it are as many as in the piece with the fewest.
    bars = min(
        piece.count("|") for (_, pieces), is_barred in zip(split, barred, strict=True) if is_barred
        for piece in pieces
    )  # fmt: skip
    rows = []
    for number, ((line, pieces), is_barred) in enumerate(zip(split, barred, strict=True), start=1):
        if not is_barred:
            rows.append(Row(number, line, pieces))
            continue
        rows += [Row(number, piece, piece.rsplit("|", bars)) for piece in pieces]
        if sentence_a_line:
            rows.append(Row(number, "", [""]))
    return rows

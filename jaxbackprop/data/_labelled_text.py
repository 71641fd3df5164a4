"""Sentences, or pairs of them, with a label each: a table whose columns are apart by tabs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ._errors import DataError

# What the columns are called in files that many know: NSMC has document, GLUE sentence1 and sentence2.
_NAMES = {
    "sentence": ("sentence", "document", "text", "sentence1", "review"),
    "pair": ("pair", "sentence2"),
    "label": ("label", "class"),
}


class Labelled(NamedTuple):
    """A sentence and its label.

    Attributes:
        sentence: the text.
        pair: the second sentence; None where there are none.
        label: as it stands in the file.
    """

    sentence: str
    pair: str | None
    label: str


def read_labelled(path: str | os.PathLike[str], columns: str | None = None) -> list[Labelled]:
    """Reads a table of labelled sentences: UTF-8, columns apart by tabs, no quotes.

    Args:
        path: of the file.
        columns: which column is which, by number (from 1) or by name in the first line, such as
            ``sentence=2,label=3`` or ``sentence=premise,pair=hypothesis,label=gold``. None takes the names
            in the first line that many files have (sentence, document, text, sentence1; pair, sentence2;
            label); in a file without, the first column is the sentence and the last its label.

    Returns:
        The rows, in order.

    Raises:
        DataError: the file cannot be read, or a row lacks a column; the line is named.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8: {error.reason} at byte {error.start}") from None
    rows = [
        (number, line.removesuffix("\r").split("\t"))
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not rows:
        raise DataError(f"{file} holds no row")
    places, has_header = _places(file, rows[0][1], columns)
    found = []
    for number, row in rows[has_header:]:
        if len(row) <= max(places.values()):
            raise DataError(
                f"{file}:{number}: expected {max(places.values()) + 1} columns apart by tabs, got {len(row)}"
            )
        label = row[places["label"]].strip()
        if not label:
            raise DataError(f"{file}:{number}: expected a label, got none")
        pair = row[places["pair"]].strip() if "pair" in places else None
        found.append(Labelled(row[places["sentence"]].strip(), pair, label))
    if not found:
        raise DataError(f"{file} holds no row but its header")
    return found


def _places(file: Path, first: Sequence[str], columns: str | None) -> tuple[dict[str, int], bool]:
    """The index of each column, and whether the first line names them."""
    header = [cell.strip().casefold() for cell in first]
    if columns is not None:
        return _told(file, header, _parsed(columns))
    places: dict[str, int] = {}
    for what, names in _NAMES.items():
        for name in names:
            if name in header:
                places.setdefault(what, header.index(name))
    if {"sentence", "label"} <= places.keys():
        return places, True
    if len(first) < 2:
        raise DataError(f"{file}:1: expected a sentence and a label apart by a tab, got one column")
    return {"sentence": 0, "label": len(first) - 1}, False


def _parsed(columns: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in columns.split(","):
        what, equals, where = (piece.strip() for piece in part.partition("="))
        if what not in _NAMES or not equals or not where or what in found:
            raise DataError(f"columns must be such as sentence=2,label=3, not {columns!r:.80}")
        found[what] = where
    if not {"sentence", "label"} <= found.keys():
        raise DataError(f"columns must name sentence and label, not {columns!r:.80}")
    return found


def _told(file: Path, header: Sequence[str], told: Mapping[str, str]) -> tuple[dict[str, int], bool]:
    places, named = {}, False
    for what, where in told.items():
        if where.isascii() and where.isdigit():
            if not 1 <= int(where[:9]) <= len(header):
                raise DataError(f"{file}: columns: {what}={where}, but the file has {len(header)} columns")
            places[what] = int(where) - 1
        elif where.casefold() in header:
            places[what], named = header.index(where.casefold()), True
        else:
            raise DataError(f"{file}: columns: the first line names no {where!r}: {', '.join(header)!r:.200}")
    known = {name for names in _NAMES.values() for name in names}
    return places, named or header[places["label"]] in known

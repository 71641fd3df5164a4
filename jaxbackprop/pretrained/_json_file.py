"""JSON files of strangers: read whole or refused in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from jaxbackprop.data import DataError

_MOST_BYTES = 1 << 20


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file that is no longer than it should be.

    Raises:
        DataError: it cannot be read, or is longer than `most` bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if len(content) > most:
        raise DataError(f"{path}: expected at most {most:,} bytes, got more")
    return content


def read_object(path: Path) -> dict[str, Any]:
    """The object in a small JSON file.

    Raises:
        DataError: it cannot be read, is longer than a MiB, or holds something else.
    """
    return parse_object(read_bounded(path, _MOST_BYTES), str(path))


def parse_object(text: bytes, name: str) -> dict[str, Any]:
    """The object that JSON writes; nan, infinities and numbers beyond the range of a float are refused.

    Args:
        text: UTF-8.
        name: what errors call it.

    Raises:
        DataError: it is no such JSON.
    """
    try:
        found = json.loads(text.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise DataError(f"{name}: expected JSON, got one that is nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{name}: expected JSON, got: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise DataError(f"{name}: expected a JSON object, got {type(found).__name__}")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]}, which no float holds")
    return number

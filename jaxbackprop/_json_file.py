"""A file of figures that a command writes: whole or not at all, refused beforehand where it cannot be."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any


def refuse_unwritable(path: str) -> None:
    """Looks at where a file is to be written.

    Raises:
        OSError: where its folder does not exist, or the path is a folder.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"--json {path}: it is a folder")
    if not Path(path).absolute().parent.is_dir():
        raise NotADirectoryError(f"--json {path}: its folder does not exist")


def write_json(path: str, figures: Any) -> None:
    """Writes figures; what JSON cannot hold (nan, infinity) becomes its text.

    Raises:
        OSError: where it cannot be written; an older file of that name is then as it was.
    """
    target = Path(path).absolute()
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    text = json.dumps(_plain(figures), indent=1, allow_nan=False, ensure_ascii=False)
    try:
        try:
            beside.write_text(text + "\n", encoding="utf-8")
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise type(error)(f"--json {path}: {error.strerror or error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value

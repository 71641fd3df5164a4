"""What commands write: files, whole or not at all and refused beforehand; tables that no terminal cuts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def refuse_unwritable(path: str, flag: str = "--json") -> None:
    """Looks at where a file is to be written.

    Args:
        path: of the file.
        flag: the flag that named it, for the error.

    Raises:
        OSError: where its folder does not exist, or the path is a folder.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{flag} {path}: it is a folder")
    if not Path(path).absolute().parent.is_dir():
        raise NotADirectoryError(f"{flag} {path}: its folder does not exist")


def refuse_files(files: Iterable[tuple[str, str | None]]) -> None:
    """Looks at where the files of one command are to be written.

    Args:
        files: the flag that named each, and its path; None where it was not asked for.

    Raises:
        OSError: as `refuse_unwritable`, or where two flags name the same file.
    """
    taken: dict[str, str] = {}
    for flag, path in files:
        if path is None:
            continue
        refuse_unwritable(path, flag)
        other = taken.setdefault(os.path.realpath(path), flag)
        if other != flag:
            raise OSError(f"{other} and {flag} name the same file, {path}")


def write_json(path: str, figures: Any) -> None:
    """Writes figures; what JSON cannot hold (nan, infinity) becomes its text.

    Raises:
        OSError: where it cannot be written; an older file of that name is then as it was.
    """
    write_text(path, json.dumps(_plain(figures), indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_text(path: str, text: str, flag: str = "--json") -> None:
    """Writes a text.

    Args:
        path: of the file.
        text: all that will be in it.
        flag: the flag that named it, for the error.

    Raises:
        OSError: where it cannot be written; an older file of that name is then as it was.
    """
    write_whole(path, lambda beside: beside.write_text(text, encoding="utf-8"), flag)


def write_whole(path: str, write: Callable[[Path], object], flag: str) -> None:
    """Writes a file under another name, and moves it to its own when it is whole.

    Args:
        path: of the file.
        write: writes it to the path that it is given, which has the same suffix.
        flag: the flag that named it, for the error.

    Raises:
        OSError: where it cannot be written; an older file of that name is then as it was.
    """
    try:
        replace_whole(Path(path), write)
    except OSError as error:
        raise type(error)(f"{flag} {path}: {error.strerror or error}") from None


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """As `write_whole`, with the error as it comes.

    Raises:
        OSError: where it cannot be written; an older file of that name is then as it was.
    """
    target = path.absolute()
    beside = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        write(beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def print_whole(console: Console, table: Table, *, highlight: bool | None = None) -> None:
    """Prints a table, and widens the console for it where that is narrower.

    On a narrow terminal whole lines wrap; cut columns would lose figures.

    Args:
        console: where to.
        table: which.
        highlight: whether numbers stand out; None leaves it to the console.
    """
    from rich.measure import Measurement

    unbounded = console.options.update(width=10_000)
    console.width = max(console.width, Measurement.get(console, unbounded, table).maximum)
    console.print(table, highlight=highlight)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value

"""The page as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..._graph import Graph
from ._page import page


def to_html(
    graph: Graph,
    path: str | os.PathLike[str] | None = None,
    run: Any = None,
    *,
    check: bool = True,
    health: Any = None,
) -> str | None:
    """A graph as one HTML page; see `page`.

    Args:
        graph: what to show.
        path: the file to write; None returns the page.
        run: a `Backward`, or a `Run`; what is missing is computed.
        check: whether to ask the harness about hand-written VJPs.
        health: the doctor's `Report`, whose findings mark their nodes.

    Returns:
        The document where path is None.

    Raises:
        TypeError: where path is no file's name, run is no run, or health no report.
        ValueError: where run or health is of another graph.
        OSError: where the file cannot be written; an older file of that name is then as it was.
    """
    if path is None:
        return page(graph, run, check=check, health=health)
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a file's name, got {type(path).__name__} (a pass is given as run=...)")
    target = Path(path).absolute()
    if target.is_dir():
        raise IsADirectoryError(f"path {path} is a folder")
    if not target.parent.is_dir():
        raise NotADirectoryError(f"path {path}: its folder does not exist")
    _write(target, page(graph, run, check=check, health=health))
    return None


def _write(target: Path, text: str) -> None:
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)

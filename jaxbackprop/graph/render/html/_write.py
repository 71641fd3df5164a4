"""The page as a file."""

from __future__ import annotations

import os

from jaxbackprop._output import refuse_unwritable, write_text

from ..._graph import ComputationGraph
from ...passes import Backward, Run
from ._health import HealthReport
from ._page import page


def to_html(
    graph: ComputationGraph,
    path: str | os.PathLike[str] | None = None,
    run: Run | Backward | None = None,
    *,
    check: bool = True,
    health: HealthReport | None = None,
) -> str | None:
    """A graph as one HTML page; see `page`.

    Args:
        graph: what to show.
        path: the file to write; None returns the page.
        run: a `Backward`, or a `Run`; missing passes are run.
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
    name = os.fspath(path)
    refuse_unwritable(name, "path")
    write_text(name, page(graph, run, check=check, health=health), "path")
    return None

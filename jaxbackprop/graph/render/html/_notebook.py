"""The page in a notebook."""

from __future__ import annotations

from ..._graph import ComputationGraph
from ._labels import html_text
from ._page import page

_NODES_AT_MOST, _LENGTH_AT_MOST = 300, 1_000_000
_HEIGHT = 760


def in_notebook(graph: ComputationGraph) -> str | None:
    """The page in a frame that may run scripts and has no other permission.

    Returns:
        HTML; None where the notebook shows the picture instead: the graph is large, running it would call
        the author's code back, or the page cannot be made.
    """
    if len(graph.nodes) > _NODES_AT_MOST or any("callback" in (n.primitive or "") for n in graph.nodes):
        return None
    try:
        text = page(graph, check=False)
    # Displaying a graph must never raise: an error would hide the cell's result.
    except Exception:
        return None
    if len(text) > _LENGTH_AT_MOST:
        return None
    held = text.replace("&", "&amp;").replace('"', "&quot;")
    return (
        f'<iframe title="Computation graph of {html_text(graph.name)}" sandbox="allow-scripts" '
        f'width="100%" height="{_HEIGHT}" style="border:0" srcdoc="{held}"></iframe>'
    )

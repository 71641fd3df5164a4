"""The page in a notebook."""

from __future__ import annotations

from ..._graph import Graph
from ._page import page
from ._wording import html_text

_NODES_AT_MOST, _LENGTH_AT_MOST = 300, 1_000_000
_HEIGHT = 760


def in_notebook(graph: Graph) -> str | None:
    """The page in a frame that may run its script, and nothing else.

    Returns:
        HTML; None where a picture does better: the graph is large, to walk it would call back to the author's
        code, or a page cannot be made.
    """
    if len(graph.nodes) > _NODES_AT_MOST or any("callback" in (n.primitive or "") for n in graph.nodes):
        return None
    try:
        text = page(graph, check=False)
    # What is shown must not stand in the way of what is worked on.
    except Exception:
        return None
    if len(text) > _LENGTH_AT_MOST:
        return None
    held = text.replace("&", "&amp;").replace('"', "&quot;")
    return (
        f'<iframe title="Computation graph of {html_text(graph.name)}" sandbox="allow-scripts" '
        f'width="100%" height="{_HEIGHT}" style="border:0" srcdoc="{held}"></iframe>'
    )

"""The content of a page's picture as a table."""

from __future__ import annotations

from collections.abc import Iterator

from ..._graph import Graph, Node, Port
from .._names import shortened, symbol
from .._numbers import shape_text
from ._figures import Figures
from ._wording import Wording, code, html_text, where

_COLUMNS = ("node", "operation", "from", "line", "shape", "value", "gradient", "rule")
_FORMULA_LENGTH, _FROM_AT_MOST = 200, 8
_OPEN_UP_TO = 300


def table(graph: Graph, figures: Figures, wording: Wording) -> str:
    """One row a node; what has no value or no gradient is left blank. Folded away where it is long."""
    rows = "".join(_row(node, figures, wording) for node in graph.nodes)
    heads = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    return (
        f"<details{' open' if len(graph.nodes) <= _OPEN_UP_TO else ''}>"
        f"<summary>{len(graph.nodes):,} nodes, with all values and gradients</summary>"
        f'<div class="wide" role="region" aria-label="Table of the nodes" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _row(node: Node, figures: Figures, wording: Wording) -> str:
    count = 1 if node.kind == "copy" else len(node.outputs)
    ports = [Port(node.index, k) for k in range(len(node.outputs))]
    shapes = [shape_text(tuple(made.shape), made.dtype) for made in node.outputs[:count]]
    values = [figures.texts["value"].get(port, "") for port in ports[:count]]
    gradients = [figures.texts["gradient"].get(port, "") for port in ports if port in figures.gradients]
    total = "" if node.kind != "copy" else figures.texts["gradient"].get(node.inputs[0], "")
    summed = " + ".join(gradients) + (f" = {total}" if len(gradients) > 1 else "")
    names = list(dict.fromkeys(wording.origin(port) for port in node.inputs))
    sources = [*names[:_FROM_AT_MOST], "…"] if len(names) > _FROM_AT_MOST else names
    kind = node.kind if node.kind in ("input", "constant", "copy") else symbol(node)
    gate = f" ({node.gate})" if node.gate and any(node.active) else ""
    cells: Iterator[tuple[str, str]] = iter(
        (
            ("", html_text(shortened(kind + gate, 60))),
            ("", ", ".join(map(code, sources))),
            ("where", html_text(where(node.source))),
            ("shape", html_text(", ".join(shapes))),
            ("value", html_text(", ".join(values))),
            ("gradient", html_text(summed if node.kind == "copy" else ", ".join(gradients))),
            ("formula", html_text(shortened(node.formula or "", _FORMULA_LENGTH))),
        )
    )
    return (
        f'<tr><th scope="row">{code(node.name)}</th>'
        + "".join(f'<td class="{kind}">{text}</td>' if kind else f"<td>{text}</td>" for kind, text in cells)
        + "</tr>"
    )

"""The nodes as a table, with all that the picture shows."""

from __future__ import annotations

from ..._graph import ComputationGraph, Node, Port
from .._node_text import symbol
from .._text import shortened
from .._value_text import shape_text
from ._labels import Labels, code, html_text, where
from ._value_table import ValueTable

_COLUMNS = ("node", "operation", "from", "line", "shape", "value", "gradient", "rule")
_FORMULA_LENGTH, _FROM_AT_MOST = 200, 8
_OPEN_UP_TO = 300


def table(graph: ComputationGraph, values: ValueTable, labels: Labels) -> str:
    """One row a node; an unknown value or gradient is blank. A long table is closed at first."""
    rows = "".join(_row(node, values, labels) for node in graph.nodes)
    heads = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    return (
        f"<details{' open' if len(graph.nodes) <= _OPEN_UP_TO else ''}>"
        f"<summary>{len(graph.nodes):,} nodes, with all values and gradients</summary>"
        f'<div class="wide" role="region" aria-label="Table of the nodes" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _row(node: Node, values: ValueTable, labels: Labels) -> str:
    count = 1 if node.kind == "copy" else len(node.outputs)
    ports = [Port(node.index, k) for k in range(len(node.outputs))]
    shapes = [shape_text(tuple(made.shape), made.dtype) for made in node.outputs[:count]]
    numbers = [values.texts["value"].get(port, "") for port in ports[:count]]
    gradients = [values.texts["gradient"].get(port, "") for port in ports if port in values.gradients]
    total = "" if node.kind != "copy" else values.texts["gradient"].get(node.inputs[0], "")
    summed = " + ".join(gradients) + (f" = {total}" if len(gradients) > 1 else "")
    names = list(dict.fromkeys(labels.origin(port) for port in node.inputs))
    sources = [*names[:_FROM_AT_MOST], "…"] if len(names) > _FROM_AT_MOST else names
    kind = node.kind if node.kind in ("input", "constant", "copy") else symbol(node)
    gate = f" ({node.gate})" if node.gate and any(node.active) else ""
    cells = (
        ("", html_text(shortened(kind + gate, 60))),
        ("", ", ".join(map(code, sources))),
        ("where", html_text(where(node.source))),
        ("shape", html_text(", ".join(shapes))),
        ("value", html_text(", ".join(numbers))),
        ("gradient", html_text(summed if node.kind == "copy" else ", ".join(gradients))),
        ("formula", html_text(shortened(node.formula or "", _FORMULA_LENGTH))),
    )
    return (
        f'<tr><th scope="row">{code(node.name)}</th>'
        + "".join(f'<td class="{kind}">{text}</td>' if kind else f"<td>{text}</td>" for kind, text in cells)
        + "</tr>"
    )

"""What nodes and results are called in pictures and files, and what there is to say about them."""

from __future__ import annotations

from typing import Any

import jax

from .._graph import Graph, Node
from ._numbers import numbers_text, shape_text

_LISTED = 10

_SYMBOLS = {
    "add": "+",
    "add_any": "+",
    "sub": "−",
    "mul": "×",
    "div": "÷",
    "neg": "−x",
    "square": "x²",
    "abs": "|x|",
    "sqrt": "√",
    "rsqrt": "1/√",
    "pow": "aᵇ",
    "logistic": "σ",
    "sigmoid": "σ",
    "dot_general": "dot",
    "reduce_sum": "Σ",
    "reduce_prod": "Π",
    "reduce_max": "max of",
    "reduce_min": "min of",
    "select_n": "select",
    "broadcast_in_dim": "broadcast",
    "convert_element_type": "cast",
    "conv_general_dilated": "conv",
}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def symbol(node: Node) -> str:
    """What stands in a node: "+", "σ", "scan × 12"; an argument's path; a constant's value."""
    if node.kind == "constant":
        return numbers_text(node.value) or node.label
    if node.kind != "operation":
        return node.label
    if node.label == "integer_pow":
        power = getattr(node.operation, "params", {}).get("y", "n")
        return "x" + str(power).translate(_RAISED)
    return _SYMBOLS.get(node.label, node.label)


def details(node: Node) -> tuple[str, ...]:
    """All that there is to say about a node, line by line."""
    said = [node.name if node.primitive in (None, node.name) else f"{node.name}: {node.primitive}"]
    shapes = [shape_text(tuple(made.shape), made.dtype) for made in node.outputs]
    said.append(", ".join(listed(shapes)))
    if node.gate:
        said.append(f"gate: {node.gate}")
    if node.formula:
        said.append(node.formula)
    if node.source is not None:
        said.append(str(node.source))
    if node.scope:
        said.append("in " + "/".join(node.scope))
    return tuple(said)


def output_names(graph: Graph) -> list[str]:
    """A name for each result: "output", or with its path, "output['loss']"."""
    count = len(graph.outputs)
    try:
        found = jax.tree.unflatten(graph.structure, range(count))
        leaves: list[tuple[Any, Any]] = jax.tree_util.tree_flatten_with_path(found)[0]
    # There may be no structure, and classes of the user's own may refuse to hold numbers for arrays.
    except Exception:
        leaves = []
    if len(leaves) == count:
        return ["output" + jax.tree_util.keystr(path) for path, _ in leaves]
    return ["output"] if count == 1 else [f"output[{i}]" for i in range(count)]


def error_text(error: BaseException) -> str:
    """What was raised, on one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def listed(texts: list[str]) -> list[str]:
    """The first ten, and a sign that there are more."""
    return [*texts[:_LISTED], "…"] if len(texts) > _LISTED else texts


def shortened(text: str, length: int) -> str:
    """A text on one line, its middle left out where it is too long."""
    text = " ".join(text.split())
    kept = length - 1
    return text if len(text) <= length else f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"

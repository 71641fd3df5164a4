"""The symbol, description and output names of nodes, in pictures and files."""

from __future__ import annotations

from typing import Any

import jax

from .._graph import ComputationGraph, Node
from ._text import listed
from ._value_text import numbers_text, shape_text

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
    """A node's name, primitive, shapes, gate, formula, source and scope, line by line."""
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


def output_names(graph: ComputationGraph) -> list[str]:
    """A name for each result: "output", or with its path, "output['loss']"."""
    count = len(graph.outputs)
    paths = _output_paths(graph.structure, count)
    if len(paths) == count:
        return ["output" + jax.tree_util.keystr(path) for path in paths]
    return ["output"] if count == 1 else [f"output[{i}]" for i in range(count)]


def _output_paths(structure: jax.tree_util.PyTreeDef | None, count: int) -> list[Any]:
    """The path of each result in the pytree; none where there is no pytree, or it cannot be rebuilt."""
    if structure is None:
        return []
    try:
        found = jax.tree.unflatten(structure, range(count))
    # Rebuilding calls the user's own classes, which may refuse integers in the place of arrays in any way.
    except Exception:
        return []
    return [path for path, _ in jax.tree_util.tree_flatten_with_path(found)[0]]

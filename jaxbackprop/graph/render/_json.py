"""A graph and its numbers as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from .._graph import ComputationGraph, Edge, Node
from ..passes import Backward, Run
from ._edge_values import Passes
from ._node_text import output_names
from ._text import error_text
from ._value_text import concrete

_ENTRIES_AT_MOST = 1000


def to_json(graph: ComputationGraph, run: Run | Backward | None = None) -> str:
    """A graph and its numbers as strict JSON.

    The document is an object with

    - "name": the function's.
    - "nodes": in topological order, each with "index", "name", "kind" ("input", "constant", "operation",
      "copy"), "label", "primitive", "inputs" (a pair of node and output for each operand), "outputs" (each
      with "shape" and "dtype"), "active" (for each output, whether a gradient flows through it), "gate",
      "formula", "source" ({"file", "line", "function"}), "scope" (outermost first), "bodies" (graphs of the
      programs inside it, like this document but without numbers), and for a constant "value". What a node
      lacks is null.
    - "edges": each with "source", "output", "target", "position", "shape", "dtype", "active", and with what
      is known of "value" and "gradient" (null where none flowed back).
    - "outputs": the results, each with "name", "node", "output", "shape", "dtype", and with what is known
      of "value" and "gradient".
    - "error": what the function raised while it was traced, where the graph ends; null if it did not.

    A value of up to 1,000 entries is its number, or nested lists of numbers; a larger one is an object with
    "shape", "dtype", "min", "max" and "mean". What is not finite is the text "nan", "inf" or "-inf"; a
    complex number is a text such as "1+2j", and has no "min" and "max"; a value without numbers, such as a
    random key, is null.

    Args:
        graph: what to write.
        run: None for the structure alone, a `Run` for values, a `Backward` for values and gradients.

    Raises:
        TypeError: where run is none of these.
        ValueError: where run is of another graph.
    """
    return json.dumps(_graph(graph, Passes.of(graph, run)), allow_nan=False, ensure_ascii=True) + "\n"


def _graph(graph: ComputationGraph, passes: Passes) -> dict[str, Any]:
    return {
        "name": graph.name,
        "nodes": [_node(node) for node in graph.nodes],
        "edges": [_edge(edge, passes) for edge in graph.edges],
        "outputs": [
            _output(graph, position, name, passes) for position, name in enumerate(output_names(graph))
        ],
        "error": None if graph.error is None else error_text(graph.error),
    }


def _node(node: Node) -> dict[str, Any]:
    source = node.source
    found: dict[str, Any] = {
        "index": node.index,
        "name": node.name,
        "kind": node.kind,
        "label": node.label,
        "primitive": node.primitive,
        "inputs": [[port.node, port.output] for port in node.inputs],
        "outputs": [_shape(made.shape, made.dtype) for made in node.outputs],
        "active": list(node.active),
        "gate": node.gate,
        "formula": node.formula,
        "source": None
        if source is None
        else {"file": source.file, "line": source.line, "function": source.function},
        "scope": list(node.scope),
        "bodies": [_graph(body, Passes()) for body in node.bodies],
    }
    if node.kind == "constant":
        found["value"] = value_of(node.value)
    return found


def _edge(edge: Edge, passes: Passes) -> dict[str, Any]:
    return {
        "source": edge.source,
        "output": edge.output,
        "target": edge.target,
        "position": edge.position,
        **_shape(edge.shape, edge.dtype),
        "active": edge.active,
        **_numbers(passes, passes.value(edge), passes.gradient(edge)),
    }


def _output(graph: ComputationGraph, position: int, name: str, passes: Passes) -> dict[str, Any]:
    port, made = graph.outputs[position], graph.results[position]
    return {
        "name": name,
        "node": port.node,
        "output": port.output,
        **_shape(made.shape, made.dtype),
        **_numbers(passes, passes.output(position), passes.upstream(position)),
    }


def _shape(shape: tuple[int, ...], dtype: Any) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": str(dtype)}


def _numbers(passes: Passes, value: Any, gradient: Any) -> dict[str, Any]:
    known = {} if passes.run is None else {"value": value_of(value)}
    return known if passes.back is None else {**known, "gradient": value_of(gradient)}


def value_of(value: Any) -> Any:
    """A value as JSON; see `to_json`."""
    array = concrete(value)
    if array is None:
        return None
    if array.size <= _ENTRIES_AT_MOST:
        return _plain(array.tolist())
    if np.issubdtype(array.dtype, np.complexfloating):
        ends: dict[str, Any] = {"min": None, "max": None}
    else:
        ends = {"min": _plain(array.min().item()), "max": _plain(array.max().item())}
    with np.errstate(all="ignore"):
        wide = np.complex128 if np.issubdtype(array.dtype, np.complexfloating) else np.float64
        mean = _plain(array.mean(dtype=wide).item())
    return {**_shape(array.shape, np.asarray(value).dtype), **ends, "mean": mean}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, complex):
        return str(value).strip("()")
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value

"""The graph of a function, walked forward and backward, as a table or as files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import refuse_files, write_text
from jaxbackprop.graph import Backward, Graph, Run, UnsupportedPrimitive
from jaxbackprop.graph.render import Passes, error_text, page

from ._graph_table import print_cost, print_table
from ._traced_call import drawn_call, trace_call

_STARTS_WITH_ONES = "the result is not one floating-point number: the backward pass starts with ones"


def show_graph(
    target: str,
    texts: Sequence[str] | None = None,
    *,
    html: str | None = None,
    svg: str | None = None,
    dot: str | None = None,
    json_path: str | None = None,
    seed: int = 0,
    console: Console,
) -> None:
    """Prints the graph as a table, or writes it to files.

    Args:
        target: "package.module:function".
        texts: arguments, each as `check` reads it; None to ask CHECK_ARGUMENTS or the annotations.
        html: file for the page, written whole or not at all; so are the others.
        svg: file for the picture.
        dot: file in Graphviz's language.
        json_path: file for the figures.
        seed: of the draws.
        console: where to print.

    Raises:
        CannotRun: where there is no graph; and, when what is known of it has been printed or written, where
            the function failed while it was traced, or a pass could not be made.
        OSError: where a file cannot be written.
    """
    asked = (("--html", html), ("--svg", svg), ("--dot", dot), ("--json", json_path))
    files = [(flag, path) for flag, path in asked if path]
    refuse_files(files)
    with drawn_call(target, texts, seed) as (function, args, kwargs):
        found = _walk(function, target, args, kwargs)
        _show(found, files, console)
    if found.problem is not None:
        raise CannotRun(found.problem)


@dataclasses.dataclass(frozen=True)
class _Walk:
    """A graph and what came of walking it.

    Attributes:
        graph: of the function, or of what it did until it failed.
        made: the passes as far as they could be made.
        problem: what stood in the way of the rest.
        remark: what to say of the passes.
    """

    graph: Graph
    made: Run | Backward | None
    problem: str | None = None
    remark: str | None = None


def _walk(f: Callable[..., Any], target: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Walk:
    try:
        graph = trace_call(f, args, kwargs)
    # JAX raises errors of many kinds where a function is none of arrays.
    except Exception as error:
        raise CannotRun(f"{target} cannot be traced: {error_text(error)}") from None
    try:
        forward = graph.forward()
    # A function may call back to its author's code, which may raise anything.
    except Exception as error:
        return _Walk(graph, None, f"{target} failed in its forward pass: {error_text(error)}")
    if graph.error is not None:
        said = f"{target} failed while it was traced, and its graph ends there: {error_text(graph.error)}"
        return _Walk(graph, forward, said)
    ends = graph.results
    if not any(jnp.issubdtype(end.dtype, jnp.inexact) for end in ends):
        return _Walk(graph, forward, remark="no result is floating-point: no gradient flows")
    scalar = len(ends) == 1 and ends[0].shape == () and jnp.issubdtype(ends[0].dtype, jnp.floating)
    try:
        dy = None if scalar else jax.tree.unflatten(graph.structure, [_ones(end) for end in ends])
        return _Walk(graph, forward.backward(dy), remark=None if scalar else _STARTS_WITH_ONES)
    except UnsupportedPrimitive as error:
        return _Walk(graph, forward, f"{target}: {error}")
    # A rule may be its author's code too, and its errors must not cost what is known of the graph.
    except Exception as error:
        return _Walk(graph, forward, f"{target} failed in its backward pass: {error_text(error)}")


def _ones(end: jax.ShapeDtypeStruct) -> jax.Array | None:
    return jnp.ones(end.shape, end.dtype) if jnp.issubdtype(end.dtype, jnp.inexact) else None


def _show(found: _Walk, files: Sequence[tuple[str, str]], console: Console) -> None:
    graph, made = found.graph, found.made
    write: dict[str, Callable[[Run | Backward | None], str]] = {
        "--html": lambda made: page(graph, made),
        "--svg": graph.to_svg,
        "--dot": graph.to_dot,
        "--json": graph.to_json,
    }
    # All are made before one is written: where one cannot be made, none is there.
    texts = [(flag, path, write[flag](made)) for flag, path in files]
    for flag, path, text in texts:
        write_text(path, text, flag)
        count = len(graph.nodes)
        console.print(f"wrote {path}: {count:,} node{'s' * (count != 1)}", soft_wrap=True)
    if not files:
        print_table(graph, Passes.of(graph, made), console)
    if found.remark is not None:
        console.print(found.remark, soft_wrap=True)
    if not files and isinstance(made, Backward):
        print_cost(graph.cost(), console)

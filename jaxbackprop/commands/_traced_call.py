"""The graph of a function called as the command line says: arrays are inputs, settings are fixed."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from jaxbackprop._imports import importable_from_here
from jaxbackprop.graph import Graph, trace
from jaxbackprop.graph.tracing import positional_names

from .targets import as_jax, draw, read_call, resolve


@contextlib.contextmanager
def drawn_call(
    target: str, texts: Sequence[str] | None, seed: int
) -> Iterator[tuple[Callable[..., Any], Sequence[Any], dict[str, Any]]]:
    """The function that a command names, and its arguments; in float64 meanwhile where one of them is.

    Args:
        target: "package.module:function".
        texts: arguments, each as `check` reads it; None to ask CHECK_ARGUMENTS or the annotations.
        seed: of the draws.

    Raises:
        CannotRun: where there is no such function, or its arguments are not to be had.
    """
    call = None if texts is None else read_call(texts)
    with importable_from_here():
        found = resolve(target, call)
        wide = any(argument.wide for argument in found.calls[0])
        with jax.enable_x64(True) if wide else contextlib.nullcontext():
            args, kwargs = draw(found.calls[0], seed=seed)
            yield found.function, args, kwargs


def trace_call(f: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Graph:
    """The graph of f(*args, **kwargs).

    Args:
        f: any function of JAX arrays.
        args: positional arguments. Those with an array, a key or a float in them are the graph's inputs; the
            others are fixed.
        kwargs: keywords, likewise.

    Raises:
        Exception: whatever JAX raises where f cannot be traced; what f raises is in the graph's `error`.
    """
    given = [as_jax(value) for value in (*args, *kwargs.values())]
    inputs = [i for i, value in enumerate(given) if _is_input(value)]
    if not kwargs and len(inputs) == len(args):
        return trace(f, *given)
    names = [*_names(f, len(args)), *kwargs]

    def called(*varied: Any) -> Any:
        full = list(given)
        for i, value in zip(inputs, varied, strict=True):
            full[i] = value
        return f(*full[: len(args)], **dict(zip(kwargs, full[len(args) :], strict=True)))

    called.__name__ = getattr(f, "__name__", type(f).__name__)
    parameters = [inspect.Parameter(names[i], inspect.Parameter.POSITIONAL_OR_KEYWORD) for i in inputs]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return trace(called, *(given[i] for i in inputs))


def _is_input(value: Any) -> bool:
    return any(isinstance(leaf, float | complex) or hasattr(leaf, "dtype") for leaf in jax.tree.leaves(value))


def _names(f: Callable[..., Any], count: int) -> list[str]:
    """What the first positional parameters are called."""
    named, rest = positional_names(f)
    return (named + [f"{rest}_{i}" for i in range(count - len(named))])[:count]

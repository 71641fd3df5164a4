"""`jax.grad`, by the graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import is_array_leaf

from . import passes, tracing
from ._graph import ComputationGraph


def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Stands in for `jax.grad`: the gradient of f by the graph's hand-derived local gradients.

    Args:
        f: a function that returns one floating-point number, or with has_aux a pair of it and anything else.
        argnums: which positional arguments to differentiate by.
        has_aux: whether f returns a pair.

    Returns:
        A function of f's arguments that gives the gradient, in the structure of the argument (a tuple
        of them where argnums is one); with has_aux a pair of it and the second thing that f returned. It
        may be jitted, vmapped and differentiated.

    Raises:
        TypeError: when called, where f does not return one floating-point number, or an argument to
            differentiate by holds what is not floating-point.
        ValueError: when called, where argnums names an argument that did not come.
        UnsupportedPrimitive: when called, where a gradient must pass what has no rule.
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Stands in for `jax.value_and_grad`; see `grad`.

    Returns:
        A function that gives f's result and the gradient.
    """
    if not callable(f):
        raise TypeError(f"f must be a function, got {type(f).__name__}")
    several = not isinstance(argnums, int)
    numbers = tuple(argnums) if not isinstance(argnums, int) else (argnums,)

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        chosen = [_position(n, args) for n in numbers]
        for n, i in zip(numbers, chosen, strict=True):
            _require_floats(args[i], n)

        # Arguments that stay fixed need not be arrays: f gets them as they came.
        def varied(*moving: Any) -> Any:
            full = list(args)
            for i, value in zip(chosen, moving, strict=True):
                full[i] = value
            result = f(*full, **kwargs)
            if has_aux:
                _require_pair(result)
            return result

        graph = tracing.trace(ComputationGraph, varied, [args[i] for i in chosen])
        if graph.error is not None:
            raise graph.error
        result = jax.tree.unflatten(graph.structure, list(range(len(graph.outputs))))
        place = result[0] if has_aux else result
        _require_scalar(place, graph.results)
        run = passes.forward(graph, graph.arguments)
        dys = [jnp.ones((), end.dtype) if i == place else None for i, end in enumerate(graph.results)]
        gradients = run.pulled_back(dys).grads
        return run.value, gradients if several else gradients[0]

    return value_and_gradient


def _position(n: int, args: Sequence[Any]) -> int:
    if not -len(args) <= n < len(args):
        raise ValueError(f"argnums holds {n}, but {len(args)} positional arguments came")
    return n % len(args)


def _require_floats(arg: Any, n: int) -> None:
    for leaf in jax.tree.leaves(arg):
        dtype = getattr(leaf, "dtype", None)
        floating = isinstance(leaf, float) if dtype is None else jnp.issubdtype(dtype, jnp.floating)
        if not floating or not is_array_leaf(leaf):
            raise TypeError(
                f"argument {n} must be floating-point to differentiate by, "
                f"it holds {type(leaf).__name__ if dtype is None else dtype}"
            )


def _require_pair(result: Any) -> None:
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(f"with has_aux, f must return a pair, got {type(result).__name__}")


def _require_scalar(place: Any, ends: Sequence[Any]) -> None:
    if not isinstance(place, int):
        raise TypeError(f"f must return one floating-point number, got {type(place).__name__}")
    end = ends[place]
    if end.shape != () or not jnp.issubdtype(end.dtype, jnp.floating):
        raise TypeError(f"f must return one floating-point number, got {end.dtype}{list(end.shape)}")

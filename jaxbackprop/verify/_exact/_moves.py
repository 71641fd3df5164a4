"""Primitives that move entries about or add them up, on arrays of anything.

Where an entry goes does not depend on its value. So JAX moves the positions of the entries, and the
entries follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._numbers import arithmetic, boxed, is_exact, to_exact

# Each entry of a result is one of an operand.
MOVES = {"dynamic_slice", "dynamic_update_slice", "gather", "pad", "scatter", "split", "tile", "unstack"}
# Each entry of an operand is added to at most one of the result.
SUMS = {"scatter-add", "scatter_add"}
# Nothing happens to the entries.
NOTHING = {
    "copy",
    "copy_p",
    "mesh_cast",
    "optimization_barrier",
    "pbroadcast",
    "pvary",
    "reshard",
    "sharding_constraint",
    "stop_gradient",
}

_Bind = Callable[..., Sequence[Any]]


def _broadcast(params: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    shape = params["shape"]
    aligned = np.ones(len(shape), int)
    aligned[list(params["broadcast_dimensions"])] = x.shape
    return np.broadcast_to(x.reshape(aligned), shape)


def _reshape(params: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    order = params["dimensions"]
    return (x if order is None else x.transpose(order)).reshape(params["new_sizes"])


def _slice(params: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    bounds = zip(
        params["start_indices"], params["limit_indices"], params["strides"] or x.ndim * (1,), strict=True
    )
    return x[tuple(slice(*bound) for bound in bounds)]


# These NumPy has too, which compiles nothing.
SHAPES: dict[str, Callable[..., np.ndarray]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params, *x: np.concatenate(x, params["dimension"]),
    "reshape": _reshape,
    "rev": lambda params, x: np.flip(x, params["dimensions"]),
    "slice": _slice,
    "stack": lambda params, *x: np.stack(x, params["axis"]),
    "squeeze": lambda params, x: np.squeeze(x, params["dimensions"]),
    "transpose": lambda params, x: x.transpose(params["permutation"]),
}


def moved(bind: _Bind, operands: Sequence[Any], filled: float) -> list[Any]:
    """What a primitive that moves entries gives.

    Args:
        bind: the primitive with its parameters; it puts nan where an index points outside.
        operands: long numbers, or integers that say where to (as they are).
        filled: what is to stand there.
    """
    pool = [operand.ravel() for operand in operands if is_exact(operand)]
    entries = np.concatenate([*pool, to_exact([filled])])
    numbered, start = [], 0
    for operand in operands:
        if is_exact(operand):
            numbers = np.arange(start, start + operand.size, dtype=np.float64)
            operand, start = jnp.asarray(numbers.reshape(operand.shape)), start + operand.size
        numbered.append(operand)
    results = []
    for numbers in map(np.asarray, bind(*numbered)):
        results.append(boxed(entries[np.where(np.isnan(numbers), start, numbers).astype(np.int64)]))
    return results


def summed(bind: _Bind, operands: Sequence[Any]) -> list[Any]:
    """What a primitive that adds entries up gives: its transpose tells each entry where it goes."""
    exact = [i for i, operand in enumerate(operands) if is_exact(operand)]

    def of_exact(*values: Any) -> Any:
        filled = list(operands)
        for i, value in zip(exact, values, strict=True):
            filled[i] = value
        return bind(*filled)[0]

    zeros = [jnp.zeros(operands[i].shape) for i in exact]
    y, transpose = jax.vjp(of_exact, *zeros)
    # Counted from 1: what is dropped receives a 0.
    places = transpose(jnp.arange(1.0, y.size + 1).reshape(y.shape))
    total = np.full(y.size + 1, arithmetic().zero)
    for i, place in zip(exact, places, strict=True):
        np.add.at(total, np.asarray(place).astype(np.int64).ravel(), operands[i].ravel())
    return [total[1:].reshape(y.shape)]

"""Loops over time, in arrays whose time is next to last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding
from jaxtyping import Array, Float

from jaxbackprop._sharding import explicit_sharding, vary_together, with_axis

# Steps a round of the loop, and from how many numbers in a state on. Measured on a CPU: with 64 sequences of
# 256 units 1 to 8 steps are equally fast; with small states more than 1 are up to a sixth slower.
_UNROLL, _LARGE_STATE = 4, 1 << 14

# (weights, carry, one step's part of what is given) -> (carry, results)
Step = Callable[[Any, Any, Any], tuple[Any, Any]]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def over_time(
    step: Step, length: int, reverse: bool, weights: Any, carry: Any, given: Any
) -> tuple[Any, Any]:
    """Runs steps one after the other: a scan, along the axis that is next to last.

    A scan along the first axis would have all arrays turned round in memory. Here a step's part is read, and
    what comes of it written, where it is. Derivatives of the loop itself, which are of second order, are
    those of the scan: here every part's cotangent would be as long as the whole.

    Args:
        step: (weights, carry, parts of `given`) -> (carry, results); must not close over arrays.
        length: the number of steps.
        reverse: whether the last step comes first.
        weights: what every step reads.
        carry: an array: where it starts.
        given: arrays (..., T, n) in a pytree.

    Returns:
        The carry at the end, and the results of all steps, (..., T, m), split over devices as the carry.
    """
    if length == 0:
        return _scan(step, length, reverse, weights, carry, given)

    def one(i: Array, state: tuple[Any, Any]) -> tuple[Any, Any]:
        carry, results = state
        t = length - 1 - i if reverse else i
        carry, new = step(weights, carry, _part_at(given, t))
        return carry, _put_at(results, new, t)

    def room(a: Any) -> Array:
        # To be written over. Were both directions to start from the same number, XLA would make one array for
        # both, and keep it from the forward to the backward pass.
        return no_steps_yet(jax.tree.leaves(carry)[0], length, a.dtype, 1 if reverse else 0)

    most = _UNROLL if jax.tree.leaves(carry)[0].size >= _LARGE_STATE else 1
    # No steps are left over: XLA would copy all results to write those.
    unroll = next(steps for steps in range(most, 0, -1) if length % steps == 0)
    results = jax.tree.map(room, jax.eval_shape(lambda: step(weights, carry, _part_at(given, 0)))[1])
    return lax.fori_loop(0, length, one, (carry, results), unroll=unroll)


def _scan(step: Step, length: int, reverse: bool, weights: Any, carry: Any, given: Any) -> tuple[Any, Any]:
    """The same by a scan along the first axis."""
    given = jax.tree.map(lambda a: jnp.moveaxis(a, -2, 0), given)
    carry, results = lax.scan(partial(step, weights), carry, given, length=length, reverse=reverse)
    return carry, jax.tree.map(lambda a: jnp.moveaxis(a, 0, -2), results)


@over_time.defjvp
def _over_time_jvp(step: Step, length: int, reverse: bool, primals: tuple, tangents: tuple) -> tuple:
    return jax.jvp(partial(_scan, step, length, reverse), primals, tangents)


def _part_at(given: Any, t: Array | int) -> Any:
    """One step's part of arrays (..., T, n) in a pytree."""
    return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, t, a.ndim - 2, keepdims=False), given)


def _put_at(results: Any, new: Any, t: Array) -> Any:
    """Arrays (..., T, n) with one step's part written into each."""
    return jax.tree.map(
        lambda whole, a: lax.dynamic_update_index_in_dim(whole, a, t, whole.ndim - 2), results, new
    )


def over_segments(
    body: Callable[[Any, Array | int, int], Any],
    carry: Any,
    steps: int,
    length: int,
    *,
    reverse: bool = False,
) -> Any:
    """Carries something through segments of steps, one after the other.

    Args:
        body: (carry, first step of the segment, its number of steps) -> carry. The number is static.
        carry: where it starts.
        steps: of all segments; the last one is shorter where length does not divide them.
        length: of a segment.
        reverse: whether the last segment comes first.

    Returns:
        The carry at the end.
    """
    whole, rest = divmod(steps, length)

    def one(i: Array, carry: Any) -> Any:
        return body(carry, (whole - 1 - i if reverse else i) * length, length)

    if reverse and rest:
        carry = body(carry, whole * length, rest)
    if whole == 1:
        carry = body(carry, 0, length)
    elif whole:
        carry = lax.fori_loop(0, whole, one, carry)
    if rest and not reverse:
        carry = body(carry, whole * length, rest)
    return carry


def cut(x: Float[Array, "... T n"] | None, start: Array | int, steps: int) -> Any:
    """So many steps of an array (..., T, n)."""
    return None if x is None else lax.dynamic_slice_in_dim(x, start, steps, x.ndim - 2)


def put(
    whole: Float[Array, "... T n"] | None, part: Float[Array, "... steps n"] | None, start: Array | int
) -> Any:
    """An array (..., T, n) with some steps written into it."""
    if whole is None or part is None:
        return None
    return lax.dynamic_update_slice_in_dim(whole, part.astype(whole.dtype), start, whole.ndim - 2)


def no_steps_yet(
    state: Float[Array, "... m"], length: int, dtype: np.dtype, number: float = 0
) -> Float[Array, "... T m"]:
    """Room for results of all steps, split over devices as a state."""
    shape = (*state.shape[:-1], length, state.shape[-1])
    return filled(shape, dtype, with_axis(explicit_sharding(state), state.ndim - 1), state, number)


def filled(
    shape: tuple[int, ...], dtype: np.dtype, sharding: NamedSharding | None, like: Array, number: float = 0
) -> Array:
    """A number everywhere, 0 unless told; differs over mapped axes of `jax.shard_map` as another array."""
    return vary_together((jnp.full(shape, number, dtype, device=sharding),), like)[0]

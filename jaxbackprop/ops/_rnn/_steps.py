"""What has to be done step by step, and the products over all steps at once."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxbackprop._precision import accumulator
from jaxbackprop._sharding import (
    explicit_sharding,
    last_axis_sharding,
    place,
    product_sharding,
    whole_rows,
    with_axis,
    without_axis,
)

from .._activations._slopes import tanh_slope
from ._loops import filled, over_time

# ---- before the first step --------------------------------------------------------------------------------


def whole_in_time(x: Array, mask: Array | None) -> tuple[Array, Array | None]:
    """Inputs and mask with all steps on each device."""
    x = place(x, with_axis(without_axis(explicit_sharding(x), -2), x.ndim - 2))
    return x, None if mask is None else place(mask, without_axis(explicit_sharding(x), -1))


def read(x: Array, runs: Array | None, first: Any, steps: int) -> tuple[Array, Array | None]:
    """The inputs of some steps, 0 where they are not read, and which steps run."""
    x = lax.dynamic_slice_in_dim(x, first, steps, x.ndim - 2)
    if runs is None:
        return x, None
    runs = lax.dynamic_slice_in_dim(runs, first, steps, runs.ndim - 1)
    return jnp.where(jnp.expand_dims(runs, -1), x, jnp.zeros((), x.dtype)), runs


def input_products(x: Array, W_x: Array) -> Array:
    """W_x x_t for every t."""
    return product(x, W_x, 1, product_sharding(x, W_x))


def start_of(x: Array, W_x: Array, h0: Array | None) -> Array:
    """The state before the first step."""
    sharding = without_axis(product_sharding(x, W_x), -2)
    if h0 is not None:
        return place(h0, sharding)
    return filled((*x.shape[:-2], W_x.shape[0]), x.dtype, sharding, x)


# ---- step by step -----------------------------------------------------------------------------------------


def states(
    inputs: Array | None,
    W_h: Array,
    b: Array | None,
    start: Array,
    runs: Array | None,
    length: int,
    activation: str,
    keeps_z: bool,
) -> tuple[Array, Array | None, Array]:
    """Every h_t, every z_t where they are kept, and the last state; time is next to last.

    States are in the dtype of the start, z in float32 at least.
    """
    given = (inputs, None if runs is None else jnp.expand_dims(runs, -1))
    step = partial(_state, explicit_sharding(start), activation, keeps_z)
    if b is not None:
        b = place(b.astype(accumulator(b.dtype)), last_axis_sharding(start))
    last, (y, z) = over_time(step, length, False, (_split_as_states(W_h, start), b), start, given)
    return y, z, last


def _state(
    at_step: NamedSharding | None,
    activation: str,
    keeps_z: bool,
    weights: tuple[Array, Array | None],
    h: Array,
    given: tuple[Array | None, Array | None],
) -> tuple[Array, tuple[Array, Array | None]]:
    W_h, b = weights
    input_t, runs_t = given
    # Where units are split over devices, each computes its own from all of the state before.
    z = product(place(h, whole_rows(h, 1)), W_h, 1, at_step)
    if input_t is not None:
        z = input_t + z
    if b is not None:
        z = z + jnp.expand_dims(b, range(z.ndim - 1))
    y = (jnp.tanh(z) if activation == "tanh" else jnp.maximum(z, 0)).astype(h.dtype)
    h = y if runs_t is None else jnp.where(runs_t, y, h)
    return h, (h, z if keeps_z else None)


def error_signals(
    dy: Array | None,
    y: Array,
    z: Array | None,
    W_h: Array,
    runs: Array | None,
    activation: str,
    from_next: Array,
) -> tuple[Array, Array]:
    """Every δ_t, laid out as the states y, and what arrives at the state before the first.

    In float32 at least: what a half-precision δ_t lost would be passed on to every step before. The last
    state receives from_next besides its dy; no dy is a dy of 0.
    """
    given = (dy, y, z, None if runs is None else jnp.expand_dims(runs, -1))
    step = partial(_error_signal, explicit_sharding(from_next), activation)
    W_h = _split_as_states(W_h, from_next).astype(from_next.dtype)
    from_before, deltas = over_time(step, y.shape[-2], True, W_h, from_next, given)
    return deltas, from_before


def _error_signal(
    at_step: NamedSharding | None,
    activation: str,
    W_h: Array,
    from_next: Array,
    given: tuple[Array | None, Array, Array | None, Array | None],
) -> tuple[Array, Array]:
    dy_t, h, z_t, runs_t = given
    wide = from_next.dtype
    g = from_next if dy_t is None else dy_t.astype(wide) + from_next
    if activation == "relu":
        delta = jnp.where(h > 0, g, jnp.zeros((), wide))
    elif z_t is None:
        h = h.astype(wide)
        delta = (1 - h) * (1 + h) * g
    else:
        delta = tanh_slope(z_t.astype(wide)) * g
    if runs_t is None:
        return product(delta, W_h, 0, at_step), delta
    delta = jnp.where(runs_t, delta, jnp.zeros((), wide))
    return jnp.where(runs_t, product(delta, W_h, 0, at_step), g), delta


def cotangent_at_end(dy: Array, start: Array, of_all: bool) -> tuple[Array | None, Array]:
    """The cotangent of all states, and what the last one receives besides; dy is of all, or of the last."""
    if of_all:
        return dy, nothing_behind(start)
    return None, dy.astype(accumulator(dy.dtype))


def nothing_behind(state: Array) -> Array:
    """What the last state receives from the step behind it, which is not there."""
    return filled(state.shape, accumulator(state.dtype), explicit_sharding(state), state)


def _split_as_states(W_h: Array, state: Array) -> Array:
    """The weights with a row where its unit is, and whole rows."""
    at_step = explicit_sharding(state)
    if at_step is None:
        return W_h
    return place(W_h, NamedSharding(at_step.mesh, PartitionSpec(at_step.spec[-1], None)))


# ---- over all steps ---------------------------------------------------------------------------------------


def product(x: Array, W: Array, axis: int, sharding: NamedSharding | None) -> Array:
    """The last axis of x against an axis of W, added up in the wider dtype."""
    return lax.dot_general(
        x,
        W,
        (((x.ndim - 1,), (axis,)), ((), ())),
        preferred_element_type=accumulator(x.dtype),
        out_sharding=sharding,
    )


def weight_gradient(deltas: Array, inputs: Array, W: Array) -> Array:
    """Σ δ inputᵀ over steps and sequences, one product for all of them, in the dtype of the δ."""
    rows = tuple(range(deltas.ndim - 1))
    return lax.dot_general(
        deltas,
        inputs.astype(deltas.dtype),
        ((rows, rows), ((), ())),
        preferred_element_type=deltas.dtype,
        out_sharding=explicit_sharding(W),
    )


def states_before(start: Array, y: Array, runs: Array | None) -> Array:
    """h_{t-1} for every t, 0 at the steps that did not run: a state that overflowed would make 0 · inf."""
    before = jnp.concatenate([jnp.expand_dims(start, -2), y], -2)[..., :-1, :]
    if runs is None:
        return before
    return jnp.where(jnp.expand_dims(runs, -1), before, jnp.zeros((), before.dtype))

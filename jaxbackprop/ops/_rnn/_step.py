"""One step forwards and, right under it, one step backwards; then all of them, one after the other."""

from __future__ import annotations

from functools import partial
from typing import Literal

import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._sharding import explicit_sharding, last_axis_sharding, place, whole_rows

from .._activations._slopes import tanh_slope
from ._loops import over_time
from ._products import product

Activation = Literal["tanh", "relu"]


def _step_forwards(
    at_step: NamedSharding | None,
    activation: Activation,
    keeps_z: bool,
    weights: tuple[Float[Array, "m m"], Float[Array, " m"] | None],
    h: Float[Array, "... m"],
    given: tuple[Float[Array, "... m"] | None, Bool[Array, "... 1"] | None],
) -> tuple[Float[Array, "... m"], tuple[Float[Array, "... m"], Float[Array, "... m"] | None]]:
    """h_t = f(z_t), z_t = W_h h_{t-1} + W_x x_t + b; h_t = h_{t-1} where the step does not run.

    Given are W_x x_t and whether the step runs. Returned are h_t, and once more beside z_t where it is kept.
    """
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


def _step_backwards(
    at_step: NamedSharding | None,
    activation: Activation,
    W_h: Float[Array, "m m"],
    from_next: Float[Array, "... m"],
    given: tuple[
        Float[Array, "... m"] | None,
        Float[Array, "... m"],
        Float[Array, "... m"] | None,
        Bool[Array, "... 1"] | None,
    ],
) -> tuple[Float[Array, "... m"], Float[Array, "... m"]]:
    """δ_t = f'(z_t) g_t, g_t = dy_t + W_hᵀ δ_{t+1}; δ_t = 0 where the step did not run.

    Given are dy_t, h_t, z_t where it was kept, and whether the step ran; from_next is W_hᵀ δ_{t+1}. Returned
    are W_hᵀ δ_t for the step before, or g_t itself where the state passed, and δ_t.
    """
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


def states(
    inputs: Float[Array, "... T m"] | None,
    W_h: Float[Array, "m m"],
    b: Float[Array, " m"] | None,
    start: Float[Array, "... m"],
    runs: Bool[Array, "... T"] | None,
    length: int,
    activation: Activation,
    keeps_z: bool,
) -> tuple[Float[Array, "... T m"], Float[Array, "... T m"] | None, Float[Array, "... m"]]:
    """Every h_t, every z_t where they are kept, and the last state.

    States are in the dtype of the start, z in float32 at least.
    """
    given = (inputs, None if runs is None else jnp.expand_dims(runs, -1))
    step = partial(_step_forwards, explicit_sharding(start), activation, keeps_z)
    if b is not None:
        b = place(b.astype(accumulator(b.dtype)), last_axis_sharding(start))
    last, (y, z) = over_time(step, length, False, (_split_as_states(W_h, start), b), start, given)
    return y, z, last


def error_signals(
    dy: Float[Array, "... T m"] | None,
    y: Float[Array, "... T m"],
    z: Float[Array, "... T m"] | None,
    W_h: Float[Array, "m m"],
    runs: Bool[Array, "... T"] | None,
    activation: Activation,
    from_next: Float[Array, "... m"],
) -> tuple[Float[Array, "... T m"], Float[Array, "... m"]]:
    """Every δ_t, laid out as the states y, and what arrives at the state before the first.

    In float32 at least: what a half-precision δ_t lost would be passed on to every step before. The last
    state receives from_next besides its dy; no dy is a dy of 0.
    """
    given = (dy, y, z, None if runs is None else jnp.expand_dims(runs, -1))
    step = partial(_step_backwards, explicit_sharding(from_next), activation)
    W_h = _split_as_states(W_h, from_next).astype(from_next.dtype)
    from_before, deltas = over_time(step, y.shape[-2], True, W_h, from_next, given)
    return deltas, from_before


def _split_as_states(W_h: Float[Array, "m m"], state: Float[Array, "... m"]) -> Float[Array, "m m"]:
    """The weights with a row where its unit is, and whole rows."""
    at_step = explicit_sharding(state)
    if at_step is None:
        return W_h
    return place(W_h, NamedSharding(at_step.mesh, PartitionSpec(at_step.spec[-1], None)))

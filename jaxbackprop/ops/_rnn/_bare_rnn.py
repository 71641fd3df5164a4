"""The lecture's bare loop, h_t = max(0, W h_{t-1})."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats, as_static_int
from jaxbackprop._sharding import explicit_sharding, place, product_sharding, vary_together

from .._linear import weight_gradient
from ._products import states_before
from ._starts import zero_carry
from ._step import error_signals, states


def bare_rnn(
    W: Float[ArrayLike, "m m"], h0: Float[ArrayLike, "... m"], steps: int
) -> Float[Array, "... steps m"]:
    """The lecture's loop without inputs and bias: h_t = max(0, W h_{t-1}).

    Gradient: δ_t = dy_t + Wᵀ δ_{t+1} where h_t > 0, else 0; dW = Σ δ_t h_{t-1}ᵀ and dh0 = Wᵀ δ_1. At the kink
    0 relu passes 0. Keeps W, h0 and the states.

    Args:
        W: weights from state to state.
        h0: state before the first step, under any leading axes.
        steps: how many, at least 0; static.

    Returns:
        Every state h_1 … h_steps, of h0's dtype; half-precision states are rounded at every step, products
        and sums are in float32.

    Raises:
        TypeError: where dtypes differ or are not floating-point, or steps is no static integer.
        ValueError: where shapes do not fit or steps is negative.

    Source: lecture, unit 3 "Exploding Gradients in vanilla RNNs".
    """
    W, h0 = as_floats(W=W, h0=h0)
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"W must be square, (units, units), got {W.shape}")
    if h0.ndim == 0:
        raise ValueError("h0 must have an axis of units, got a scalar")
    if h0.shape[-1] != W.shape[0]:
        raise ValueError(f"W has shape {W.shape} but h0 ends in {h0.shape[-1]}")
    steps = as_static_int("steps", steps)
    if steps < 0:
        raise ValueError(f"steps must be at least 0, got {steps}")
    return _bare_rnn(*vary_together((W, h0)), steps)


def bare_rnn_plain(
    W: Float[Array, "m m"], h0: Float[Array, "... m"], steps: int
) -> Float[Array, "... steps m"]:
    """The same loop for autodiff to differentiate."""

    def step(h: Array, _: None) -> tuple[Array, Array]:
        h = jnp.maximum(
            jnp.einsum("...n,mn->...m", h, W, preferred_element_type=accumulator(h.dtype)), 0
        ).astype(h.dtype)
        return h, h

    return jnp.moveaxis(lax.scan(step, h0, None, length=steps)[1], 0, -2)


class _Residuals(NamedTuple):
    W: Float[Array, "m m"]
    h0: Float[Array, "... m"]
    y: Float[Array, "... steps m"]


def _bare_rnn_fwd(
    W: Float[Array, "m m"], h0: Float[Array, "... m"], steps: int
) -> tuple[Float[Array, "... steps m"], _Residuals]:
    start = place(h0, product_sharding(h0, W))
    y, _, _ = states(None, W, None, start, None, steps, "relu", False)
    return y, _Residuals(W, h0, y)


def _bare_rnn_value(
    W: Float[Array, "m m"], h0: Float[Array, "... m"], steps: int
) -> Float[Array, "... steps m"]:
    return _bare_rnn_fwd(W, h0, steps)[0]


_bare_rnn = jax.custom_vjp(_bare_rnn_value, nondiff_argnums=(2,))


def _bare_rnn_bwd(
    steps: int, residuals: _Residuals, dy: Float[Array, "... steps m"]
) -> tuple[Float[Array, "m m"], Float[Array, "... m"]]:
    W, h0, y = residuals
    start = place(h0, product_sharding(h0, W))
    deltas, dh0 = error_signals(dy, y, None, W, None, "relu", zero_carry(start))
    before = states_before(start, y, None).astype(deltas.dtype)
    dW = weight_gradient(deltas, before, W, deltas.dtype)
    return dW.astype(W.dtype), place(dh0.astype(h0.dtype), explicit_sharding(h0))


_bare_rnn.defvjp(_bare_rnn_fwd, _bare_rnn_bwd)

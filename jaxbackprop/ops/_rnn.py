"""A recurrent layer and the lecture's bare loop: backpropagation through time.

Only what one step needs from the next is done step by step: the states forwards, the error signals backwards.
The inputs' products, and all gradients of the weights, are one product each over all steps at once.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from jaxbackprop._shapes import as_floats, as_mask, as_static_int
from jaxbackprop.ops._activations._slopes import tanh_slope
from jaxbackprop.ops._broadcast import unbroadcast
from jaxbackprop.ops._precision import accumulator
from jaxbackprop.ops._sharding import (
    Like,
    explicit_sharding,
    last_axis_sharding,
    place,
    product_sharding,
    vary_together,
    whole_rows,
    with_axis,
    without_axis,
)

# ---- recurrent layer --------------------------------------------------------------------------------------


def rnn(
    x: Float[ArrayLike, "... T n"],
    W_x: Float[ArrayLike, "m n"],
    W_h: Float[ArrayLike, "m m"],
    b: Float[ArrayLike, " m"] | None = None,
    h0: Float[ArrayLike, "... m"] | None = None,
    mask: Bool[ArrayLike, "... T"] | None = None,
    *,
    activation: Literal["tanh", "relu"] = "tanh",
    keep: Literal["y", "x"] | None = None,
) -> Float[Array, "... T m"]:
    """The states h_t = f(z_t), z_t = W_h h_{t-1} + W_x x_t + b, of a recurrent layer.

    Gradient, with error signals δ_t = ∂s/∂z_t from the last step to the first: g_t = dy_t + W_hᵀ δ_{t+1},
    δ_t = f'(z_t) g_t. Then dW_h = Σ δ_t h_{t-1}ᵀ, dW_x = Σ δ_t x_tᵀ, db = Σ δ_t, dx_t = W_xᵀ δ_t and
    dh0 = W_hᵀ δ_1, summed over the sequences too. A masked step has δ_t = 0 and passes g_t on, as the state
    passed. At the kink 0 relu passes 0.

    Args:
        x: T inputs of n features, under any leading axes; T may be 0.
        W_x: weights from the inputs, units × features.
        W_h: weights from the previous state.
        b: bias, or None for none.
        h0: state before the first step; None for zeros.
        mask: False where the state passes through, h_t = h_{t-1}; x is not read there, whatever it holds.
        activation: f; static.
        keep: what the backward pass of tanh keeps besides the arguments; static. "y" keeps the states, which
            are the result: f' = 1 - h² loses all digits where |h| rounds to 1 (float32: |z| > 9; bfloat16:
            |z| > 3). "x" keeps the z_t too, in float32 at least, and f' is accurate everywhere (see `tanh`).
            None is "y", but "x" in half precision, where the states have too few digits for f'. relu needs
            the states alone.

    Returns:
        Every state h_1 … h_T, of x's dtype; the last is the final one. Half-precision states are rounded at
        every step, products and sums are in float32.

    Raises:
        TypeError: where dtypes differ or are not floating-point, or mask is not bool.
        ValueError: where shapes do not fit, or activation or keep is another one.

    Source: lecture, unit 3 "Exploding Gradients in vanilla RNNs".
    """
    if activation not in ("tanh", "relu"):
        raise ValueError(f"activation must be 'tanh' or 'relu', got {activation!r}")
    if keep not in ("x", "y", None):
        raise ValueError(f"keep must be 'x', 'y' or None, got {keep!r}")
    given = {"x": x, "W_x": W_x, "W_h": W_h} | ({} if b is None else {"b": b})
    given |= {} if h0 is None else {"h0": h0}
    floats = dict(zip(given, as_floats(**given), strict=True))
    _check_shapes(**floats)
    others: tuple[Array, ...] = ()
    if mask is not None:
        mask = as_mask("mask", mask)
        if mask.shape != floats["x"].shape[:-1]:
            raise ValueError(
                f"mask must have shape {floats['x'].shape[:-1]} for x of shape {floats['x'].shape}, "
                f"got {mask.shape}"
            )
        others = (mask,)
    floats = dict(zip(floats, vary_together(tuple(floats.values()), *others), strict=True))
    return _rnn(
        floats["x"],
        floats["W_x"],
        floats["W_h"],
        floats.get("b"),
        floats.get("h0"),
        mask,
        activation,
        keep or ("x" if floats["x"].dtype.itemsize == 2 else "y"),
    )


def _check_shapes(x: Array, W_x: Array, W_h: Array, b: Array | None = None, h0: Array | None = None) -> None:
    if x.ndim < 2:
        raise ValueError(f"x must have shape (..., steps, features), got {x.shape}")
    if W_x.ndim != 2:
        raise ValueError(f"W_x must have shape (units, features), got {W_x.shape}")
    if x.shape[-1] != W_x.shape[1]:
        raise ValueError(f"W_x has shape {W_x.shape} but x ends in {x.shape[-1]}")
    units = W_x.shape[0]
    expected = {"W_h": (units, units), "b": (units,), "h0": (*x.shape[:-2], units)}
    for name, array in (("W_h", W_h), ("b", b), ("h0", h0)):
        if array is not None and array.shape != expected[name]:
            beside = f"x of shape {x.shape} and " if name == "h0" else ""
            raise ValueError(
                f"{name} must have shape {expected[name]} for {beside}W_x of shape {W_x.shape}, "
                f"got {array.shape}"
            )


def rnn_plain(
    x: Array,
    W_x: Array,
    W_h: Array,
    b: Array | None,
    h0: Array | None,
    mask: Array | None,
    activation: str,
) -> Array:
    """The same layer, step by step, for autodiff to differentiate."""
    wide = accumulator(x.dtype)
    if h0 is None:
        h0 = jnp.zeros((*x.shape[:-2], W_h.shape[0]), x.dtype)
    if mask is None:
        mask = jnp.ones(x.shape[:-1], jnp.bool_)
    x = jnp.where(jnp.expand_dims(mask, -1), x, jnp.zeros((), x.dtype))

    def step(h: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        x_t, runs = inputs
        z = _times(x_t, W_x, wide) + _times(h, W_h, wide)
        if b is not None:
            z = z + jnp.expand_dims(b.astype(wide), range(z.ndim - 1))
        y = jnp.tanh(z) if activation == "tanh" else jnp.maximum(z, 0)
        h = jnp.where(jnp.expand_dims(runs, -1), y.astype(h.dtype), h)
        return h, h

    _, states = lax.scan(step, h0, (jnp.moveaxis(x, -2, 0), jnp.moveaxis(mask, -1, 0)))
    return jnp.moveaxis(states, 0, -2)


def _times(x: Array, W: Array, dtype: Any) -> Array:
    return jnp.einsum("...n,mn->...m", x, W, preferred_element_type=dtype)


def _rnn_forward(
    x: Array,
    W_x: Array,
    W_h: Array,
    b: Array | None,
    h0: Array | None,
    mask: Array | None,
    activation: str,
    keep: str,
) -> tuple[Array, tuple]:
    x_read, runs = _read(x, mask)
    inputs = _product(x_read, W_x, 1, product_sharding(x_read, W_x))
    if b is not None:
        bias = place(b.astype(inputs.dtype), last_axis_sharding(inputs))
        inputs = inputs + jnp.expand_dims(bias, range(inputs.ndim - 1))
    start = _start(x_read, W_x, h0)
    y, z = _states(inputs, W_h, start, runs, x.shape[-2], activation, activation == "tanh" and keep == "x")
    return y, (x, W_x, W_h, None if b is None else Like.of(b), h0, mask, y, z)


def _read(x: Array, mask: Array | None) -> tuple[Array, Array | None]:
    """The inputs, 0 where they are not read, and the mask; all steps on each device."""
    x = place(x, with_axis(without_axis(explicit_sharding(x), -2), x.ndim - 2))
    if mask is None:
        return x, None
    mask = place(mask, without_axis(explicit_sharding(x), -1))
    return jnp.where(jnp.expand_dims(mask, -1), x, jnp.zeros((), x.dtype)), mask


def _start(x: Array, W_x: Array, h0: Array | None) -> Array:
    """The state before the first step."""
    sharding = without_axis(product_sharding(x, W_x), -2)
    if h0 is not None:
        return place(h0, sharding)
    zeros = jnp.zeros((*x.shape[:-2], W_x.shape[0]), x.dtype, device=sharding)
    return vary_together((zeros,), x)[0]


def _rnn_value(*args: Any) -> Array:
    return _rnn_forward(*args)[0]


_rnn = jax.custom_vjp(_rnn_value, nondiff_argnums=(6, 7))


def _rnn_bwd(activation: str, keep: str, residuals: tuple, dy: Array) -> tuple:
    x, W_x, W_h, b_like, h0, mask, y, z = residuals
    x_read, runs = _read(x, mask)
    deltas, dstart = _error_signals(dy, y, z, W_h, runs, activation)
    dx = _product(deltas, W_x.astype(deltas.dtype), 0, explicit_sharding(x_read)).astype(x.dtype)
    dW_x = _weight_gradient(deltas, x_read, W_x)
    dW_h = _weight_gradient(deltas, _before(_start(x_read, W_x, h0), y, runs), W_h)
    db = None if b_like is None else unbroadcast(deltas, b_like)
    dh0 = None if h0 is None else place(dstart.astype(h0.dtype), explicit_sharding(h0))
    return place(dx, explicit_sharding(x)), dW_x, dW_h, db, dh0, None


_rnn.defvjp(_rnn_forward, _rnn_bwd)

# ---- bare loop --------------------------------------------------------------------------------------------


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


def bare_rnn_plain(W: Array, h0: Array, steps: int) -> Array:
    """The same loop for autodiff to differentiate."""

    def step(h: Array, _: None) -> tuple[Array, Array]:
        h = jnp.maximum(_times(h, W, accumulator(h.dtype)), 0).astype(h.dtype)
        return h, h

    return jnp.moveaxis(lax.scan(step, h0, None, length=steps)[1], 0, -2)


def _bare_rnn_forward(W: Array, h0: Array, steps: int) -> tuple[Array, tuple]:
    start = place(h0, product_sharding(h0, W))
    y, _ = _states(None, W, start, None, steps, "relu", False)
    return y, (W, h0, y)


def _bare_rnn_value(W: Array, h0: Array, steps: int) -> Array:
    return _bare_rnn_forward(W, h0, steps)[0]


_bare_rnn = jax.custom_vjp(_bare_rnn_value, nondiff_argnums=(2,))


def _bare_rnn_bwd(steps: int, residuals: tuple[Array, Array, Array], dy: Array) -> tuple[Array, Array]:
    W, h0, y = residuals
    deltas, dh0 = _error_signals(dy, y, None, W, None, "relu")
    dW = _weight_gradient(deltas, _before(place(h0, product_sharding(h0, W)), y, None), W)
    return dW, place(dh0.astype(h0.dtype), explicit_sharding(h0))


_bare_rnn.defvjp(_bare_rnn_forward, _bare_rnn_bwd)

# ---- step by step -----------------------------------------------------------------------------------------


def _states(
    inputs: Array | None,
    W_h: Array,
    start: Array,
    runs: Array | None,
    length: int,
    activation: str,
    keeps_z: bool,
) -> tuple[Array, Array | None]:
    """Every h_t, and every z_t where they are kept, in the dtype of the start; time is next to last."""
    at_step = explicit_sharding(start)
    W_h = _split_as_states(W_h, at_step)

    def step(h: Array, given: tuple[Array | None, Array | None]) -> tuple[Array, tuple[Array, Array | None]]:
        input_t, runs_t = given
        # Where units are split over devices, each computes its own from all of the state before.
        z = _product(place(h, whole_rows(h, 1)), W_h, 1, at_step)
        if input_t is not None:
            z = input_t + z
        y = (jnp.tanh(z) if activation == "tanh" else jnp.maximum(z, 0)).astype(h.dtype)
        h = y if runs_t is None else jnp.where(jnp.expand_dims(runs_t, -1), y, h)
        return h, (h, z if keeps_z else None)

    over_time = (_time_first(inputs, -2), _time_first(runs, -1))
    y, z = lax.scan(step, start, over_time, length=length)[1]
    return jnp.moveaxis(y, 0, -2), None if z is None else jnp.moveaxis(z, 0, -2)


def _error_signals(
    dy: Array, y: Array, z: Array | None, W_h: Array, runs: Array | None, activation: str
) -> tuple[Array, Array]:
    """Every δ_t, laid out as the states y, and the gradient by the start.

    In float32 at least: what a half-precision δ_t lost would be passed on to every step before.
    """
    wide = accumulator(y.dtype)
    at_step = without_axis(explicit_sharding(y), -2)
    W_h = _split_as_states(W_h, at_step).astype(wide)

    def step(from_next: Array, given: tuple) -> tuple[Array, Array]:
        dy_t, h, z_t, runs_t = given
        g = dy_t.astype(wide) + from_next
        if activation == "relu":
            delta = jnp.where(h > 0, g, jnp.zeros((), wide))
        elif z_t is None:
            h = h.astype(wide)
            delta = (1 - h) * (1 + h) * g
        else:
            delta = tanh_slope(z_t.astype(wide)) * g
        if runs_t is None:
            return _product(delta, W_h, 0, at_step), delta
        runs_t = jnp.expand_dims(runs_t, -1)
        delta = jnp.where(runs_t, delta, jnp.zeros((), wide))
        return jnp.where(runs_t, _product(delta, W_h, 0, at_step), g), delta

    end = jnp.zeros((*y.shape[:-2], y.shape[-1]), wide, device=at_step)
    (end,) = vary_together((end,), y)
    over_time = (*(_time_first(a, -2) for a in (dy, y, z)), _time_first(runs, -1))
    dstart, deltas = lax.scan(step, end, over_time, reverse=True)
    return jnp.moveaxis(deltas, 0, -2), dstart


def _time_first(x: Array | None, axis: int) -> Array | None:
    return None if x is None else jnp.moveaxis(x, axis, 0)


def _split_as_states(W_h: Array, at_step: NamedSharding | None) -> Array:
    """The weights with a row where its unit is, and whole rows."""
    if at_step is None:
        return W_h
    return place(W_h, NamedSharding(at_step.mesh, PartitionSpec(at_step.spec[-1], None)))


def _before(start: Array, y: Array, runs: Array | None) -> Array:
    """h_{t-1} for every t, 0 at the steps that did not run: a state that overflowed would make 0 · inf."""
    before = jnp.concatenate([jnp.expand_dims(start, -2), y], -2)[..., :-1, :]
    if runs is None:
        return before
    return jnp.where(jnp.expand_dims(runs, -1), before, jnp.zeros((), before.dtype))


def _product(x: Array, W: Array, axis: int, sharding: NamedSharding | None) -> Array:
    """The last axis of x against an axis of W, added up in the wider dtype."""
    return lax.dot_general(
        x,
        W,
        (((x.ndim - 1,), (axis,)), ((), ())),
        preferred_element_type=accumulator(x.dtype),
        out_sharding=sharding,
    )


def _weight_gradient(deltas: Array, inputs: Array, W: Array) -> Array:
    """Σ δ inputᵀ over steps and sequences, one product for all of them."""
    rows = tuple(range(deltas.ndim - 1))
    dW = lax.dot_general(
        deltas,
        inputs.astype(deltas.dtype),
        ((rows, rows), ((), ())),
        preferred_element_type=deltas.dtype,
        out_sharding=explicit_sharding(W),
    )
    return dW.astype(W.dtype)

"""The recurrent layer, h_t = f(W_h h_{t-1} + W_x x_t + b)."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_choice, as_floats, as_mask, as_static_bool, as_static_int
from jaxbackprop._sharding import Like, explicit_sharding, place, vary_together

from .._linear import weight_gradient
from ._loops import cut, filled, no_steps_yet, over_segments, put
from ._products import input_products, product, states_before
from ._starts import cotangent_at_end, read, start_of, whole_in_time
from ._step import Activation, error_signals, states


def rnn(
    x: Float[ArrayLike, "... T n"],
    W_x: Float[ArrayLike, "m n"],
    W_h: Float[ArrayLike, "m m"],
    b: Float[ArrayLike, " m"] | None = None,
    h0: Float[ArrayLike, "... m"] | None = None,
    mask: Bool[ArrayLike, "... T"] | None = None,
    *,
    activation: Activation = "tanh",
    keep: Literal["y", "x"] | None = None,
    checkpoint: int | Literal["sqrt"] | None = None,
    return_sequences: bool = True,
) -> Float[Array, "... T m"] | Float[Array, "... m"]:
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
        checkpoint: keeps the state before every so many steps alone, and the backward pass computes the
            others again, segment by segment: one more forward pass, in memory for T / checkpoint states and a
            few arrays of checkpoint steps. "sqrt" is √T: memory grows as √T. None keeps all; static.
        return_sequences: False returns the last state alone; static. With a checkpoint no array of all steps
            is then made but x's gradient.

    Returns:
        Every state h_1 … h_T, of x's dtype; the last is the final one. Or that one alone, (..., m), which is
        h0 where there are no steps. Half-precision states are rounded at every step, products and sums are
        in float32.

    Raises:
        TypeError: where dtypes differ or are not floating-point, mask is not bool, or checkpoint or
            return_sequences is of another type.
        ValueError: where shapes do not fit, activation or keep is another one, or checkpoint is below 1.

    Source: lecture, unit 3 "Exploding Gradients in vanilla RNNs".
    """
    as_choice("activation", activation, "tanh", "relu")
    as_choice("keep", keep, "x", "y", None)
    return_sequences = as_static_bool("return_sequences", return_sequences)
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
    segment = _segment(checkpoint, floats["x"].shape[-2])
    return _rnn(
        floats["x"],
        floats["W_x"],
        floats["W_h"],
        floats.get("b"),
        floats.get("h0"),
        mask,
        activation,
        keep or ("x" if floats["x"].dtype.itemsize == 2 else "y"),
        return_sequences,
        segment,
    )


def _segment(checkpoint: Any, steps: int) -> int | None:
    """The number of steps from one state that is kept to the next; None where all are."""
    if checkpoint is None:
        return None
    if isinstance(checkpoint, str):
        if checkpoint != "sqrt":
            raise ValueError(f"checkpoint must be 'sqrt', a number of steps or None, got {checkpoint!r}")
        return max(1, math.isqrt(steps))
    checkpoint = as_static_int("checkpoint", checkpoint)
    if checkpoint < 1:
        raise ValueError(f"checkpoint must be at least 1, got {checkpoint}")
    return checkpoint


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
    x: Float[Array, "... T n"],
    W_x: Float[Array, "m n"],
    W_h: Float[Array, "m m"],
    b: Float[Array, " m"] | None,
    h0: Float[Array, "... m"] | None,
    mask: Bool[Array, "... T"] | None,
    activation: Activation,
    return_sequences: bool = True,
) -> Float[Array, "... T m"] | Float[Array, "... m"]:
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

    last, every = lax.scan(step, h0, (jnp.moveaxis(x, -2, 0), jnp.moveaxis(mask, -1, 0)))
    return jnp.moveaxis(every, 0, -2) if return_sequences else last


def _times(x: Float[Array, "... n"], W: Float[Array, "m n"], dtype: np.dtype) -> Float[Array, "... m"]:
    return jnp.einsum("...n,mn->...m", x, W, preferred_element_type=dtype)


class _AllStates(NamedTuple):
    y: Float[Array, "... T m"]
    z: Float[Array, "... T m"] | None  # where tanh' is to be accurate


class _SegmentStarts(NamedTuple):
    """What the states of each segment are computed again from."""

    starts: Float[Array, "... segments m"]
    b: Float[Array, " m"] | None


class _Residuals(NamedTuple):
    x: Float[Array, "... T n"]
    W_x: Float[Array, "m n"]
    W_h: Float[Array, "m m"]
    b_like: Like | None
    h0: Float[Array, "... m"] | None
    mask: Bool[Array, "... T"] | None
    states: _AllStates | _SegmentStarts


def _rnn_fwd(
    x: Float[Array, "... T n"],
    W_x: Float[Array, "m n"],
    W_h: Float[Array, "m m"],
    b: Float[Array, " m"] | None,
    h0: Float[Array, "... m"] | None,
    mask: Bool[Array, "... T"] | None,
    activation: Activation,
    keep: str,
    return_sequences: bool,
    segment: int | None,
) -> tuple[Float[Array, "... T m"] | Float[Array, "... m"], _Residuals]:
    steps = x.shape[-2]
    length = segment or max(1, steps)
    whole, runs = whole_in_time(x, mask)
    start = start_of(whole, W_x, h0)
    keeps_z = segment is None and activation == "tanh" and keep == "x"

    def run(carry: tuple[Any, ...], first: Array | int, n: int) -> tuple[Any, ...]:
        h, y, z, starts = carry
        x_n, runs_n = read(whole, runs, first, n)
        starts = put(starts, jnp.expand_dims(h, -2), first // length)
        y_n, z_n, h = states(input_products(x_n, W_x), W_h, b, h, runs_n, n, activation, keeps_z)
        return h, put(y, y_n, first), put(z, z_n, first), starts

    carry = (
        start,
        no_steps_yet(start, steps, start.dtype) if return_sequences or segment is None else None,
        no_steps_yet(start, steps, accumulator(start.dtype)) if keeps_z else None,
        None if segment is None else no_steps_yet(start, -(-steps // length), start.dtype),
    )
    last, y, z, starts = over_segments(run, carry, steps, length)
    b_like = None if b is None else Like.of(b)
    kept = _AllStates(y, z) if segment is None else _SegmentStarts(starts, b)
    return y if return_sequences else last, _Residuals(x, W_x, W_h, b_like, h0, mask, kept)


def _rnn_value(*args: Any) -> Float[Array, "... T m"] | Float[Array, "... m"]:
    return _rnn_fwd(*args)[0]


_rnn = jax.custom_vjp(_rnn_value, nondiff_argnums=(6, 7, 8, 9))


def _rnn_bwd(
    activation: Activation,
    keep: str,
    return_sequences: bool,
    segment: int | None,
    residuals: _Residuals,
    dy: Float[Array, "... T m"] | Float[Array, "... m"],
) -> tuple[
    Float[Array, "... T n"],
    Float[Array, "m n"],
    Float[Array, "m m"],
    Float[Array, " m"] | None,
    Float[Array, "... m"] | None,
    None,
]:
    x, W_x, W_h, b_like, h0, mask, kept = residuals
    steps = x.shape[-2]
    length = segment or max(1, steps)
    whole, runs = whole_in_time(x, mask)
    start = start_of(whole, W_x, h0)
    wide = accumulator(x.dtype)
    every_dy, from_next = cotangent_at_end(dy, start, return_sequences)

    def run(carry: tuple[Any, ...], first: Array | int, n: int) -> tuple[Any, ...]:
        from_next, dx, dW_x, dW_h, db = carry
        x_n, runs_n = read(whole, runs, first, n)
        if isinstance(kept, _AllStates):
            h, y_n, z_n = start, kept.y, kept.z
        else:
            h = jnp.squeeze(cut(kept.starts, first // length, 1), -2)
            keeps_z = activation == "tanh" and keep == "x"
            y_n, z_n, _ = states(input_products(x_n, W_x), W_h, kept.b, h, runs_n, n, activation, keeps_z)
        dy_n = cut(every_dy, first, n)
        deltas, from_next = error_signals(dy_n, y_n, z_n, W_h, runs_n, activation, from_next)
        dx = put(dx, product(deltas, W_x.astype(wide), 0, explicit_sharding(x_n)), first)
        before = states_before(h, y_n, runs_n)
        dW_x = dW_x + weight_gradient(deltas, x_n.astype(wide), W_x, wide)
        dW_h = dW_h + weight_gradient(deltas, before.astype(wide), W_h, wide)
        if b_like is not None:
            db = db + place(jnp.sum(deltas, range(deltas.ndim - 1)), b_like.sharding)
        return from_next, dx, dW_x, dW_h, db

    carry = (
        from_next,
        filled(x.shape, x.dtype, explicit_sharding(whole), x),
        filled(W_x.shape, wide, explicit_sharding(W_x), x),
        filled(W_h.shape, wide, explicit_sharding(W_h), x),
        None if b_like is None else filled(b_like.shape, wide, b_like.sharding, x),
    )
    dstart, dx, dW_x, dW_h, db = over_segments(run, carry, steps, length, reverse=True)
    dW_x, dW_h = dW_x.astype(x.dtype), dW_h.astype(x.dtype)
    db = None if db is None else db.astype(x.dtype)
    dh0 = None if h0 is None else place(dstart.astype(h0.dtype), explicit_sharding(h0))
    return place(dx, explicit_sharding(x)), dW_x, dW_h, db, dh0, None


_rnn.defvjp(_rnn_fwd, _rnn_bwd)

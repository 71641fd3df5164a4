"""The affine map z = W x + b on a batch of rows, and its gradients."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats
from jaxbackprop._sharding import (
    Like,
    explicit_sharding,
    last_axis_sharding,
    place,
    product_sharding,
    vary_together,
)

from ._broadcast import unbroadcast


def linear(
    x: Float[ArrayLike, "... n"], W: Float[ArrayLike, "m n"], b: Float[ArrayLike, " m"] | None = None
) -> Float[Array, "... m"]:
    """Affine map z = W x + b of each row x.

    Gradient, with δ = dy: dx = Wᵀ δ; dW = Σ δ xᵀ and db = Σ δ, summed over the rows. Keeps x and W.

    Args:
        x: rows of n inputs under any leading axes.
        W: weights, outputs × inputs as in the lecture.
        b: bias, or None for none.

    Returns:
        z, of x's dtype; half-precision products are summed in float32.

    Raises:
        TypeError: where dtypes differ or are not floating-point.
        ValueError: where shapes do not fit.

    Source: lecture, unit 1 "Derivative wrt a weight matrix".
    """
    if b is None:
        x, W = as_floats(x=x, W=W)
    else:
        x, W, b = as_floats(x=x, W=W, b=b)
    if W.ndim != 2:
        raise ValueError(f"W must have shape (outputs, inputs), got {W.shape}")
    if x.ndim == 0:
        raise ValueError("x must have an axis of inputs, got a scalar")
    if x.shape[-1] != W.shape[1]:
        raise ValueError(f"W has shape {W.shape} but x ends in {x.shape[-1]}")
    if b is not None and b.shape != W.shape[:1]:
        raise ValueError(f"b must have shape {W.shape[:1]} for W of shape {W.shape}, got {b.shape}")
    if b is None:
        return _linear(*vary_together((x, W)), None)
    return _linear(*vary_together((x, W, b)))


def linear_plain(
    x: Float[Array, "... n"], W: Float[Array, "m n"], b: Float[Array, " m"] | None
) -> Float[Array, "... m"]:
    """The same map for autodiff to differentiate."""
    z = lax.dot_general(
        x,
        W,
        (((x.ndim - 1,), (1,)), ((), ())),
        preferred_element_type=accumulator(x.dtype),
        out_sharding=product_sharding(x, W),
    )
    if b is not None:
        # b may be split as W's rows are while z is not, where the batch takes the same mesh axis.
        b = place(b.astype(z.dtype), last_axis_sharding(z))
        z = z + jnp.expand_dims(b, range(z.ndim - 1))
    return z.astype(x.dtype)


_linear = jax.custom_vjp(linear_plain)


class _Residuals(NamedTuple):
    x: Float[Array, "... n"]
    W: Float[Array, "m n"]
    b_like: Like | None


def _linear_fwd(
    x: Float[Array, "... n"], W: Float[Array, "m n"], b: Float[Array, " m"] | None
) -> tuple[Float[Array, "... m"], _Residuals]:
    return linear_plain(x, W, b), _Residuals(x, W, None if b is None else Like.of(b))


def _linear_bwd(
    residuals: _Residuals, dy: Float[Array, "... m"]
) -> tuple[Float[Array, "... n"], Float[Array, "m n"], Float[Array, " m"] | None]:
    x, W, b_like = residuals
    wide = accumulator(x.dtype)
    # All three read the same rows of dy, which XLA would otherwise compute for each of them.
    dy_rows, x_rows = merged_rows(dy, x)
    dx = lax.dot_general(
        dy_rows,
        W,
        (((dy_rows.ndim - 1,), (0,)), ((), ())),
        preferred_element_type=wide,
        out_sharding=explicit_sharding(x),
    )
    dW = weight_gradient(dy_rows, x_rows, W, wide)
    db = None if b_like is None else unbroadcast(dy_rows, b_like)
    return dx.astype(x.dtype).reshape(x.shape), dW.astype(W.dtype), db


_linear.defvjp(_linear_fwd, _linear_bwd)

# ---- the gradient of weights, of recurrent layers too ------------------------------------------------------


def weight_gradient(
    dy: Float[Array, "... m"], x: Float[Array, "... n"], W: Float[Array, "m n"], dtype: np.dtype
) -> Float[Array, "m n"]:
    """Σ δ xᵀ over the rows, added up and returned in `dtype`, on the devices of W."""
    dy, x = merged_rows(dy, x)
    rows = tuple(range(x.ndim - 1))
    return lax.dot_general(
        dy, x, ((rows, rows), ((), ())), preferred_element_type=dtype, out_sharding=explicit_sharding(W)
    )


def merged_rows(
    dy: Float[Array, "... m"], x: Float[Array, "... n"]
) -> tuple[Float[Array, "rows m"], Float[Array, "rows n"]]:
    """The arrays with their leading axes made one.

    To sum over several axes, XLA multiplies by a transposed copy of dy; and for a layer that keeps Wᵀ, so
    that dW is transposed as well, the product itself then takes a CPU two to three times as long. An Explicit
    mesh may split each of the axes, so there they stay.
    """
    if x.ndim < 3 or explicit_sharding(x) or explicit_sharding(dy):
        return dy, x
    rows = math.prod(x.shape[:-1])
    return dy.reshape(rows, dy.shape[-1]), x.reshape(rows, x.shape[-1])

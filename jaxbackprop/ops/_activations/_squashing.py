"""Sigmoid, tanh and hardtanh: functions that squash their argument between two limits."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_choice, as_floats
from jaxbackprop._sharding import Like

from ._slopes import sigmoid_slope, tanh_slope

# ---- sigmoid ----------------------------------------------------------------------------------------------


def sigmoid(x: Float[ArrayLike, "..."], *, keep: Literal["x", "y"] = "x") -> Float[Array, "..."]:
    """Logistic function y = 1 / (1 + exp(-x)).

    Gradient: dx = y (1 - y) dy on paper. 1 - y cancels where y is near 1; σ' is even, so y = σ(-|x|) serves
    as well and is at most 1/2. That needs x; the lecture's form needs y alone.

    Args:
        x: any shape.
        keep: what the backward pass keeps; static. "x" is accurate: in float32 the gradient is off by at
            most 2.6 ulp (`jaxbackprop verify --accuracy`). "y" is lean where the next layer keeps y anyway
            (eight layers of 512 units on 2,048 rows: 38 MB of temporaries, with "x" 67 MB), but loses digits
            where y is near 1, and all of them (1.7e7 ulp) from x = 17 on, as jax.grad does.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.
        ValueError: where keep is neither "x" nor "y".

    Source: lecture, unit 2 "Backpropagation" (sigmoid); unit 3 "Activation Function".
    """
    (x,) = as_floats(x=x)
    return _sigmoid(x, as_choice("keep", keep, "x", "y"))


def sigmoid_plain(x: Float[Array, "..."], keep: str = "x") -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return lax.logistic(x)


_sigmoid = jax.custom_vjp(sigmoid_plain, nondiff_argnums=(1,))


def _sigmoid_fwd(x: Float[Array, "..."], keep: str) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    y = sigmoid_plain(x)
    return y, x if keep == "x" else y


def _sigmoid_bwd(keep: str, kept: Float[Array, "..."], dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    wide = kept.astype(accumulator(kept.dtype))
    slope = sigmoid_slope(wide) if keep == "x" else wide * (1 - wide)
    return ((slope * dy.astype(wide.dtype)).astype(kept.dtype),)


_sigmoid.defvjp(_sigmoid_fwd, _sigmoid_bwd)

# ---- tanh -------------------------------------------------------------------------------------------------


def tanh(x: Float[ArrayLike, "..."], *, keep: Literal["x", "y"] = "x") -> Float[Array, "..."]:
    """Hyperbolic tangent y = (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Gradient: dx = (1 - y²) dy on paper. 1 - y² cancels where |y| is near 1; it is 4 σ'(2x), for
    tanh(x) = 2 σ(2x) - 1, which does not (see `sigmoid`). That needs x; the lecture's form needs y alone.

    Args:
        x: any shape.
        keep: what the backward pass keeps; static. "x" is accurate: in float32 the gradient is off by at
            most 2.6 ulp (`jaxbackprop verify --accuracy`). "y" is lean where the next layer keeps y anyway
            (eight layers of 512 units on 2,048 rows: 38 MB of temporaries, with "x" 67 MB), but loses digits
            where |y| is near 1, and all of them (1.7e7 ulp) from |x| = 9 on, as jax.grad does.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.
        ValueError: where keep is neither "x" nor "y".

    Source: lecture, unit 3 "Activation Function".
    """
    (x,) = as_floats(x=x)
    return _tanh(x, as_choice("keep", keep, "x", "y"))


def tanh_plain(x: Float[Array, "..."], keep: str = "x") -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return lax.tanh(x)


_tanh = jax.custom_vjp(tanh_plain, nondiff_argnums=(1,))


def _tanh_fwd(x: Float[Array, "..."], keep: str) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    y = tanh_plain(x)
    return y, x if keep == "x" else y


def _tanh_bwd(keep: str, kept: Float[Array, "..."], dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    wide = kept.astype(accumulator(kept.dtype))
    slope = tanh_slope(wide) if keep == "x" else (1 - wide) * (1 + wide)
    return ((slope * dy.astype(wide.dtype)).astype(kept.dtype),)


_tanh.defvjp(_tanh_fwd, _tanh_bwd)

# ---- hardtanh ---------------------------------------------------------------------------------------------


def hardtanh(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Piecewise-linear tanh: -1 below -1, x between, 1 above 1.

    Gradient: dx = dy where -1 <= x <= 1, else 0. At the kinks -1 and 1 any slope in [0, 1] is a valid
    generalised gradient; the lecture's -1 <= x <= 1 chooses 1. Keeps one bool an entry.

    Args:
        x: any shape.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.

    Source: lecture, unit 3 "Activation Function".
    """
    (x,) = as_floats(x=x)
    return _hardtanh(x)


def hardtanh_plain(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.clip(x, -1, 1)


_hardtanh = jax.custom_vjp(hardtanh_plain)


class _HardtanhResiduals(NamedTuple):
    inside: Bool[Array, "..."]  # where -1 <= x <= 1
    x_like: Like


def _hardtanh_fwd(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], _HardtanhResiduals]:
    return hardtanh_plain(x), _HardtanhResiduals(jnp.abs(x) <= 1, Like.of(x))


def _hardtanh_bwd(residuals: _HardtanhResiduals, dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    inside, x_like = residuals
    return (jnp.where(inside, dy, jnp.zeros_like(dy)).astype(x_like.dtype),)


_hardtanh.defvjp(_hardtanh_fwd, _hardtanh_bwd)

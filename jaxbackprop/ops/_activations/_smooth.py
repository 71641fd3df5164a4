"""Softplus, silu and gelu: smooth relatives of relu.

Their backward passes call nothing that has a custom VJP of its own, so that they can be differentiated again,
forward as well as reverse (`jax.hessian`).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats, as_static_bool

from ._slopes import sigmoids

# ---- softplus ---------------------------------------------------------------------------------------------


def softplus(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Smooth relu y = log(1 + exp(x)), computed as max(x, 0) + log1p(exp(-|x|)).

    Gradient: dx = σ(x) dy, the sigmoid of x. Keeps x.

    Args:
        x: any shape.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.

    Source: Dugas et al. 2001; the lecture has its relatives, unit 3 "Activation Function".
    """
    (x,) = as_floats(x=x)
    return _softplus(x)


def softplus_plain(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.logaddexp(x, jnp.zeros_like(x))


_softplus = jax.custom_vjp(softplus_plain)


def _softplus_fwd(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return softplus_plain(x), x


def _softplus_bwd(x: Float[Array, "..."], dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    slope = lax.logistic(x.astype(accumulator(x.dtype)))
    return ((slope * dy.astype(slope.dtype)).astype(x.dtype),)


_softplus.defvjp(_softplus_fwd, _softplus_bwd)

# ---- silu -------------------------------------------------------------------------------------------------


def silu(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Sigmoid linear unit (swish) y = x σ(x).

    Gradient: dx = σ(x) (1 + x σ(-x)) dy, by the product rule and σ' = σ(x) σ(-x). Zero at x = -1.278, where
    the two terms cancel. Keeps x.

    Args:
        x: any shape.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.

    Source: Elfwing et al. 2018; the lecture has its relatives, unit 3 "Activation Function".
    """
    (x,) = as_floats(x=x)
    return _silu(x)


def silu_plain(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return x * lax.logistic(x)


_silu = jax.custom_vjp(silu_plain)


def _silu_fwd(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return silu_plain(x), x


def _silu_bwd(x: Float[Array, "..."], dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    # Beyond the bounds the slope is 0 or 1 in any dtype; at inf the product would be inf · 0.
    x_in = jnp.clip(x.astype(accumulator(x.dtype)), -1000, 1000)
    y, other = sigmoids(x_in)
    slope = y * (1 + x_in * other)
    return ((slope * dy.astype(slope.dtype)).astype(x.dtype),)


_silu.defvjp(_silu_fwd, _silu_bwd)

# ---- gelu -------------------------------------------------------------------------------------------------


def gelu(x: Float[ArrayLike, "..."], *, approximate: bool = True) -> Float[Array, "..."]:
    """Gaussian error linear unit y = x Φ(x), Φ the distribution function of the standard normal.

    Exact, the gradient is dx = (Φ(x) + x φ(x)) dy, with φ = Φ' the density. Around x = -√2, where the slope
    is least (-0.129), the two terms cancel and its Taylor series takes over.

    The approximation is y = x σ(v), v = 2√(2/π) (x + 0.044715 x³), which is x (1 + tanh(v/2)) / 2, and
    dx = σ(v) (1 + x v' σ(-v)) dy. Both are zero near x = -0.752. Keeps x.

    Args:
        x: any shape.
        approximate: the tanh form (True, as in jax.nn.gelu), or the exact one; static.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point, or approximate is no static bool.

    Source: lecture, unit 3 "Activation Function"; Hendrycks and Gimpel 2016.
    """
    (x,) = as_floats(x=x)
    return _gelu_tanh(x) if as_static_bool("approximate", approximate) else _gelu_exact(x)


def gelu_plain(x: Float[Array, "..."], approximate: bool) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return _gelu_tanh_plain(x) if approximate else _gelu_exact_plain(x)


def _gelu_exact_plain(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.nn.gelu(x, approximate=False)


_gelu_exact = jax.custom_vjp(_gelu_exact_plain)


def _gelu_exact_fwd(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return _gelu_exact_plain(x), x


def _gelu_exact_bwd(x: Float[Array, "..."], dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    # Beyond the bounds the slope is 0 or 1 in any dtype; at inf the product would be inf · 0.
    x_in = jnp.clip(x.astype(accumulator(x.dtype)), -40, 40)
    t = math.sqrt(0.5) * x_in
    # erfc keeps the digits of a small Φ, erf those of x near 0, which XLA's erfc loses.
    cdf = jnp.where(x_in < -0.5, 0.5 * lax.erfc(-t), 0.5 + 0.5 * lax.erf(t))
    density = math.sqrt(0.5 / math.pi) * jnp.exp(-0.5 * x_in * x_in)
    z = x_in - _LEAST
    slope = jnp.where(jnp.abs(z) < 0.5, _gelu_slope_series(z), cdf + x_in * density)
    return ((slope * dy.astype(slope.dtype)).astype(x.dtype),)


_gelu_exact.defvjp(_gelu_exact_fwd, _gelu_exact_bwd)

# Near -√2, and a number that every dtype holds, so that x - _LEAST is exact close by.
_LEAST = -1.4140625


def _gelu_slope_series(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Taylor series of Φ(x) + x φ(x), whose derivative is (2 - x²) φ(x), in z = x - _LEAST, |z| < 1/2."""
    # The last term is below a thousandth of the dtype's resolution at |z| = 1/2.
    terms = 25 if z.dtype.itemsize > 4 else 13
    density = [0.0, 0.0, math.exp(-0.5 * _LEAST**2) / math.sqrt(2 * math.pi)]
    series = [0.5 * math.erfc(-_LEAST / math.sqrt(2)) + _LEAST * density[-1]]
    for k in range(1, terms):
        *_, before_last, last, now = density
        series.append(((2 - _LEAST**2) * now - 2 * _LEAST * last - before_last) / k)
        # φ' = -x φ.
        density.append(-(_LEAST * now + last) / k)
    slope = jnp.full_like(z, series[-1])
    for coefficient in reversed(series[:-1]):
        slope = slope * z + coefficient
    return slope


def _gelu_tanh_plain(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.nn.gelu(x, approximate=True)


def _gelu_tanh_value(x: Float[Array, "..."]) -> Float[Array, "..."]:
    # 1 + tanh(v/2) cancels where x is negative, 2σ(v) does not. Compiled together with the backward pass, its
    # exponential serves both.
    wide = x.astype(accumulator(x.dtype))
    return (wide * sigmoids(_gate(wide)[0])[0]).astype(x.dtype)


def _gate(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """v(x) and v'(x)."""
    linear = 2 * math.sqrt(2 / math.pi)
    cubic = 0.044715 * linear
    square = x * x
    return x * (linear + cubic * square), linear + 3 * cubic * square


_gelu_tanh = jax.custom_vjp(_gelu_tanh_value)


def _gelu_tanh_fwd(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return _gelu_tanh_value(x), x


def _gelu_tanh_bwd(x: Float[Array, "..."], dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    # Beyond the bounds the slope is 0 or 1 in any dtype; x³ may overflow there.
    x_in = jnp.clip(x.astype(accumulator(x.dtype)), -30, 30)
    v, rate = _gate(x_in)
    y, other = sigmoids(v)
    slope = y * (1 + x_in * rate * other)
    return ((slope * dy.astype(slope.dtype)).astype(x.dtype),)


_gelu_tanh.defvjp(_gelu_tanh_fwd, _gelu_tanh_bwd)

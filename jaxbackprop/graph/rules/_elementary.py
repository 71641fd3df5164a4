"""Elementary and special functions, entry by entry."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from ._rule import Local, rule

# ---- exponentials and logarithms --------------------------------------------------------------------------


@rule("exp", formula="dx = y dy")
def _exp(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * at.y[0]


@rule("exp2", formula="dx = log(2) y dy")
def _exp2(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return math.log(2) * (dy * at.y[0])


@rule("expm1", formula="dx = exp(x) dy")
def _expm1(at: Local, i: int, dy: jax.Array) -> jax.Array:
    # Not y + 1: of a small exponential that leaves rounding alone.
    return dy * lax.exp(at.x[0], accuracy=at.params["accuracy"])


@rule("log", formula="dx = dy / x")
def _log(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy / at.x[0]


@rule("log2", formula="dx = dy / (x log(2))")
def _log2(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy / (at.x[0] * math.log(2))


@rule("log1p", formula="dx = dy / (1 + x)")
def _log1p(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy / (1 + at.x[0])


@rule("logistic", formula="dx = y (1 - y) dy")
def _logistic(at: Local, i: int, dy: jax.Array) -> jax.Array:
    y = at.y[0]
    if _highest(at):
        # 1 - y, which does not cancel where y is near 1.
        return dy * (y * lax.logistic(-at.x[0], accuracy=at.params["accuracy"]))
    return dy * (y * (1 - y))


def _highest(at: Local) -> bool:
    """Whether the function was asked for in the highest accuracy."""
    return at.params["accuracy"] is lax.AccuracyMode.HIGHEST


# ---- hyperbolic functions and their inverses --------------------------------------------------------------


@rule("tanh", formula="dx = (1 - y²) dy")
def _tanh(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if _highest(at):
        # 1 - y = 2 σ(-2x) and 1 + y = 2 σ(2x), which do not cancel where y is near 1 or -1.
        double, accuracy = 2 * at.x[0], at.params["accuracy"]
        left, right = (lax.logistic(x, accuracy=accuracy) for x in (-double, double))
        return dy * (4 * (left * right))
    # Factors, for 1 - y² loses digits where y is near 1 or -1.
    y = at.y[0]
    return dy * ((1 - y) * (1 + y))


@rule("sinh", formula="dx = cosh(x) dy")
def _sinh(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * lax.cosh(at.x[0])


@rule("cosh", formula="dx = sinh(x) dy")
def _cosh(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * lax.sinh(at.x[0])


@rule("asinh", formula="dx = dy / √(x² + 1)")
def _asinh(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    return dy * lax.rsqrt(x * x + 1)


@rule("acosh", formula="dx = dy / √(x² - 1)")
def _acosh(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    return dy * lax.rsqrt((x - 1) * (x + 1))


@rule("atanh", formula="dx = dy / (1 - x²)")
def _atanh(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    return dy / ((1 - x) * (1 + x))


# ---- circular functions and their inverses ----------------------------------------------------------------


@rule("sin", formula="dx = cos(x) dy")
def _sin(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * lax.cos(at.x[0], accuracy=at.params["accuracy"])


@rule("cos", formula="dx = -sin(x) dy")
def _cos(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return -dy * lax.sin(at.x[0], accuracy=at.params["accuracy"])


@rule("tan", formula="dx = (1 + y²) dy")
def _tan(at: Local, i: int, dy: jax.Array) -> jax.Array:
    y = at.y[0]
    return dy * (1 + y * y)


@rule("asin", formula="dx = dy / √(1 - x²)")
def _asin(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    return dy * lax.rsqrt((1 - x) * (1 + x))


@rule("acos", formula="dx = -dy / √(1 - x²)")
def _acos(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    return -dy * lax.rsqrt((1 - x) * (1 + x))


@rule("atan", formula="dx = dy / (1 + x²)")
def _atan(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    return dy / (1 + x * x)


@rule("atan2", formula="da = b / (a² + b²) dy, db = -a / (a² + b²) dy")
def _atan2(at: Local, i: int, dy: jax.Array) -> jax.Array:
    a, b = at.x[0], at.x[1]
    return (dy if i == 0 else -dy) * (at.x[1 - i] / (a * a + b * b))


# ---- error functions --------------------------------------------------------------------------------------


@rule("erf", formula="dx = 2/√π exp(-x²) dy")
def _erf(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    return 2 / math.sqrt(math.pi) * (dy * lax.exp(-(x * x)))


@rule("erfc", formula="dx = -2/√π exp(-x²) dy")
def _erfc(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return -_erf(at, i, dy)


@rule("erf_inv", formula="dx = √π/2 exp(y²) dy")
def _erf_inv(at: Local, i: int, dy: jax.Array) -> jax.Array:
    y = at.y[0]
    return math.sqrt(math.pi) / 2 * (dy * lax.exp(y * y))


# ---- the gamma function's family --------------------------------------------------------------------------


@rule("lgamma", formula="dx = ψ(x) dy")
def _lgamma(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * lax.digamma(at.x[0])


@rule("digamma", formula="dx = ψ'(x) dy")
def _digamma(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * lax.polygamma(jnp.ones((), at.operands[0].dtype), at.x[0])


@rule("polygamma", formula="db = ψ⁽ᵃ⁺¹⁾(b) dy")
def _polygamma(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if i == 0:
        raise NotImplementedError("polygamma has no gradient for its order")
    return dy * lax.polygamma(at.x[0] + 1, at.x[1])


@rule("igamma", formula="da = ∂y/∂a dy (a series), db = bᵃ⁻¹ exp(-b) / Γ(a) dy")
def _igamma(at: Local, i: int, dy: jax.Array) -> jax.Array:
    a, x = at.x[0], at.x[1]
    if i == 0:
        return dy * lax.igamma_grad_a(a, x)
    return dy * lax.exp(-x + (a - 1) * lax.log(x) - lax.lgamma(a))


@rule("igammac", formula="da = ∂y/∂a dy (a series), db = -bᵃ⁻¹ exp(-b) / Γ(a) dy")
def _igammac(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return -_igamma(at, i, dy)


@rule("regularized_incomplete_beta", formula="dx2 = x2ᵃ⁻¹ (1 - x2)ᵇ⁻¹ / B(a, b) dy, a = x0, b = x1")
def _regularized_incomplete_beta(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if i < 2:
        raise NotImplementedError("betainc has a gradient for x alone, not for a and b")
    a, b, x = at.x[0], at.x[1], at.x[2]
    log_beta = lax.lgamma(a) + lax.lgamma(b) - lax.lgamma(a + b)
    return dy * lax.exp((b - 1) * lax.log1p(-x) + (a - 1) * lax.log(x) - log_beta)


@rule("random_gamma", formula="db = ∂y/∂b dy, how the sample moves with its shape parameter (a series)")
def _random_gamma(at: Local, i: int, dy: jax.Array) -> jax.Array:
    sample = at.y[0]
    if not at.params["log_space"]:
        return dy * lax.random_gamma_grad(at.x[1], sample)
    # The result is the sample's logarithm. A sample too small for its dtype counts as the smallest number.
    sample = lax.exp(sample)
    sample = jnp.where(sample == 0, float(jnp.finfo(sample.dtype).tiny), sample)
    return dy * (lax.random_gamma_grad(at.x[1], sample) / sample)


# ---- Bessel functions, scaled by exp(-|x|) ----------------------------------------------------------------


@rule("bessel_i0e", formula="dx = (I₁(x) exp(-|x|) - sign(x) y) dy")
def _bessel_i0e(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    return dy * (lax.bessel_i1e(x) - lax.sign(x) * at.y[0])


@rule("bessel_i1e", formula="dx = (I₀(x) exp(-|x|) - (sign(x) + 1/x) y) dy, dy / 2 at 0")
def _bessel_i1e(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x, tiny = at.x[0], float(jnp.finfo(at.operands[0].dtype).eps)
    apart = lax.abs(x) > tiny
    safe = jnp.where(apart, x, tiny)
    slope = lax.bessel_i0e(safe) - at.y[0] * (lax.sign(safe) + 1 / safe)
    return dy * jnp.where(apart, slope, 0.5)

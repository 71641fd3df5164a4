"""Arithmetic, entry by entry: sums, products, powers, roots, choices, conversions, and what hands values on.

Where an operand was broadcast the gradient has the result's shape: the sweep adds up the copies. At ties and
kinks the choice among the valid gradients is that of JAX's own differentiation, and stands with the rule.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from .._graph import DISTRIBUTOR, ROUTER, SWAP_MULTIPLIER
from ._rule import BLOCKED, Local, rule

BLOCKED.update({"sign", "floor", "ceil", "round", "stop_gradient", "bitcast_convert_type"})

# ---- sums, products, quotients ----------------------------------------------------------------------------


@rule("neg", formula="dx = -dy")
def _neg(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return -dy


@rule("add", "add_any", formula="da = dy, db = dy", gate=DISTRIBUTOR)
def _add(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy


@rule("sub", formula="da = dy, db = -dy", gate=DISTRIBUTOR)
def _sub(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy if i == 0 else -dy


@rule("mul", formula="da = b dy, db = a dy", gate=SWAP_MULTIPLIER)
def _mul(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if at.params.get("out_dtype") is None:
        return dy * at.x[1 - i]
    # A product in another dtype than the operands'.
    return lax.mul(dy, at.x[1 - i], out_dtype=at.operands[i].dtype)


@rule("div", formula="da = dy / b, db = -dy y / b")
def _div(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if i == 0:
        return dy / at.x[1]
    if at.operands[1].shape != at.results[0].shape:
        return _div_of_many(at, dy)
    # Twice divided by b: b² would overflow long before b. Where a is the smaller (as in 1 / x) the quotient
    # is formed again, so that b alone is kept.
    whole = at.operands[0].shape == at.results[0].shape
    quotient = at.y[0] if whole else at.x[0] / at.x[1]
    return -dy * (quotient / at.x[1])


def _div_of_many(at: Local, dy: jax.Array) -> jax.Array:
    """The gradient of a number that divides many: what they say is added up before b divides it, twice."""
    b = at.operands[1]
    pairs = enumerate(zip(dy.shape, b.shape, strict=bool(b.shape)))
    copied = tuple(axis for axis, (copies, size) in pairs if copies != size) if b.shape else None
    # A sum of halves may be too large for a half before it is divided.
    wide = b.dtype if jnp.finfo(b.dtype).bits >= 32 else jnp.float32
    total = jnp.sum(dy * at.x[0], copied, dtype=wide, keepdims=bool(b.shape))
    # Divided once: compilers repeat what is done to this number for each that it is handed to.
    inverse = 1 / jnp.asarray(at.x[1], wide)
    return lax.convert_element_type(-(total * inverse) * inverse, b.dtype)


@rule("Ldexp", formula="da = dy 2ᵇ")
def _ldexp(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return jnp.ldexp(dy, at.x[1])


@rule("rem", formula="da = dy, db = -dy trunc(a / b)")
def _rem(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy if i == 0 else -dy * jnp.trunc(at.x[0] / at.x[1])


@rule("polynomial", formula="dx0 = Σ k cₖ x0ᵏ⁻¹ dy, dcₖ = x0ᵏ dy, the cₖ being x1, x2, ...")
def _polynomial(at: Local, i: int, dy: jax.Array) -> jax.Array:
    power = i - 1
    if power == 0:
        return dy
    if power > 0:
        return dy * lax.integer_pow(at.x[0], power)
    degree = len(at.x) - 2
    slope = degree * at.x[-1]
    for k in range(degree - 1, 0, -1):
        slope = slope * at.x[0] + k * at.x[k + 1]
    return dy * slope


# ---- powers and roots -------------------------------------------------------------------------------------


@rule("pow", formula="da = b aᵇ⁻¹ dy, db = log(a) y dy")
def _pow(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if i == 1:
        # At a = 0 the logarithm counts as 0: what is 0 stays 0 when its exponent moves.
        return dy * (lax.log(jnp.where(at.x[0] == 0, 1, at.x[0])) * at.y[0])
    # The exponent may be an integer.
    b = jnp.asarray(at.x[1], at.results[0].dtype)
    slope = b * lax.pow(at.x[0], b - 1)
    if jnp.issubdtype(at.operands[1].dtype, jnp.integer):
        # a⁰ is 1 at a = 0 too. For a floating-point exponent JAX leaves 0 · ∞ there.
        slope = jnp.where(b == 0, 0, slope)
    return dy * slope


@rule("integer_pow", formula="dx = n xⁿ⁻¹ dy")
def _integer_pow(at: Local, i: int, dy: jax.Array) -> jax.Array:
    n = at.params["y"]
    if n == 0:
        return jnp.zeros_like(dy)
    if n == 1:
        return dy
    if n == -1:
        # -1 / x² without a division.
        return -(dy * at.y[0]) * at.y[0]
    return dy * (n * lax.integer_pow(at.x[0], n - 1))


@rule("square", formula="dx = 2 x dy")
def _square(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * (2 * at.x[0])


@rule("one_minus_square", formula="dx = -2 x dy")
def _one_minus_square(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * (-2 * at.x[0])


@rule("sqrt", formula="dx = dy / (2 y)")
def _sqrt(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * (0.5 / at.y[0])


@rule("rsqrt", formula="dx = -y / (2 x) dy")
def _rsqrt(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy * (-0.5 * (at.y[0] / at.x[0]))


@rule("cbrt", formula="dx = dy / (3 y²)")
def _cbrt(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy / (3 * (at.y[0] * at.y[0]))


# ---- choices ----------------------------------------------------------------------------------------------


@rule("max", formula="da = dy where a > b, dy / 2 where a = b, else 0; db likewise", gate=ROUTER)
def _max(at: Local, i: int, dy: jax.Array) -> jax.Array:
    mine, other = at.x[i], at.x[1 - i]
    return jnp.where(mine > other, dy, jnp.where(mine == other, dy * 0.5, 0))


@rule("min", formula="da = dy where a < b, dy / 2 where a = b, else 0; db likewise", gate=ROUTER)
def _min(at: Local, i: int, dy: jax.Array) -> jax.Array:
    mine, other = at.x[i], at.x[1 - i]
    return jnp.where(mine < other, dy, jnp.where(mine == other, dy * 0.5, 0))


@rule("abs", formula="dx = dy where x >= 0, else -dy")
def _abs(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = at.x[0]
    if jnp.issubdtype(at.operands[0].dtype, jnp.complexfloating):
        scale = dy / jnp.where(at.y[0] == 0, 1, at.y[0])
        return lax.complex(lax.real(x) * scale, -lax.imag(x) * scale)
    return lax.select(x >= 0, dy, -dy)


@rule("clamp", formula="dx1 = dy where x0 < x1 < x2, else 0; a bound gets dy where it cut", gate=ROUTER)
def _clamp(at: Local, i: int, dy: jax.Array) -> jax.Array:
    low, x, high = at.x[0], at.x[1], at.x[2]
    if i == 0:
        return jnp.where((low > x) & (low < high), dy, 0)
    if i == 1:
        return jnp.where((low < x) & (x < high), dy, 0)
    return jnp.where(high < x, dy, 0)


@rule("select_n", formula="dxₖ = dy where case k - 1 was chosen, else 0", gate=ROUTER)
def _select_n(at: Local, i: int, dy: jax.Array) -> jax.Array:
    which = at.x[0]
    if at.operands[0].dtype != jnp.bool_:
        return jnp.where(which == i - 1, dy, 0)
    return jnp.where(which, 0, dy) if i == 1 else jnp.where(which, dy, 0)


# ---- conversions ------------------------------------------------------------------------------------------


@rule("convert_element_type", formula="dx = dy")
def _convert_element_type(at: Local, i: int, dy: jax.Array) -> jax.Array:
    before, after = at.operands[0].dtype, at.results[0].dtype
    if jnp.issubdtype(after, jnp.complexfloating) and not jnp.issubdtype(before, jnp.complexfloating):
        dy = lax.real(dy)
    return lax.convert_element_type(dy, before)


@rule("reduce_precision", formula="dx = dy, rounded likewise")
def _reduce_precision(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.reduce_precision(dy, at.params["exponent_bits"], at.params["mantissa_bits"])


@rule("nextafter", formula="da = dy, db = 0")
def _nextafter(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy if i == 0 else jnp.zeros_like(dy)


@rule("real", formula="dx = dy")
def _real(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.complex(dy, jnp.zeros_like(dy))


@rule("imag", formula="dx = -i dy")
def _imag(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.complex(jnp.zeros_like(dy), -dy)


@rule("complex", formula="da = Re dy, db = -Im dy")
def _complex(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.real(dy) if i == 0 else -lax.imag(dy)


@rule("conj", formula="dx = conj(dy)")
def _conj(at: Local, i: int, dy: jax.Array) -> jax.Array:
    is_complex = jnp.issubdtype(at.operands[0].dtype, jnp.complexfloating)
    return lax.conj(dy) if is_complex else lax.real(dy)


# ---- what hands values on ---------------------------------------------------------------------------------


@rule("copy", "name", formula="dx = dy")
def _same(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy


@rule("optimization_barrier", formula="each operand gets the gradient of its result")
def _optimization_barrier(at: Local, i: int, *dys: jax.Array) -> jax.Array:
    return lax.optimization_barrier(dys[i])


@rule("device_put", formula="each operand gets the gradient of its result, where it lies itself")
def _device_put(at: Local, i: int, *dys: jax.Array) -> jax.Array:
    source = at.params["srcs"][i]
    return dys[i] if source is None else jax.device_put(dys[i], source)

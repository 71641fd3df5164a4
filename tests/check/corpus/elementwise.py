"""Activations and other functions of one entry, and gradients that are deliberately others."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf

from tests.check.corpus._case import Case, Operator, draw


def _of_input(name, f, derivative, scale=1.5, shift=0.0):
    """An operator that keeps x."""
    return Operator(
        f"elementwise/{name}",
        f,
        lambda x: (f(x), (x,)),
        lambda x, dy: (derivative(x) * dy,),
        lambda dtype: (draw(dtype, 7, scale=scale, shift=shift),),
    )


def _of_output(name, f, derivative):
    """An operator that keeps y."""
    return Operator(
        f"elementwise/{name}",
        f,
        lambda x: (y := f(x), (y,)),
        lambda y, dy: (derivative(y) * dy,),
        lambda dtype: (draw(dtype, 7, scale=1.5),),
    )


def _saving(f, *what):
    """A forward rule that keeps functions of x."""
    return lambda x: (f(x), tuple(g(x) for g in what))


def _same(x):
    return x


sigmoid = _of_output("sigmoid", jax.nn.sigmoid, lambda y: y * (1 - y))
sigmoid_of_input = _of_input("sigmoid of x", jax.nn.sigmoid, lambda x: jax.nn.sigmoid(x) * jax.nn.sigmoid(-x))
tanh = _of_output("tanh", jnp.tanh, lambda y: 1 - y * y)
exp = _of_output("exp", jnp.exp, _same)
sqrt = _of_output("sqrt", lambda x: jnp.sqrt(x), lambda y: 0.5 / y)
softplus = _of_input("softplus", jax.nn.softplus, jax.nn.sigmoid)
atan = _of_input("atan", jnp.arctan, lambda x: 1 / (1 + x * x))
log1p = _of_input("log1p", jnp.log1p, lambda x: 1 / (1 + x), scale=0.25, shift=1.0)
expm1 = _of_input("expm1", jnp.expm1, jnp.exp)
elu = _of_input(
    "elu",
    lambda x: jnp.where(x > 0, x, jnp.expm1(jnp.minimum(x, 0.0))),
    lambda x: jnp.exp(jnp.minimum(x, 0.0)),
)


def _silu(x):
    return x * jax.nn.sigmoid(x)


def _silu_slope(x):
    s = jax.nn.sigmoid(x)
    return s + x * s * (1 - s)


silu = _of_input("silu", _silu, _silu_slope)


def _gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def _normal_density(x):
    return jnp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _normal_cdf(x):
    return 0.5 * (1 + erf(x / math.sqrt(2)))


gelu = _of_input("gelu", _gelu, lambda x: _normal_cdf(x) + x * _normal_density(x))


def _tanh_gelu(x):
    return 0.5 * x * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ROOT = math.sqrt(2 / math.pi)


def _tanh_gelu_slope(x, scale=ROOT, cubic=0.044715):
    t = jnp.tanh(scale * (x + cubic * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * scale * (1 + 3 * cubic * x * x)


tanh_gelu = _of_input("tanh gelu", _tanh_gelu, _tanh_gelu_slope)

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772


def _selu(x):
    return LAMBDA * jnp.where(x > 0, x, ALPHA * jnp.expm1(jnp.minimum(x, 0.0)))


def _selu_slope(x, scale=LAMBDA, alpha=ALPHA):
    return scale * jnp.where(x > 0, 1.0, alpha * jnp.exp(jnp.minimum(x, 0.0)))


selu = _of_input("selu", _selu, _selu_slope)

# ---- x / √(1 + x²), a sum of two results, powers, a slope that is learnt ----------------------------------

isqrt = _of_input(
    "inverse square root unit", lambda x: x / jnp.sqrt(1 + x * x), lambda x: (1 + x * x) ** -1.5
)

sin_cos = Operator(
    "elementwise/sin and cos",
    lambda x: (jnp.sin(x), jnp.cos(x)),
    lambda x: ((jnp.sin(x), jnp.cos(x)), (x,)),
    lambda x, dy: (dy[0] * jnp.cos(x) - dy[1] * jnp.sin(x),),
    lambda dtype: (draw(dtype, 5),),
)

power = Operator(
    "elementwise/integer power",
    lambda x, n: x**n,
    lambda x, n: (x**n, (x,)),
    lambda n, x, dy: (n * x ** (n - 1) * dy,),
    lambda dtype: (draw(dtype, 5), 3),
    static=(1,),
)


def _real_power_args(dtype):
    return (0.5 + abs(draw("float64", 5))).astype(np.dtype(dtype)), np.asarray(1.7, np.dtype(dtype))


real_power = Operator(
    "elementwise/power",
    lambda x, p: x**p,
    lambda x, p: (x**p, (x, p)),
    lambda x, p, dy: (p * x ** (p - 1) * dy, jnp.sum(x**p * jnp.log(x) * dy)),
    _real_power_args,
)


def _prelu(x, a):
    return jnp.where(x > 0, x, a * x)


prelu = Operator(
    "elementwise/prelu",
    _prelu,
    lambda x, a: (_prelu(x, a), (x, a)),
    lambda x, a, dy: (jnp.where(x > 0, dy, a * dy), jnp.sum(jnp.where(x > 0, 0.0, x * dy))),
    lambda dtype: (draw(dtype, 6), np.asarray(0.25, np.dtype(dtype))),
)

product = Operator(
    "elementwise/product",
    lambda x, y: x * y,
    lambda x, y: (x * y, (x, y)),
    lambda x, y, dz: (y * dz, x * dz),
    lambda dtype: (draw(dtype, 4), draw(dtype, 4, seed=1)),
)

# ---- guarded: a function that is finite everywhere, autodiff that is not ----------------------------------


def _guarded_log(x):
    return jnp.where(x > 0, jnp.log(x), 0.0)


guarded_log = Operator(
    "elementwise/guarded log",
    _guarded_log,
    lambda x: (_guarded_log(x), (x,)),
    lambda x, dy: (jnp.where(x > 0, dy / jnp.where(x > 0, x, 1.0), 0.0),),
    lambda dtype: (np.asarray([-1.0, 2.0, 0.5, -3.0]).astype(np.dtype(dtype)),),
)

guarded_sqrt = Operator(
    "elementwise/guarded sqrt",
    lambda x: jnp.where(x > 1e-3, jnp.sqrt(x), 0.0),
    lambda x: (jnp.where(x > 1e-3, jnp.sqrt(x), 0.0), (x,)),
    lambda x, dy: (jnp.where(x > 1e-3, 0.5 / jnp.sqrt(jnp.where(x > 1e-3, x, 1.0)) * dy, 0.0),),
    lambda dtype: (np.asarray([0.0, 2.0, 0.25, -1.0]).astype(np.dtype(dtype)),),
)

sinc = Operator(
    "elementwise/sinc",
    lambda x: jnp.where(x == 0, 1.0, jnp.sin(x) / x),
    lambda x: (jnp.where(x == 0, 1.0, jnp.sin(x) / jnp.where(x == 0, 1.0, x)), (x,)),
    lambda x, dy: (
        jnp.where(x == 0, 0.0, (x * jnp.cos(x) - jnp.sin(x)) / jnp.where(x == 0, 1.0, x * x)) * dy,
    ),
    lambda dtype: (np.asarray([0.0, 1.0, -2.0]).astype(np.dtype(dtype)),),
)

# ---- gradients that are not the function's derivative -----------------------------------------------------

straight_through = Operator(
    "elementwise/straight-through round",
    lambda x: jnp.round(x),
    lambda x: (jnp.round(x), ()),
    lambda dy: (dy,),
    lambda dtype: (draw(dtype, 5, scale=3.0),),
)

gradient_reversal = Operator(
    "elementwise/gradient reversal",
    lambda x, strength: x,
    lambda x, strength: (x, ()),
    lambda strength, dy: (-strength * dy,),
    lambda dtype: (draw(dtype, 4), 0.5),
    static=(1,),
)

gradient_clipping = Operator(
    "elementwise/gradient clipping",
    _same,
    lambda x: (x, ()),
    lambda dy: (jnp.clip(dy, -0.5, 0.5),),
    lambda dtype: (draw(dtype, 6),),
)

binarise = Operator(
    "elementwise/sign with a window",
    jnp.sign,
    lambda x: (jnp.sign(x), (x,)),
    lambda x, dy: (jnp.where(abs(x) <= 1, dy, 0.0),),
    lambda dtype: (draw(dtype, 6, scale=1.5),),
)


def _at(*values, dtype="float32"):
    return lambda: (np.asarray(values).astype(np.dtype(dtype)),)


_swish = silu.rule()


def _glu(x, gate):
    return jax.vmap(lambda a, g: a * _swish(g))(x, gate)


def _sigmoid_exponentials(x, dy):
    return (jnp.exp(x) / (1 + jnp.exp(x)) ** 2 * dy,)


def _elu_everywhere(x, dy):
    return (jnp.where(x > 0, dy, dy * jnp.expm1(jnp.minimum(x, 0.0))),)


def _softplus_short_cut(x, dy):
    if float(jnp.max(x)) > 30.0:
        return (jnp.where(x > 30, 1.0, jax.nn.sigmoid(x)).astype(x.dtype) * dy,)
    return (jax.nn.sigmoid(x) * dy,)


CASES = (
    sigmoid.right("at plus and minus 80", make_args=_at(-80, 80, 0)),
    sigmoid_of_input.right("at plus and minus 80", make_args=_at(-80, 80, 0.5, dtype="float64")),
    sigmoid.right("bfloat16", "bfloat16"),
    tanh.right("at plus and minus 50, float16", make_args=_at(-50, 50, 0.1, dtype="float16")),
    tanh.right("scalar", make_args=lambda: (np.asarray(0.3),)),
    softplus.right("at plus and minus ten thousand", make_args=_at(-1e4, 1e4, 0, 1)),
    log1p.right("next to minus one", make_args=_at(-1 + 2.0**-20, 1e-6, 1e6)),
    expm1.right("a hundred-millionth", make_args=_at(1e-8, -1e-8, -80, dtype="float64")),
    elu.right("at zero, where autodiff halves", smooth=False, make_args=_at(0, -1e-6, 1e-6, -100)),
    silu.right("bfloat16", "bfloat16"),
    silu.right("at plus and minus a hundred", make_args=_at(-100, 100, -0.0)),
    gelu.right("far out", make_args=_at(-40, 40, -5, 0)),
    tanh_gelu.right("float64", "float64"),
    selu.right("at zero", smooth=False, make_args=_at(0, 1, -1)),
    sqrt.right("a millionth and a million", make_args=_at(1e-6, 1e6, 1)),
    power.right("square at zero", make_args=lambda: (np.asarray([0.0, -2.0, 1e3], np.float32), 2)),
    real_power.right("scalar exponent", "float64", domains=("positive", None)),
    prelu.right("shared slope", "bfloat16"),
    guarded_log.right("where-guarded, autodiff not finite", oracle=_guarded_log),
    guarded_sqrt.right("where-guarded, autodiff not finite", "float64"),
    sinc.right(
        "at zero", make_args=lambda: (np.asarray([0.0, 1.0, -2.0]),), plain=lambda x: jnp.sinc(x / math.pi)
    ),
    sin_cos.right("two outputs, float16", "float16"),
    straight_through.right("oracle_vjp", oracle_vjp=lambda x, dy: (dy,)),
    gradient_reversal.right(
        "oracle_vjp", "float64", oracle_vjp=lambda x, strength, dy: (-strength * dy, None)
    ),
    gradient_clipping.right("oracle_vjp", "bfloat16", oracle_vjp=lambda x, dy: (jnp.clip(dy, -0.5, 0.5),)),
    binarise.right("oracle_vjp", oracle_vjp=lambda x, dy: (jnp.where(abs(x) <= 1, dy, 0.0),)),
    Case(
        "elementwise/glu/a vmap of an operator",
        _glu,
        lambda: (draw("float32", 3, 4), draw("float32", 3, 4, seed=1)),
        oracle=lambda x, gate: x * _silu(gate),
    ),
    sigmoid.wrong("upstream ignored", lambda y, dy: (y * (1 - y),), (0,)),
    sigmoid.wrong(
        "input for output", lambda x, dy: (x * (1 - x) * dy,), (0,), fwd=_saving(jax.nn.sigmoid, _same)
    ),
    sigmoid_of_input.wrong("numerically unstable", _sigmoid_exponentials, (0,), make_args=_at(-1, 2, 60, 90)),
    tanh.wrong(
        "upstream squared", lambda y, dy: ((1 - y * y) * dy * dy,), (0,), also=("non-linear in cotangent",)
    ),
    tanh.wrong(
        "input for output", lambda x, dy: ((1 - x * x) * dy,), (0,), "float64", fwd=_saving(jnp.tanh, _same)
    ),
    tanh.wrong("wrong derivative formula", lambda y, dy: ((1 - y) * dy,), (0,), detail="1 - y"),
    exp.wrong("input for output", lambda x, dy: (x * dy,), (0,), fwd=_saving(jnp.exp, _same), detail="x dy"),
    exp.wrong(
        "upstream squared", lambda y, dy: (y * dy * dy,), (0,), "bfloat16", also=("non-linear in cotangent",)
    ),
    sqrt.wrong(
        "input for output",
        lambda x, dy: (0.5 / x * dy,),
        (0,),
        "float64",
        fwd=_saving(jnp.sqrt, _same),
        make_args=_at(0.5, 2, 3, dtype="float64"),
    ),
    softplus.wrong(
        "output for input",
        lambda y, dy: (jax.nn.sigmoid(y) * dy,),
        (0,),
        fwd=_saving(jax.nn.softplus, jax.nn.softplus),
    ),
    softplus.wrong("wrong derivative formula", lambda x, dy: (jnp.tanh(x) * dy,), (0,), "float64"),
    softplus.wrong("not traceable", _softplus_short_cut, detail="a short cut where saturated"),
    atan.wrong("wrong derivative formula", lambda x, dy: (dy / (1 + x) ** 2,), (0,), "float64"),
    atan.wrong(
        "output for input",
        lambda y, dy: (dy / (1 + y * y),),
        (0,),
        "float64",
        fwd=_saving(jnp.arctan, jnp.arctan),
    ),
    log1p.wrong("output for input", lambda y, dy: (dy / (1 + y),), (0,), fwd=_saving(jnp.log1p, jnp.log1p)),
    log1p.wrong("wrong derivative formula", lambda x, dy: (dy / x,), (0,), "bfloat16"),
    expm1.wrong("input for output", lambda x, dy: ((x + 1) * dy,), (0,), fwd=_saving(jnp.expm1, _same)),
    elu.wrong(
        "partly wrong",
        _elu_everywhere,
        (0,),
        also=("wrong derivative formula", "output for input"),
        detail="below zero",
    ),
    silu.wrong(
        "output for input", lambda y, dy: (_silu_slope(y) * dy,), (0,), "float64", fwd=_saving(_silu, _silu)
    ),
    silu.wrong("missing term", lambda x, dy: (jax.nn.sigmoid(x) * dy,), (0,), also=("path forgotten",)),
    silu.wrong(
        "missing factor",
        lambda x, dy: ((jax.nn.sigmoid(x) + jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)) * dy,),
        (0,),
        "float64",
        also=("wrong derivative formula",),
        detail="x in the second term",
    ),
    gelu.wrong(
        "missing term", lambda x, dy: (_normal_cdf(x) * dy,), (0,), "float64", also=("path forgotten",)
    ),
    gelu.wrong(
        "output for input",
        lambda y, dy: ((_normal_cdf(y) + y * _normal_density(y)) * dy,),
        (0,),
        fwd=_saving(_gelu, _gelu),
    ),
    gelu.wrong("forward mismatch", fwd=lambda x: (_tanh_gelu(x), (x,)), detail="the tanh approximation"),
    gelu.wrong(
        "small constant",
        lambda x, dy: ((_normal_cdf(x) + x * jnp.exp(-0.5 * x * x) * 0.399) * dy,),
        (0,),
        "float64",
        detail="1/√2π to three digits",
    ),
    tanh_gelu.wrong(
        "small constant",
        lambda x, dy: (_tanh_gelu_slope(x, cubic=0.0447) * dy,),
        (0,),
        "float64",
        detail="0.0447",
    ),
    tanh_gelu.wrong(
        "small constant",
        lambda x, dy: (_tanh_gelu_slope(x, scale=0.798) * dy,),
        (0,),
        detail="√2/π to three digits",
    ),
    selu.wrong(
        "small constant",
        lambda x, dy: (_selu_slope(x, 1.0507, 1.6733) * dy,),
        (0,),
        "float64",
        detail="rounded to four digits",
    ),
    selu.wrong("constant factor", lambda x, dy: (_selu_slope(x, 1.0) * dy,), (0,), detail="scale left out"),
    isqrt.wrong(
        "wrong derivative formula", lambda x, dy: ((1 + x * x) ** -0.5 * dy,), (0,), also=("missing term",)
    ),
    sin_cos.wrong("output ignored", lambda x, dy: (dy[0] * jnp.cos(x),), (0,), "float64"),
    sin_cos.wrong(
        "sign", lambda x, dy: (dy[0] * jnp.cos(x) + dy[1] * jnp.sin(x),), (0,), detail="of the cosine's"
    ),
    power.wrong(
        "wrong derivative formula", lambda n, x, dy: (n * x**n * dy,), (0,), detail="exponent not lowered"
    ),
    power.wrong(
        "constant factor", lambda n, x, dy: (x ** (n - 1) * dy,), (0,), "float16", detail="exponent left out"
    ),
    real_power.wrong(
        "missing factor",
        lambda x, p, dy: (p * x ** (p - 1) * dy, jnp.sum(x**p * dy)),
        (1,),
        "float64",
        domains=("positive", None),
        detail="log x",
    ),
    real_power.wrong(
        "detached",
        lambda x, p, dy: (p * x ** (p - 1) * dy, jnp.zeros_like(p)),
        (1,),
        domains=("positive", None),
    ),
    prelu.wrong(
        "missing sum", lambda x, a, dy: (jnp.where(x > 0, dy, a * dy), jnp.where(x > 0, 0.0, x * dy)[0]), (1,)
    ),
    prelu.wrong(
        "partly wrong",
        lambda x, a, dy: (dy, jnp.sum(jnp.where(x > 0, 0.0, x * dy))),
        (0,),
        "float64",
        also=("wrong mask",),
        detail="below zero",
    ),
    product.wrong("arguments swapped", lambda x, y, dz: (x * dz, y * dz), (0, 1), "float16"),
    product.wrong(
        "upstream squared",
        lambda x, y, dz: (y * dz * dz, x * dz),
        (0,),
        "float64",
        also=("non-linear in cotangent",),
    ),
    product.wrong(
        "cotangent dtype",
        lambda x, y, dz: (y * dz, x.astype(jnp.float32) * dz.astype(jnp.float32)),
        (1,),
        "float16",
    ),
    product.wrong(
        "not traceable", lambda x, y, dz: (y * dz, np.asarray(x) * dz), detail="NumPy on a residual"
    ),
)

"""Reductions and scans: mean, variance, log-sum-exp, norm, cumulative sum and product."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Operator, draw, over_the_whole_batch

# ---- mean over the rows -----------------------------------------------------------------------------------


def _spread(dy, axis, like):
    return jnp.broadcast_to(jnp.expand_dims(dy, axis), like.shape)


mean = Operator(
    "reductions/mean",
    lambda x: jnp.mean(x, 0),
    lambda x: (jnp.mean(x, 0), (x,)),
    lambda x, dy: (_spread(dy, 0, x) / len(x),),
    lambda dtype: (draw(dtype, 3, 3),),
)

# ---- variance (over n - 1) --------------------------------------------------------------------------------


def _variance(x):
    centred = x - jnp.mean(x)
    return jnp.sum(centred * centred) / (x.size - 1)


variance = Operator(
    "reductions/variance",
    _variance,
    lambda x: (_variance(x), (x,)),
    lambda x, dy: (2 / (x.size - 1) * (x - jnp.mean(x)) * dy,),
    lambda dtype: (draw(dtype, 5),),
)


def _deviation(x):
    return jnp.sqrt(_variance(x))


def _deviation_cancelling(x, dy):
    n = x.size
    y = jnp.sqrt((jnp.mean(x * x) - jnp.mean(x) ** 2) * n / (n - 1))
    return ((x - jnp.mean(x)) / y / (n - 1) * dy,)


deviation = Operator(
    "reductions/standard deviation",
    _deviation,
    lambda x: (_deviation(x), (x,)),
    lambda x, dy: ((x - jnp.mean(x)) / _deviation(x) / (x.size - 1) * dy,),
    lambda dtype: (draw(dtype, 5),),
)


def _moments(x):
    return jnp.mean(x), jnp.mean((x - jnp.mean(x)) ** 2)


moments = Operator(
    "reductions/mean and variance",
    _moments,
    lambda x: (_moments(x), (x,)),
    lambda x, dy: ((dy[0] + 2 * (x - jnp.mean(x)) * dy[1]) / x.size,),
    lambda dtype: (draw(dtype, 5),),
)

# ---- log Σ exp --------------------------------------------------------------------------------------------


def _logsumexp(x):
    m = jnp.max(x, -1, keepdims=True)
    return jnp.squeeze(m, -1) + jnp.log(jnp.sum(jnp.exp(x - m), -1))


def _logsumexp_bwd(x, y, dy):
    return (jnp.exp(x - y[..., None]) * dy[..., None],)


logsumexp = Operator(
    "reductions/logsumexp",
    _logsumexp,
    lambda x: (y := _logsumexp(x), (x, y)),
    _logsumexp_bwd,
    lambda dtype: (draw(dtype, 3, 4),),
)


def _logsumexp_unshifted(x, y, dy):
    return (jnp.exp(x) / jnp.sum(jnp.exp(x), -1, keepdims=True) * dy[..., None],)


_total = over_the_whole_batch(lambda x: jnp.sum(x))


def _logsumexp_global(x, y, dy):
    e = jnp.exp(x - y)
    return (e / _total(e) * dy,)


logsumexp_one = Operator(
    "reductions/logsumexp of one",
    _logsumexp,
    lambda x: (y := _logsumexp(x), (x, y)),
    lambda x, y, dy: (jnp.exp(x - y) * dy,),
    lambda dtype: (draw(dtype, 4),),
)


# ---- norm -------------------------------------------------------------------------------------------------


def _norm(x):
    m = jax.lax.stop_gradient(jnp.max(abs(x)))
    safe = jnp.where(m == 0, 1.0, m)
    return jnp.where(m == 0, 0.0, safe * jnp.sqrt(jnp.sum((x / safe) ** 2)))


norm = Operator(
    "reductions/norm",
    _norm,
    lambda x: (y := _norm(x), (x, y)),
    lambda x, y, dy: (x / jnp.where(y == 0, 1.0, y) * dy,),
    lambda dtype: (draw(dtype, 4),),
)


def _norm_squares(x, y, dy):
    return (x / jnp.sqrt(jnp.sum(x * x)) * dy,)


# ---- cumulative sum and product ---------------------------------------------------------------------------


def _from_the_end(dy, axis=0):
    return jnp.flip(jnp.cumsum(jnp.flip(dy, axis), axis), axis)


cumsum = Operator(
    "reductions/cumsum",
    lambda x: jnp.cumsum(x, 0),
    lambda x: (jnp.cumsum(x, 0), ()),
    lambda dy: (_from_the_end(dy),),
    lambda dtype: (draw(dtype, 3, 3),),
)


def _cumprod_bwd(x, y, dy):
    return (_from_the_end(dy * y) / x,)


def _cumprod_by_products(x, y, dy):
    """Without division, so a zero is no exception: the product of all entries up to i but x_j."""
    n = len(x)
    i, j, k = jnp.arange(n)[:, None, None], jnp.arange(n)[None, :, None], jnp.arange(n)[None, None]
    others = jnp.prod(jnp.where((k <= i) & (k != j), x[None, None], 1.0), -1)
    return (jnp.sum(jnp.where((j <= i)[..., 0], others * dy[:, None], 0.0), 0),)


def _cumprod_missing_factor(x, y, dy):
    return (_from_the_end(dy * y),)


cumprod = Operator(
    "reductions/cumprod",
    lambda x: jnp.cumprod(x),
    lambda x: (y := jnp.cumprod(x), (x, y)),
    _cumprod_bwd,
    lambda dtype: (draw(dtype, 5, shift=1.0),),
)

# ---- mean over what counts, difference of neighbours ------------------------------------------------------


def _masked_mean(x, mask):
    return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(jnp.sum(mask.astype(x.dtype)), 1.0)


def _masked_mean_bwd(x, mask, dy):
    return jnp.where(mask, dy, 0.0) / jnp.maximum(jnp.sum(mask.astype(x.dtype)), 1.0), None


def _masked_mean_counted(x, mask, dy):
    return jnp.where(mask, dy, 0.0) / x.size, None


masked_mean = Operator(
    "reductions/masked mean",
    _masked_mean,
    lambda x, mask: (_masked_mean(x, mask), (x, mask)),
    _masked_mean_bwd,
    lambda dtype: (draw(dtype, 5), np.asarray([True, False, True, True, False])),
)

product = Operator(
    "reductions/dot",
    lambda x, y: jnp.dot(x, y),
    lambda x, y: (jnp.dot(x, y), (x, y)),
    lambda x, y, dz: (y * dz, x * dz),
    lambda dtype: (draw(dtype, 4), draw(dtype, 4, seed=1)),
)

CASES = (
    mean.right("float16", "float16"),
    variance.right("constant", make_args=lambda: (np.full(4, 3.0, np.float32),)),
    variance.right("far from zero", make_args=lambda: (draw("float64", 5, shift=1e6),)),
    moments.right("two outputs", "bfloat16"),
    logsumexp.right("ten thousand", make_args=lambda: (draw("float32", 2, 4, scale=1e4),)),
    logsumexp.right(
        "minus infinity",
        make_args=lambda: (np.asarray([[0.0, -np.inf, 1.0]]),),
        plain=lambda x: jax.nn.logsumexp(x, axis=-1),
    ),
    logsumexp_one.right(
        "batched, with the batch's name",
        wrap=lambda f: jax.vmap(f, axis_name="batch"),
        make_args=lambda: (draw("float32", 2, 4),),
    ),
    norm.right("at zero", smooth=False, make_args=lambda: (np.zeros(4, np.float32),)),
    norm.right("entries of 1e30", make_args=lambda: (draw("float32", 4, scale=1e30),)),
    norm.right("entries of 1e-30", make_args=lambda: (draw("float32", 4, scale=1e-30),)),
    cumsum.right("one row", make_args=lambda: (draw("bfloat16", 1, 3),)),
    cumsum.right("float64", "float64"),
    cumprod.right(
        "zeros", bwd=_cumprod_by_products, make_args=lambda: (np.asarray([2.0, 0.0, 3.0, 0.0, 1.0]),)
    ),
    masked_mean.right("nothing counts", make_args=lambda: (draw("float32", 3), np.zeros(3, bool))),
    product.right(
        "a million times a millionth",
        make_args=lambda: (draw("float16", 3, scale=1e3), draw("float16", 3, seed=1, scale=1e-3)),
    ),
    mean.wrong("constant factor", lambda x, dy: (_spread(dy, 0, x),), (0,), "float16", detail="1/N"),
    mean.wrong("wrong axis", lambda x, dy: (_spread(dy, 1, x) / len(x),), (0,)),
    mean.wrong("extra sum", lambda x, dy: (_spread(jnp.sum(dy)[None], 0, x) / len(x),), (0,), "float64"),
    mean.wrong(
        "partly wrong",
        lambda x, dy: ((_spread(dy, 0, x) / len(x)).at[-1].set(0.0),),
        (0,),
        detail="last row left out",
    ),
    variance.wrong(
        "constant factor",
        lambda x, dy: (2 / x.size * (x - jnp.mean(x)) * dy,),
        (0,),
        "float64",
        detail="n for n - 1",
    ),
    variance.wrong(
        "path forgotten",
        lambda x, dy: (2 / (x.size - 1) * x * dy,),
        (0,),
        also=("missing term",),
        detail="through the mean",
    ),
    deviation.wrong(
        "numerically unstable",
        _deviation_cancelling,
        (0,),
        make_args=lambda: (draw("float32", 5, shift=300.0),),
        detail="cancellation",
    ),
    moments.wrong(
        "output ignored",
        lambda x, dy: (jnp.broadcast_to(dy[0] / x.size, x.shape),),
        (0,),
        detail="the variance",
    ),
    moments.wrong(
        "output ignored",
        lambda x, dy: (2 * (x - jnp.mean(x)) * dy[1] / x.size,),
        (0,),
        "float64",
        detail="the mean",
    ),
    logsumexp.wrong("unnormalised", lambda x, y, dy: (jnp.exp(x) * dy[..., None],), (0,), "float64"),
    logsumexp.wrong(
        "numerically unstable",
        _logsumexp_unshifted,
        (0,),
        make_args=lambda: (draw("float32", 2, 4, scale=300.0),),
    ),
    logsumexp.wrong("upstream ignored", lambda x, y, dy: (jnp.exp(x - y[..., None]),), (0,)),
    logsumexp.wrong(
        "upstream squared",
        lambda x, y, dy: (jnp.exp(x - y[..., None]) * dy[..., None] ** 2,),
        (0,),
        "float64",
        also=("non-linear in cotangent",),
    ),
    logsumexp.wrong(
        "cotangent dtype",
        lambda x, y, dy: tuple(d.astype(jnp.float32) for d in _logsumexp_bwd(x, y, dy)),
        (0,),
        "bfloat16",
    ),
    logsumexp_one.wrong("batch-global", _logsumexp_global, (0,), detail="normaliser"),
    norm.wrong(
        "numerically unstable",
        _norm_squares,
        (0,),
        make_args=lambda: (draw("float32", 4, scale=1e25),),
        detail="overflow",
    ),
    norm.wrong(
        "numerically unstable",
        _norm_squares,
        (0,),
        make_args=lambda: (draw("float32", 4, scale=1e-25),),
        detail="underflow",
    ),
    norm.wrong(
        "missing factor",
        lambda x, y, dy: (x * dy,),
        (0,),
        make_args=lambda: (draw("bfloat16", 4, scale=3.0),),
        detail="1/‖x‖",
    ),
    cumsum.wrong("order reversed", lambda dy: (jnp.cumsum(dy, 0),), (0,)),
    cumsum.wrong("wrong axis", lambda dy: (_from_the_end(dy, 1),), (0,), "float64"),
    cumsum.wrong(
        "extra sum", lambda dy: (jnp.broadcast_to(jnp.sum(dy, 0, keepdims=True), dy.shape),), (0,), "bfloat16"
    ),
    cumsum.wrong(
        "off by one",
        lambda dy: (_from_the_end(dy) - dy,),
        (0,),
        "float64",
        also=("missing term",),
        detail="own place left out",
    ),
    cumprod.wrong("missing factor", _cumprod_missing_factor, (0,), detail="1/x"),
    cumprod.wrong("order reversed", lambda x, y, dy: (jnp.cumsum(dy * y) / x,), (0,), "float64"),
    cumprod.wrong("output for input", lambda x, y, dy: (_from_the_end(dy * y) / y,), (0,), "float64"),
    masked_mean.wrong(
        "padding", _masked_mean_counted, (0,), also=("constant factor",), detail="padding counted"
    ),
    masked_mean.wrong(
        "padding",
        lambda x, mask, dy: (jnp.broadcast_to(dy, x.shape) / jnp.sum(mask.astype(x.dtype)), None),
        (0,),
        "float64",
        detail="padding receives",
    ),
    product.wrong("arguments swapped", lambda x, y, dz: (x * dz, y * dz), (0, 1), "bfloat16"),
    product.wrong("detached", lambda x, y, dz: (y * dz, None), (1,)),
)

"""Layer, RMS and batch normalisation, and vectors scaled to length one."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Operator, draw, over_the_whole_batch

EPS = 1e-5


def _mean(x):
    return jnp.mean(x, -1, keepdims=True)


# ---- layer normalisation ----------------------------------------------------------------------------------


def _standardise(x):
    centred = x - _mean(x)
    rstd = 1 / jnp.sqrt(_mean(centred * centred) + EPS)
    return centred * rstd, rstd


def _layer_norm(x, gamma, beta):
    return _standardise(x)[0] * gamma[None] + beta[None]


def _layer_norm_fwd(x, gamma, beta):
    xhat, rstd = _standardise(x)
    return xhat * gamma[None] + beta[None], (xhat, rstd, gamma)


def _layer_norm_fwd_unbiased(x, gamma, beta):
    centred = x - _mean(x)
    y = centred / jnp.sqrt(jnp.sum(centred * centred, -1, keepdims=True) / (x.shape[-1] - 1) + EPS)
    return y * gamma[None] + beta[None], (*_standardise(x), gamma)


def _layer_norm_fwd_no_eps(x, gamma, beta):
    xhat, rstd = _standardise(x)
    return xhat * gamma[None] + beta[None], (xhat, 1 / jnp.std(x, -1, keepdims=True), gamma)


def _layer_norm_dx(xhat, rstd, g):
    return rstd * (g - _mean(g) - xhat * _mean(g * xhat))


def _layer_norm_bwd(xhat, rstd, gamma, dy):
    return _layer_norm_dx(xhat, rstd, dy * gamma[None]), jnp.sum(dy * xhat, 0), jnp.sum(dy, 0)


def _affine(xhat, dy):
    return jnp.sum(dy * xhat, 0), jnp.sum(dy, 0)


def _layer_norm_no_variance(xhat, rstd, gamma, dy):
    g = dy * gamma[None]
    return rstd * (g - _mean(g)), *_affine(xhat, dy)


def _layer_norm_no_mean(xhat, rstd, gamma, dy):
    g = dy * gamma[None]
    return rstd * (g - xhat * _mean(g * xhat)), *_affine(xhat, dy)


def _layer_norm_last_column(xhat, rstd, gamma, dy):
    dx = _layer_norm_dx(xhat, rstd, dy * gamma[None])
    return dx.at[:, -1].set((rstd * dy * gamma[None])[:, -1]), *_affine(xhat, dy)


def _layer_norm_squared(xhat, rstd, gamma, dy):
    return _layer_norm_dx(xhat, rstd, dy * gamma[None]), jnp.sum(dy * dy * xhat, 0), jnp.sum(dy, 0)


def _layer_norm_wrong_axis(xhat, rstd, gamma, dy):
    return _layer_norm_dx(xhat, rstd, dy * gamma[None]), jnp.sum(dy * xhat, -1), jnp.sum(dy, 0)


def _layer_norm_missing_sum(xhat, rstd, gamma, dy):
    return _layer_norm_dx(xhat, rstd, dy * gamma[None]), (dy * xhat)[0], jnp.sum(dy, 0)


def _layer_norm_detached(xhat, rstd, gamma, dy):
    return _layer_norm_dx(xhat, rstd, dy * gamma[None]), jnp.sum(dy * xhat, 0), jnp.zeros_like(gamma)


def _layer_norm_swapped(xhat, rstd, gamma, dy):
    return _layer_norm_dx(xhat, rstd, dy * gamma[None]), jnp.sum(dy, 0), jnp.sum(dy * xhat, 0)


def _layer_norm_float32_gamma(xhat, rstd, gamma, dy):
    dgamma = jnp.sum((dy * xhat).astype(jnp.float32), 0)
    return _layer_norm_dx(xhat, rstd, dy * gamma[None]), dgamma, jnp.sum(dy, 0)


def _layer_norm_args(dtype, n=4, scale=1.0, shift=0.0):
    x = draw(dtype, n, 4, scale=scale, shift=shift)
    return x, draw(dtype, 4, seed=1, shift=1.0), draw(dtype, 4, seed=2)


layer_norm = Operator(
    "normalisation/layer norm", _layer_norm, _layer_norm_fwd, _layer_norm_bwd, _layer_norm_args
)

# ---- RMS normalisation ------------------------------------------------------------------------------------


def _rstd(x):
    return 1 / jnp.sqrt(_mean(x * x) + EPS)


def _rms_norm(x, gamma):
    return x * _rstd(x) * gamma


def _rms_norm_bwd(x, gamma, dy):
    g, xhat = dy * gamma, x * _rstd(x)
    return _rstd(x) * (g - xhat * _mean(g * xhat)), dy * xhat


def _rms_norm_no_gamma(x, gamma, dy):
    xhat = x * _rstd(x)
    return _rstd(x) * (dy - xhat * _mean(dy * xhat)), dy * xhat


def _rms_norm_no_eps(x, gamma, dy):
    g, rstd = dy * gamma, 1 / jnp.sqrt(_mean(x * x))
    return rstd * (g - x * rstd * _mean(g * x * rstd)), dy * x * rstd


_mean_square = over_the_whole_batch(lambda x: jnp.mean(x * x))


def _rms_norm_global(x, gamma, dy):
    g, rstd = dy * gamma, 1 / jnp.sqrt(_mean_square(x) + EPS)
    return rstd * (g - x * rstd * _mean(g * x * rstd)), dy * x * rstd


rms_norm = Operator(
    "normalisation/rms norm",
    _rms_norm,
    lambda x, gamma: (_rms_norm(x, gamma), (x, gamma)),
    _rms_norm_bwd,
    lambda dtype: (draw(dtype, 4), draw(dtype, 4, seed=1, shift=1.0)),
)


def _rows_rms(x):
    return x * _rstd(x)


def _rows_rms_bwd(x, dy):
    xhat = x * _rstd(x)
    return (_rstd(x) * (dy - xhat * _mean(dy * xhat)),)


def _rows_rms_one(x, dy):
    rstd = 1 / jnp.sqrt(jnp.mean(x * x) + EPS)
    return (rstd * (dy - x * rstd * _mean(dy * x * rstd)),)


def _rows_rms_extra_sum(x, dy):
    return (jnp.broadcast_to(jnp.sum(_rows_rms_bwd(x, dy)[0], 0), x.shape),)


rows_rms = Operator(
    "normalisation/rms norm of rows",
    _rows_rms,
    lambda x: (_rows_rms(x), (x,)),
    _rows_rms_bwd,
    lambda dtype: (draw(dtype, 3, 4),),
)

# ---- batch normalisation, in training ---------------------------------------------------------------------


def _batch_statistics(x):
    mean = jnp.mean(x, 0, keepdims=True)
    return mean, 1 / jnp.sqrt(jnp.mean((x - mean) ** 2, 0, keepdims=True) + EPS)


def _batch_norm(x, gamma):
    mean, rstd = _batch_statistics(x)
    return (x - mean) * rstd * gamma[None]


def _batch_norm_fwd(x, gamma):
    mean, rstd = _batch_statistics(x)
    return _batch_norm(x, gamma), ((x - mean) * rstd, rstd, gamma)


def _batch_norm_fwd_stale(x, gamma):
    _, rstd = _batch_statistics(x)
    return _batch_norm(x, gamma), (x * rstd, rstd, gamma)


def _over_batch(x):
    return jnp.mean(x, 0, keepdims=True)


def _batch_norm_bwd(xhat, rstd, gamma, dy):
    g = dy * gamma[None]
    return rstd * (g - _over_batch(g) - xhat * _over_batch(g * xhat)), jnp.sum(dy * xhat, 0)


def _batch_norm_no_mean(xhat, rstd, gamma, dy):
    g = dy * gamma[None]
    return rstd * (g - xhat * _over_batch(g * xhat)), jnp.sum(dy * xhat, 0)


def _batch_norm_as_inference(xhat, rstd, gamma, dy):
    return rstd * dy * gamma[None], jnp.sum(dy * xhat, 0)


def _batch_norm_wrong_axis(xhat, rstd, gamma, dy):
    g = dy * gamma[None]
    return rstd * (g - _mean(g) - xhat * _mean(g * xhat)), jnp.sum(dy * xhat, 0)


batch_norm = Operator(
    "normalisation/batch norm",
    _batch_norm,
    _batch_norm_fwd,
    _batch_norm_bwd,
    lambda dtype: (draw(dtype, 4, 4, shift=0.5), draw(dtype, 4, seed=1, shift=1.0)),
)

# ---- x / √(‖x‖² + ε), and with ε = 0 ----------------------------------------------------------------------


def _length(x):
    return jnp.sqrt(jnp.sum(x * x, -1, keepdims=True) + EPS)


def _normalise(x):
    return x / _length(x)


def _normalise_bwd(x, dy):
    y = _normalise(x)
    return ((dy - y * jnp.sum(y * dy, -1, keepdims=True)) / _length(x),)


def _normalise_no_eps(x, dy):
    length = jnp.sqrt(jnp.sum(x * x, -1, keepdims=True))
    y = x / length
    return ((dy - y * jnp.sum(y * dy, -1, keepdims=True)) / length,)


def _normalise_sign(x, dy):
    y = _normalise(x)
    return ((dy + y * jnp.sum(y * dy, -1, keepdims=True)) / _length(x),)


def _normalise_diagonal(x, dy):
    return (dy * (1 - _normalise(x) ** 2) / _length(x),)


def _normalise_without_length(x, dy):
    y = _normalise(x)
    return (dy - y * jnp.sum(y * dy, -1, keepdims=True),)


normalise = Operator(
    "normalisation/l2 normalise",
    _normalise,
    lambda x: (_normalise(x), (x,)),
    _normalise_bwd,
    lambda dtype: (draw(dtype, 2, 4),),
)


def _scaled(x):
    x = x / jax.lax.stop_gradient(jnp.max(jnp.abs(x), -1, keepdims=True))
    return x / jnp.sqrt(jnp.sum(x * x, -1, keepdims=True))


def _scaled_bwd(x, dy):
    size = jnp.max(jnp.abs(x), -1, keepdims=True)
    y, length = _scaled(x), jnp.sqrt(jnp.sum((x / size) ** 2, -1, keepdims=True))
    return ((dy - y * jnp.sum(y * dy, -1, keepdims=True)) / length / size,)


def _scaled_overflowing(x, dy):
    squares = jnp.sum(x * x, -1, keepdims=True)
    return ((dy * squares - x * jnp.sum(x * dy, -1, keepdims=True)) / squares / jnp.sqrt(squares),)


unit = Operator(
    "normalisation/unit vector",
    _scaled,
    lambda x: (_scaled(x), (x,)),
    _scaled_bwd,
    lambda dtype: (draw(dtype, 2, 4),),
)


def _sum_on_the_host(x, dy):
    """A sum in NumPy over all it is handed: with this vmap_method, the stacked examples at once."""
    total = lambda x, dy: np.broadcast_to(np.sum(x * dy), x.shape[:-1]).astype(x.dtype)  # noqa: E731
    shape = jax.ShapeDtypeStruct(x.shape[:-1], x.dtype)
    return jax.pure_callback(total, shape, x, dy, vmap_method="expand_dims")


def _unit_global(x, dy):
    size = jnp.sqrt(jnp.sum(x * x))
    y = x / size
    return ((dy - y * _sum_on_the_host(y, dy)) / size,)


unit_vector = Operator(
    "normalisation/unit vector, one",
    _scaled,
    lambda x: (_scaled(x), (x,)),
    _scaled_bwd,
    lambda dtype: (draw(dtype, 4),),
)

CASES = (
    layer_norm.right("bfloat16", "bfloat16"),
    layer_norm.right(
        "constant rows", make_args=lambda: (np.ones((2, 4), np.float32), *_layer_norm_args("float32")[1:])
    ),
    layer_norm.right("a millionth", make_args=lambda: _layer_norm_args("float64", scale=1e-6)),
    layer_norm.right("a million", make_args=lambda: _layer_norm_args("float32", scale=1e6)),
    layer_norm.right("far from zero", make_args=lambda: _layer_norm_args("float64", shift=1e4)),
    rms_norm.right("one feature", make_args=lambda: (draw("float32", 1), draw("float32", 1, seed=1))),
    rms_norm.right(
        "vmapped, gamma shared",
        wrap=lambda f: jax.vmap(f, in_axes=(0, None)),
        make_args=lambda: (draw("float32", 3, 4), draw("float32", 4)),
        in_axes=(0, None),
    ),
    rms_norm.right("float16", "float16"),
    rows_rms.right("a row of zeros", make_args=lambda: (np.stack([draw("float64", 4), np.zeros(4)]),)),
    batch_norm.right("batch of one", make_args=lambda: (draw("float32", 1, 4), draw("float32", 4, seed=1))),
    batch_norm.right("float64", "float64"),
    normalise.right("at zero", make_args=lambda: (np.zeros((1, 4), np.float32),)),
    unit.right("entries of 1e30", make_args=lambda: (draw("float32", 2, 4, scale=1e30),)),
    layer_norm.wrong(
        "path forgotten", _layer_norm_no_variance, (0,), also=("missing term",), detail="through the variance"
    ),
    layer_norm.wrong(
        "missing term", _layer_norm_no_mean, (0,), "float64", also=("path forgotten",), detail="the mean"
    ),
    layer_norm.wrong(
        "small constant",
        _layer_norm_bwd,
        (0,),
        "float64",
        fwd=_layer_norm_fwd_no_eps,
        make_args=lambda: _layer_norm_args("float64", scale=0.1),
        detail="epsilon left out",
    ),
    layer_norm.wrong("wrong axis", _layer_norm_wrong_axis, (1,)),
    layer_norm.wrong("missing sum", _layer_norm_missing_sum, (1,), "float64"),
    layer_norm.wrong("detached", _layer_norm_detached, (2,)),
    layer_norm.wrong("arguments swapped", _layer_norm_swapped, (1, 2), "bfloat16"),
    layer_norm.wrong("partly wrong", _layer_norm_last_column, (0,), detail="last column"),
    layer_norm.wrong("cotangent dtype", _layer_norm_float32_gamma, (1,), "bfloat16"),
    layer_norm.wrong("forward mismatch", fwd=_layer_norm_fwd_unbiased, detail="variance over n - 1"),
    layer_norm.wrong("upstream squared", _layer_norm_squared, (1,), also=("non-linear in cotangent",)),
    rms_norm.wrong("missing factor", _rms_norm_no_gamma, (0,), detail="gamma"),
    rms_norm.wrong(
        "small constant",
        _rms_norm_no_eps,
        (0, 1),
        make_args=lambda: (draw("float32", 4, scale=0.1), draw("float32", 4, seed=1)),
        detail="epsilon left out",
    ),
    rms_norm.wrong("batch-global", _rms_norm_global, (0, 1)),
    rows_rms.wrong(
        "batch of one",
        _rows_rms_one,
        (0,),
        make_args=lambda: (draw("float32", 1, 4),),
        shows_at=lambda: (draw("float32", 2, 4),),
    ),
    rows_rms.wrong("batch of one", _rows_rms_one, (0,), "float64", detail="seen with three rows"),
    rows_rms.wrong("extra sum", _rows_rms_extra_sum, (0,), "float64"),
    batch_norm.wrong(
        "path forgotten", _batch_norm_no_mean, (0,), also=("missing term",), detail="through the mean"
    ),
    batch_norm.wrong(
        "path forgotten",
        _batch_norm_as_inference,
        (0,),
        "float64",
        also=("missing term",),
        detail="statistics held fixed",
    ),
    batch_norm.wrong(
        "stale residual", fwd=_batch_norm_fwd_stale, arguments=(0, 1), detail="x before centring"
    ),
    batch_norm.wrong("wrong axis", _batch_norm_wrong_axis, (0,), "float64"),
    normalise.wrong("diagonal only", _normalise_diagonal, (0,), also=("missing term",)),
    normalise.wrong(
        "sign", _normalise_sign, (0,), "float64", also=("partly wrong",), detail="of the second term"
    ),
    normalise.wrong("small constant", _normalise_no_eps, (0,), "float64", detail="epsilon left out"),
    normalise.wrong("missing factor", _normalise_without_length, (0,), "bfloat16", detail="1/‖x‖"),
    unit.wrong(
        "numerically unstable",
        _scaled_overflowing,
        (0,),
        make_args=lambda: (draw("float32", 2, 4, scale=1e20),),
    ),
    unit_vector.wrong("batch-global", _unit_global, (0,), detail="a sum on the host"),
)

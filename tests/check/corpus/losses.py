"""Losses: squared error, cross-entropy with logits, Huber, absolute, hinge, cosine."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Operator, draw, over_the_whole_batch

# ---- mean squared error -----------------------------------------------------------------------------------


def _mse(y, t):
    return jnp.mean((y - t) ** 2)


def _mse_bwd(y, t, dloss):
    dy = 2 / y.size * (y - t) * dloss
    return dy, -dy


def _mse_global(y, t, dloss):
    # The mean's 1/N is taken with N counted over all that is there.
    dy = 2 / y.size * (y - t) * dloss / _how_many(y) * y.size
    return dy, -dy


_how_many = over_the_whole_batch(lambda y: jnp.asarray(y.size, y.dtype))

mse = Operator(
    "losses/mse",
    _mse,
    lambda y, t: (_mse(y, t), (y, t)),
    _mse_bwd,
    lambda dtype: (draw(dtype, 3, 2), draw(dtype, 3, 2, seed=1)),
)

# ---- cross-entropy with logits, weighted ------------------------------------------------------------------


def _bce(z, t, w):
    return jnp.sum(w * (jax.nn.softplus(z) - t * z))


def _bce_bwd(z, t, w, dloss):
    dz = w * (jax.nn.sigmoid(z) - t) * dloss
    return dz, -w * z * dloss, (jax.nn.softplus(z) - t * z) * dloss


def _bce_args(dtype, n=5):
    return (
        draw(dtype, n),
        (abs(draw("float64", n, seed=1)) % 1).astype(np.dtype(dtype)),
        1 + draw(dtype, n, seed=2) ** 2,
    )


def _bce_changed(dz):
    return lambda z, t, w, dloss: (dz(z, t, w, dloss), *_bce_bwd(z, t, w, dloss)[1:])


bce = Operator(
    "losses/bce with logits", _bce, lambda z, t, w: (_bce(z, t, w), (z, t, w)), _bce_bwd, _bce_args
)


def _smoothed(z, t, smoothing):
    t = t * (1 - smoothing) + smoothing / 2
    return jnp.mean(jax.nn.softplus(z) - t * z)


def _smoothed_bwd(smoothing, z, t, dloss):
    dz = (jax.nn.sigmoid(z) - t * (1 - smoothing) - smoothing / 2) * dloss / z.size
    return dz, -(1 - smoothing) * z * dloss / z.size


def _smoothed_forgotten(smoothing, z, t, dloss):
    return (jax.nn.sigmoid(z) - t) * dloss / z.size, _smoothed_bwd(smoothing, z, t, dloss)[1]


smoothed = Operator(
    "losses/smoothed bce",
    _smoothed,
    lambda z, t, smoothing: (_smoothed(z, t, smoothing), (z, t)),
    _smoothed_bwd,
    lambda dtype: (draw(dtype, 5), (draw("float64", 5) > 0).astype(np.dtype(dtype)), 0.2),
    static=(2,),
)

# ---- Huber, absolute, hinge -------------------------------------------------------------------------------


def _huber(r, delta):
    return jnp.sum(jnp.where(abs(r) <= delta, 0.5 * r * r, delta * (abs(r) - 0.5 * delta)))


def _huber_negative(delta, r, dloss):
    return (jnp.where(r >= -delta, jnp.minimum(r, delta), delta) * dloss,)


huber = Operator(
    "losses/huber",
    _huber,
    lambda r, delta: (_huber(r, delta), (r,)),
    lambda delta, r, dloss: (jnp.clip(r, -delta, delta) * dloss,),
    lambda dtype: (draw(dtype, 7, scale=2.0), 0.75),
    static=(1,),
)

absolute = Operator(
    "losses/absolute",
    lambda y, t: jnp.sum(abs(y - t)),
    lambda y, t: (jnp.sum(abs(y - t)), (y, t)),
    lambda y, t, dloss: (jnp.sign(y - t) * dloss, -jnp.sign(y - t) * dloss),
    lambda dtype: (draw(dtype, 4), draw(dtype, 4, seed=1)),
)


def _hinge(z, labels):
    sign = jnp.where(labels > 0, 1.0, -1.0).astype(z.dtype)
    return jnp.sum(jnp.maximum(0.0, 1 - sign * z))


def _hinge_bwd(z, labels, dloss):
    sign = jnp.where(labels > 0, 1.0, -1.0).astype(z.dtype)
    return jnp.where(sign * z < 1, -sign * dloss, 0.0), None


def _hinge_always(z, labels, dloss):
    return jnp.where(labels > 0, -dloss, dloss) * jnp.ones_like(z), None


def _hinge_branching(z, labels, dloss):
    if np.all(np.asarray(labels) == 0):
        return jnp.where(z > -1, dloss, 0.0), None
    return _hinge_bwd(z, labels, dloss)


hinge = Operator(
    "losses/hinge",
    _hinge,
    lambda z, labels: (_hinge(z, labels), (z, labels)),
    _hinge_bwd,
    lambda dtype: (draw(dtype, 5, scale=2.0), np.asarray([1, 0, 0, 1, 1], np.int32)),
)

# ---- cosine similarity ------------------------------------------------------------------------------------


def _cosine(a, b):
    return jnp.sum((a / jnp.linalg.norm(a)) * (b / jnp.linalg.norm(b)))


def _cosine_bwd(a, b, dy):
    na, nb, cos = jnp.linalg.norm(a), jnp.linalg.norm(b), _cosine(a, b)
    return dy * (b / nb - cos * a / na) / na, dy * (a / na - cos * b / nb) / nb


def _cosine_missing_term(a, b, dy):
    na, nb = jnp.linalg.norm(a), jnp.linalg.norm(b)
    return dy * b / (na * nb), _cosine_bwd(a, b, dy)[1]


def _cosine_sign(a, b, dy):
    da, db = _cosine_bwd(a, b, dy)
    return -da, -db


def _cosine_missing_factor(a, b, dy):
    na, nb, cos = jnp.linalg.norm(a), jnp.linalg.norm(b), _cosine(a, b)
    return dy * (b / nb - cos * a / na), _cosine_bwd(a, b, dy)[1]


def _cosine_unstable(a, b, dy):
    na, nb, dot = jnp.sum(a * a), jnp.sum(b * b), jnp.sum(a * b)
    root = jnp.sqrt(na * nb)
    return dy * (b / root - dot * a / (na * root)), dy * (a / root - dot * b / (nb * root))


cosine = Operator(
    "losses/cosine",
    _cosine,
    lambda a, b: (_cosine(a, b), (a, b)),
    _cosine_bwd,
    lambda dtype: (draw(dtype, 4), draw(dtype, 4, seed=1)),
)

# ---- one loss an example, then their mean -----------------------------------------------------------------


def _rows(y, t):
    return jnp.mean(jnp.sum((y - t) ** 2, -1))


rows = Operator(
    "losses/mean of squared distances",
    _rows,
    lambda y, t: (_rows(y, t), (y, t)),
    lambda y, t, dloss: (2 / len(y) * (y - t) * dloss, 2 / len(y) * (t - y) * dloss),
    lambda dtype: (draw(dtype, 3, 2), draw(dtype, 3, 2, seed=1)),
)


def _pairs(dtype, n):
    return draw(dtype, n, 2), draw(dtype, n, 2, seed=1)


CASES = (
    mse.right("equal", make_args=lambda: (draw("float32", 3), draw("float32", 3))),
    mse.right("float16", "float16"),
    bce.right(
        "logits of ten thousand",
        make_args=lambda: (np.asarray([-1e4, 1e4, 0.0, 50.0, -50.0], np.float32), *_bce_args("float32")[1:]),
    ),
    bce.right("bfloat16", "bfloat16"),
    smoothed.right("static smoothing", "float64"),
    huber.right("at delta", make_args=lambda: (np.asarray([-0.75, 0.75, 0.0, 5.0], np.float32), 0.75)),
    absolute.right("equal", smooth=False, make_args=lambda: (draw("float64", 4), draw("float64", 4))),
    hinge.right(
        "at the margin",
        smooth=False,
        make_args=lambda: (np.asarray([1.0, -1.0, 0.5], np.float32), np.asarray([1, 0, 1], np.int32)),
    ),
    cosine.right("parallel", make_args=lambda: (draw("float64", 4), 2 * draw("float64", 4))),
    cosine.right(
        "a million and a millionth",
        make_args=lambda: (draw("float32", 4, scale=1e6), draw("float32", 4, seed=1, scale=1e-6)),
    ),
    rows.right("one row", make_args=lambda: _pairs("bfloat16", 1)),
    mse.wrong(
        "constant factor",
        lambda y, t, dloss: ((y - t) / y.size * dloss, -2 / y.size * (y - t) * dloss),
        (0,),
        "float64",
        detail="2",
    ),
    mse.wrong(
        "constant factor",
        lambda y, t, dloss: (2 * (y - t) * dloss, 2 * (t - y) * dloss),
        (0, 1),
        "bfloat16",
        detail="1/N",
    ),
    mse.wrong("upstream ignored", lambda y, t, dloss: (2 / y.size * (y - t), 2 / y.size * (t - y)), (0, 1)),
    mse.wrong(
        "sign",
        lambda y, t, dloss: (_mse_bwd(y, t, dloss)[0], _mse_bwd(y, t, dloss)[0]),
        (1,),
        "float64",
        detail="of the target's",
    ),
    mse.wrong("batch-global", _mse_global, (0, 1), detail="N counts the batch"),
    bce.wrong(
        "sign", _bce_changed(lambda z, t, w, dloss: w * (t - jax.nn.sigmoid(z)) * dloss), (0,), "bfloat16"
    ),
    bce.wrong(
        "missing factor",
        _bce_changed(lambda z, t, w, dloss: (jax.nn.sigmoid(z) - t) * dloss),
        (0,),
        "float64",
        detail="the weights",
    ),
    bce.wrong(
        "numerically unstable",
        _bce_changed(lambda z, t, w, dloss: w * (jnp.exp(z) / (1 + jnp.exp(z)) - t) * dloss),
        (0,),
        make_args=lambda: (
            np.asarray([-200.0, 200.0, 0.0, 95.0, 1.0], np.float32),
            *_bce_args("float32")[1:],
        ),
    ),
    bce.wrong("input for output", _bce_changed(lambda z, t, w, dloss: w * (z - t) * dloss), (0,)),
    bce.wrong(
        "missing term", _bce_changed(lambda z, t, w, dloss: w * jax.nn.sigmoid(z) * dloss), (0,), "float64"
    ),
    smoothed.wrong("smoothing forgotten", _smoothed_forgotten, (0,)),
    smoothed.wrong(
        "detached",
        lambda smoothing, z, t, dloss: (_smoothed_bwd(smoothing, z, t, dloss)[0], None),
        (1,),
        "float16",
    ),
    huber.wrong("partly wrong", _huber_negative, (0,), detail="far below zero"),
    huber.wrong(
        "wrong mask",
        lambda delta, r, dloss: (jnp.where(abs(r) <= 2 * delta, r, delta * jnp.sign(r)) * dloss,),
        (0,),
        "float64",
    ),
    huber.wrong(
        "non-linear in cotangent",
        lambda delta, r, dloss: (jnp.clip(r, -delta, delta) * abs(dloss),),
        (0,),
        detail="absolute value",
    ),
    huber.wrong(
        "forward mismatch",
        fwd=lambda r, delta: (jnp.sum(jnp.where(abs(r) <= delta, 0.5 * r * r, delta * abs(r))), (r,)),
        dtype="float64",
        detail="½ δ² left out",
    ),
    absolute.wrong(
        "upstream squared",
        lambda y, t, dloss: (jnp.sign(y - t) * dloss**2, -jnp.sign(y - t) * dloss),
        (0,),
        "float16",
        also=("non-linear in cotangent",),
    ),
    absolute.wrong("sign", lambda y, t, dloss: (jnp.sign(y - t) * dloss, jnp.sign(y - t) * dloss), (1,)),
    hinge.wrong("wrong mask", _hinge_always, (0,), detail="never zero"),
    hinge.wrong("not traceable", _hinge_branching, detail="a branch for labels of one kind"),
    cosine.wrong("missing term", _cosine_missing_term, (0,), "float64"),
    cosine.wrong("sign", _cosine_sign, (0, 1), detail="a similarity taken for a loss"),
    cosine.wrong("arguments swapped", lambda a, b, dy: _cosine_bwd(a, b, dy)[::-1], (0, 1), "float64"),
    cosine.wrong("missing factor", _cosine_missing_factor, (0,), detail="1/‖a‖"),
    cosine.wrong(
        "numerically unstable",
        _cosine_unstable,
        (0, 1),
        make_args=lambda: (draw("float32", 4, scale=1e12), draw("float32", 4, seed=1, scale=1e12)),
    ),
    rows.wrong(
        "batch of one",
        lambda y, t, dloss: (2 * (y - t) * dloss, 2 * (t - y) * dloss),
        (0, 1),
        "float64",
        also=("constant factor",),
        make_args=lambda: _pairs("float64", 1),
        shows_at=lambda: _pairs("float64", 2),
    ),
    rows.wrong(
        "batch of one",
        lambda y, t, dloss: (
            (2 / len(y) * (y[0] - t[0]) * dloss)[None] * jnp.ones_like(y),
            2 / len(y) * (t - y) * dloss,
        ),
        (0,),
        also=("missing sum",),
        detail="seen with three rows",
    ),
)

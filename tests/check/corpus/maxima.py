"""Maxima and piecewise-linear functions: max, pooling, top-1, maximum, relu and its kin, hardtanh, clip."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Operator, draw

# ---- maximum along the last axis --------------------------------------------------------------------------


def _max(x):
    return jnp.max(x, -1)


def _to(winner, x, dy):
    return jax.nn.one_hot(winner, x.shape[-1], dtype=x.dtype) * dy[..., None]


def _max_bwd(x, dy):
    return (_to(jnp.argmax(x, -1), x, dy),)


def _max_shared(x, dy):
    equal = (x == jnp.max(x, -1, keepdims=True)).astype(x.dtype)
    return (equal / jnp.sum(equal, -1, keepdims=True) * dy[..., None],)


def _max_to_all(x, dy):
    return ((x == jnp.max(x, -1, keepdims=True)).astype(x.dtype) * dy[..., None],)


maximum_along = Operator(
    "maxima/max", _max, lambda x: (_max(x), (x,)), _max_bwd, lambda dtype: (draw(dtype, 3, 4),)
)


def _tied():
    return (np.asarray([[1, 2, 2, 0], [3, 3, 3, 3], [0, -1, 0, -2]], np.float32),)


# ---- pooling over windows of two --------------------------------------------------------------------------


def _pool(x):
    return jnp.max(x.reshape(-1, 2), -1)


def _pool_bwd(x, dy):
    return (_to(jnp.argmax(x.reshape(-1, 2), -1), x.reshape(-1, 2), dy).reshape(-1),)


def _pool_first(x, dy):
    return (jnp.stack([dy, jnp.zeros_like(dy)], -1).reshape(-1),)


def _pool_shifted(x, dy):
    return (jnp.roll(_pool_bwd(x, dy)[0], 1),)


pool = Operator(
    "maxima/pooling", _pool, lambda x: (_pool(x), (x,)), _pool_bwd, lambda dtype: (draw(dtype, 6),)
)

# ---- the best score and where it stands -------------------------------------------------------------------


def _top(x):
    return jnp.max(x, -1), jnp.argmax(x, -1).astype(jnp.int32)


def _top_runner_up(x, winner, dy):
    return (_to(jnp.argsort(x, -1)[..., -2], x, dy[0]),)


top = Operator(
    "maxima/top-1",
    _top,
    lambda x: (y := _top(x), (x, y[1])),
    lambda x, winner, dy: (_to(winner, x, dy[0]),),
    lambda dtype: (draw(dtype, 2, 5),),
)

# ---- the larger of two ------------------------------------------------------------------------------------


def _maximum_bwd(x, y, dz):
    return jnp.where(x >= y, dz, 0.0), jnp.where(x >= y, 0.0, dz)


def _maximum_half(x, y, dz):
    share = jnp.where(x == y, 0.5, (x > y).astype(x.dtype))
    return share * dz, (1 - share) * dz


maximum = Operator(
    "maxima/maximum",
    jnp.maximum,
    lambda x, y: (jnp.maximum(x, y), (x, y)),
    _maximum_bwd,
    lambda dtype: (draw(dtype, 5), draw(dtype, 5, seed=1)),
)

# ---- relu and its kin -------------------------------------------------------------------------------------


def _elementwise(name, f, slope):
    """An operator whose derivative is a slope that depends on the piece alone."""
    return Operator(
        f"maxima/{name}",
        f,
        lambda x: (f(x), (x,)),
        lambda x, dy: (slope(x) * dy,),
        lambda dtype: (draw(dtype, 9, scale=4.0),),
    )


relu = _elementwise("relu", lambda x: jnp.maximum(x, 0.0), lambda x: (x > 0).astype(x.dtype))
leaky_relu = _elementwise(
    "leaky relu", lambda x: jnp.where(x > 0, x, 0.1 * x), lambda x: jnp.where(x > 0, 1.0, 0.1).astype(x.dtype)
)
relu6 = _elementwise("relu6", lambda x: jnp.clip(x, 0.0, 6.0), lambda x: ((x > 0) & (x < 6)).astype(x.dtype))
hardtanh = _elementwise("hardtanh", lambda x: jnp.clip(x, -1.0, 1.0), lambda x: (abs(x) <= 1).astype(x.dtype))
absolute = _elementwise("abs", jnp.abs, jnp.sign)


def _kinks(*values, dtype="float32"):
    return lambda: (np.asarray(values).astype(np.dtype(dtype)),)


# ---- clip to bounds that are arguments --------------------------------------------------------------------


def _clip(x, low, high):
    return jnp.minimum(jnp.maximum(x, low), high)


def _clip_bwd(x, low, high, dy):
    inside = (x >= low) & (x <= high)
    return (
        jnp.where(inside, dy, 0.0),
        jnp.sum(jnp.where(x < low, dy, 0.0)),
        jnp.sum(jnp.where(x > high, dy, 0.0)),
    )


def _clip_first(x, low, high, dy):
    low_dy, high_dy = jnp.where(x < low, dy, 0.0), jnp.where(x > high, dy, 0.0)
    return _clip_bwd(x, low, high, dy)[0], low_dy[0], jnp.sum(high_dy)


def _clip_mask(x, low, high, dy):
    return jnp.where(x <= high, dy, 0.0), *_clip_bwd(x, low, high, dy)[1:]


def _clip_swapped(x, low, high, dy):
    dx, dlow, dhigh = _clip_bwd(x, low, high, dy)
    return dx, dhigh, dlow


def _clip_args(dtype):
    return draw(dtype, 6), np.asarray(-0.25, np.dtype(dtype)), np.asarray(0.25, np.dtype(dtype))


clip = Operator(
    "maxima/clip", _clip, lambda x, low, high: (_clip(x, low, high), (x, low, high)), _clip_bwd, _clip_args
)

CASES = (
    maximum_along.right("ties, first winner", smooth=False, make_args=_tied),
    maximum_along.right("ties, shared", bwd=_max_shared, smooth=False, make_args=_tied),
    maximum_along.right("one entry", make_args=lambda: (draw("bfloat16", 3, 1),)),
    pool.right("ties", smooth=False, make_args=_kinks(1, 1, 2, 0, -1, -1)),
    top.right("an integer output", "float64"),
    maximum.right(
        "equal, the first wins", smooth=False, make_args=lambda: (draw("float32", 3), draw("float32", 3))
    ),
    maximum.right(
        "equal, halved",
        bwd=_maximum_half,
        smooth=False,
        make_args=lambda: (draw("float64", 3), draw("float64", 3)),
    ),
    relu.right("at zero", smooth=False, make_args=_kinks(0, -0.0, 1, -2)),
    relu.right(
        "at zero, one",
        bwd=lambda x, dy: (jnp.where(x >= 0, dy, 0.0),),
        smooth=False,
        make_args=_kinks(0, 1, -1, 0, dtype="float64"),
    ),
    leaky_relu.right("at zero", smooth=False, make_args=_kinks(0, 1, -1, dtype="bfloat16")),
    relu6.right("at both kinks", smooth=False, make_args=_kinks(0, 6, 3, 7, -1, dtype="float16")),
    hardtanh.right("at both kinks", smooth=False, make_args=_kinks(-1, 1, 0.5, 2, -3)),
    absolute.right("at zero", smooth=False, make_args=_kinks(0, 1e-6, -1e6)),
    absolute.right("scalar", make_args=lambda: (np.asarray(-2.0),)),
    clip.right(
        "at a bound",
        smooth=False,
        make_args=lambda: (np.asarray([-0.25, 0.25, 1.0], np.float32), *_clip_args("float32")[1:]),
    ),
    maximum_along.wrong(
        "wrong winner", lambda x, dy: (_to(jnp.argmin(x, -1), x, dy),), (0,), "float64", detail="the smallest"
    ),
    maximum_along.wrong(
        "wrong winner", _max_to_all, (0,), detail="all that are equal", smooth=False, make_args=_tied
    ),
    maximum_along.wrong(
        "off by one",
        lambda x, dy: (_to((jnp.argmax(x, -1) + 1) % x.shape[-1], x, dy),),
        (0,),
        "float16",
        also=("wrong winner",),
    ),
    maximum_along.wrong(
        "not traceable",
        lambda x, dy: (np.eye(x.shape[-1], dtype=x.dtype)[np.argmax(np.asarray(x), -1)] * dy[..., None],),
        detail="NumPy on a residual",
    ),
    pool.wrong("wrong winner", _pool_first, (0,), detail="the first of each window"),
    pool.wrong("off by one", _pool_shifted, (0,), "float64"),
    top.wrong("wrong winner", _top_runner_up, (0,), detail="the second best"),
    maximum.wrong("wrong winner", lambda x, y, dz: (dz, jnp.where(x >= y, 0.0, dz)), (0,), detail="both win"),
    maximum.wrong("arguments swapped", lambda x, y, dz: _maximum_bwd(x, y, dz)[::-1], (0, 1), "bfloat16"),
    maximum.wrong("detached", lambda x, y, dz: (_maximum_bwd(x, y, dz)[0], None), (1,), "float64"),
    relu.wrong(
        "wrong mask", lambda x, dy: (jnp.where(x > -1, dy, 0.0),), (0,), make_args=_kinks(-0.5, 2, -3, 0.25)
    ),
    relu.wrong(
        "non-linear in cotangent",
        lambda x, dy: (jnp.where(x > 0, jnp.maximum(dy, 0.0), 0.0),),
        (0,),
        "float64",
        also=("wrong mask",),
        detail="guided",
    ),
    relu.wrong(
        "wrong mask",
        lambda x, dy: (jnp.where(x > 0, dy, -dy),),
        (0,),
        "float16",
        also=("partly wrong", "wrong derivative formula"),
        detail="the derivative of abs",
    ),
    leaky_relu.wrong(
        "partly wrong",
        lambda x, dy: (jnp.where(x > 0, dy, 0.01 * dy),),
        (0,),
        detail="another slope below zero",
    ),
    leaky_relu.wrong(
        "partly wrong",
        lambda x, dy: (jnp.where(x > 0, dy, 0.1 * dy).at[-1].set(0.0),),
        (0,),
        "float64",
        detail="last entry",
    ),
    relu6.wrong(
        "wrong mask",
        lambda x, dy: (jnp.where(x > 0, dy, 0.0),),
        (0,),
        "bfloat16",
        detail="no upper bound",
        make_args=_kinks(-2, 1, 5, 7, 9, dtype="bfloat16"),
    ),
    relu6.wrong(
        "forward mismatch",
        fwd=lambda x: (jnp.maximum(x, 0.0), (x,)),
        detail="relu",
        make_args=_kinks(-2, 1, 5, 7, 9),
    ),
    hardtanh.wrong("wrong mask", lambda x, dy: (jnp.where(abs(x) <= 1, 0.0, dy),), (0,), "float64"),
    hardtanh.wrong(
        "wrong mask", lambda x, dy: (jnp.where(x <= 1, dy, 0.0),), (0,), detail="lower side passes"
    ),
    absolute.wrong("sign", lambda x, dy: (-jnp.sign(x) * dy,), (0,)),
    clip.wrong(
        "missing sum",
        _clip_first,
        (1,),
        "float64",
        make_args=lambda: (np.asarray([-1.0, 0.1, -2.0, 3.0]), *_clip_args("float64")[1:]),
    ),
    clip.wrong(
        "wrong mask",
        _clip_mask,
        (0,),
        make_args=lambda: (np.asarray([-1.0, 0.1, -2.0, 3.0], np.float32), *_clip_args("float32")[1:]),
    ),
    clip.wrong(
        "arguments swapped",
        _clip_swapped,
        (1, 2),
        make_args=lambda: (np.asarray([-1.0, 0.1, -2.0, 3.0], np.float32), *_clip_args("float32")[1:]),
    ),
)

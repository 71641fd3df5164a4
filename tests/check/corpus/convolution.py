"""Convolutions in one dimension (as neural networks mean it: cross-correlations)."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Operator, draw

# ---- y_t = Σ_j w_j x_{t+j}, where the kernel fits ---------------------------------------------------------


def _valid(x, w):
    return jnp.convolve(x, w[::-1], mode="valid")


def _valid_bwd(x, w, dy):
    return jnp.convolve(dy, w, mode="full"), jnp.convolve(x, dy[::-1], mode="valid")


def _valid_last_tap(x, w, dy):
    return jnp.convolve(dy, w.at[-1].set(0.0), mode="full"), _valid_bwd(x, w, dy)[1]


def _valid_shifted(x, w, dy):
    return jnp.convolve(dy, w, mode="full"), jnp.convolve(jnp.roll(x, -1), dy[::-1], mode="valid")


valid = Operator(
    "convolution/valid",
    _valid,
    lambda x, w: (_valid(x, w), (x, w)),
    _valid_bwd,
    lambda dtype: (draw(dtype, 7), draw(dtype, 3, seed=1)),
)

# ---- one kernel a channel ---------------------------------------------------------------------------------


def _depthwise(x, w):
    n = len(x) - len(w) + 1
    return sum(x[j : j + n] * w[j][None] for j in range(len(w)))


def _depthwise_dx(x, w, dy, tap=lambda j: j):
    dx = jnp.zeros_like(x)
    for j in range(len(w)):
        dx = dx.at[j : j + len(dy)].add(dy * w[tap(j)][None])
    return dx


def _depthwise_dw(x, w, dy, first=0):
    return jnp.stack(
        [jnp.sum(x[j + first :][: len(dy)] * dy[: len(x) - j - first], 0) for j in range(len(w))]
    )


def _depthwise_bwd(x, w, dy):
    return _depthwise_dx(x, w, dy), _depthwise_dw(x, w, dy)


def _depthwise_reversed(x, w, dy):
    return _depthwise_dx(x, w, dy, tap=lambda j: len(w) - 1 - j), _depthwise_dw(x, w, dy)


def _depthwise_setting(x, w, dy):
    dx = jnp.zeros_like(x)
    for j in range(len(w)):
        dx = dx.at[j : j + len(dy)].set(dy * w[j][None])
    return dx, _depthwise_dw(x, w, dy)


def _depthwise_wrong_axis(x, w, dy):
    dw = [jnp.sum(x[j : j + len(dy)] * dy, 1) for j in range(len(w))]
    return _depthwise_dx(x, w, dy), jnp.stack(dw)


def _depthwise_extra_sum(x, w, dy):
    dw = _depthwise_dw(x, w, dy)
    return _depthwise_dx(x, w, dy), jnp.broadcast_to(jnp.sum(dw, -1, keepdims=True), dw.shape)


depthwise = Operator(
    "convolution/depthwise",
    _depthwise,
    lambda x, w: (_depthwise(x, w), (x, w)),
    _depthwise_bwd,
    lambda dtype: (draw(dtype, 5, 3), draw(dtype, 3, 3, seed=1)),
)

# ---- zeros around x, channels mixed, a bias ---------------------------------------------------------------


def _windows(x, k):
    padded = jnp.pad(x, ((k // 2, k // 2), (0, 0)))
    return jnp.stack([padded[j : j + len(x)] for j in range(k)], 1)


def _same(x, W, b):
    return jnp.einsum("tkc,kco->to", _windows(x, len(W)), W) + b[None]


def _same_dx(x, W, dy):
    k, taps = len(W), jnp.einsum("to,kco->tkc", dy, W)
    dpadded = jnp.zeros((len(x) + 2 * (k // 2), x.shape[1]), x.dtype)
    for j in range(k):
        dpadded = dpadded.at[j : j + len(x)].add(taps[:, j])
    return dpadded[k // 2 : k // 2 + len(x)]


def _same_dW(x, W, dy):
    return jnp.einsum("tkc,to->kco", _windows(x, len(W)), dy)


def _same_bwd(x, W, dy):
    return _same_dx(x, W, dy), _same_dW(x, W, dy), dy.sum(0)


def _same_wrapping(x, W, dy):
    wrapped = jnp.stack([jnp.roll(x, 1, 0), x, jnp.roll(x, -1, 0)], 1)
    return _same_dx(x, W, dy), jnp.einsum("tkc,to->kco", wrapped, dy), dy.sum(0)


def _same_float32(x, W, dy):
    dW = jnp.einsum("tkc,to->kco", _windows(x, len(W)), dy, preferred_element_type=jnp.float32)
    return _same_dx(x, W, dy), dW, dy.sum(0)


same = Operator(
    "convolution/same",
    _same,
    lambda x, W, b: (_same(x, W, b), (x, W)),
    _same_bwd,
    lambda dtype: (draw(dtype, 5, 2), draw(dtype, 3, 2, 2, seed=1), draw(dtype, 2, seed=2)),
)

# ---- every second position --------------------------------------------------------------------------------


def _strided(x, w):
    return _valid(x, w)[::2]


def _dilated(dy, like):
    return jnp.zeros(like.shape[0] - 2, like.dtype).at[::2].set(dy)


strided = Operator(
    "convolution/strided",
    _strided,
    lambda x, w: (_strided(x, w), (x, w)),
    lambda x, w, dy: _valid_bwd(x, w, _dilated(dy, x)),
    lambda dtype: (draw(dtype, 7), draw(dtype, 3, seed=1)),
)


def _strided_off_by_one(x, w, dy):
    dense = jnp.zeros(len(x) - 2, x.dtype).at[1::2].set(dy[:-1])
    return _valid_bwd(x, w, dense)


CASES = (
    valid.right("kernel as long as x", make_args=lambda: (draw("float32", 3), draw("float32", 3, seed=1))),
    valid.right("float64, jitted", "float64", wrap=jax.jit),
    depthwise.right("bfloat16", "bfloat16"),
    depthwise.right(
        "vmapped, kernel shared",
        wrap=lambda f: jax.vmap(f, in_axes=(0, None)),
        make_args=lambda: (draw("float32", 2, 5, 3), draw("float32", 2, 3)),
        in_axes=(0, None),
    ),
    same.right("float64", "float64"),
    same.right("one position", make_args=lambda: (draw("float32", 1, 2), *same.example("float32")[1:])),
    strided.right("float16", "float16"),
    valid.wrong(
        "order reversed",
        lambda x, w, dy: (jnp.convolve(dy, w[::-1], mode="full"), _valid_bwd(x, w, dy)[1]),
        (0,),
        detail="kernel in dx",
    ),
    valid.wrong(
        "order reversed",
        lambda x, w, dy: (_valid_bwd(x, w, dy)[0], _valid_bwd(x, w, dy)[1][::-1]),
        (1,),
        "float64",
        detail="dw",
    ),
    valid.wrong("partly wrong", _valid_last_tap, (0,), detail="last tap left out"),
    valid.wrong("off by one", _valid_shifted, (1,), "float64"),
    valid.wrong(
        "upstream ignored",
        lambda x, w, dy: (_valid_bwd(x, w, dy)[0], jnp.convolve(x, jnp.ones_like(dy), mode="valid")),
        (1,),
    ),
    depthwise.wrong("order reversed", _depthwise_reversed, (0,), "bfloat16"),
    depthwise.wrong("set instead of add", _depthwise_setting, (0,)),
    depthwise.wrong("wrong axis", _depthwise_wrong_axis, (1,), "float64"),
    depthwise.wrong("extra sum", _depthwise_extra_sum, (1,), detail="over the channels"),
    depthwise.wrong(
        "off by one",
        lambda x, w, dy: (_depthwise_dx(x, w, dy), _depthwise_dw(x, w, dy, first=1)),
        (1,),
        detail="window begins late",
    ),
    same.wrong("padding", _same_wrapping, (1,), detail="the edges wrap around"),
    same.wrong("missing sum", lambda x, W, dy: (*_same_bwd(x, W, dy)[:2], dy[0]), (2,), "float16"),
    same.wrong(
        "missing transpose",
        lambda x, W, dy: (_same_dx(x, W.transpose(0, 2, 1), dy), _same_dW(x, W, dy), dy.sum(0)),
        (0,),
        "float64",
    ),
    same.wrong(
        "transposed result",
        lambda x, W, dy: (_same_dx(x, W, dy), _same_dW(x, W, dy).transpose(0, 2, 1), dy.sum(0)),
        (1,),
    ),
    same.wrong("cotangent dtype", _same_float32, (1,), "bfloat16"),
    same.wrong(
        "forward mismatch", fwd=lambda x, W, b: (_same(x, W[::-1], b), (x, W)), detail="kernel reversed"
    ),
    same.wrong(
        "wrong axis",
        lambda x, W, dy: (*_same_bwd(x, W, dy)[:2], dy.sum(1)),
        (2,),
        make_args=lambda: (draw("float32", 2, 2), *same.example("float32")[1:]),
    ),
    strided.wrong("off by one", _strided_off_by_one, (0, 1)),
    strided.wrong(
        "detached",
        lambda x, w, dy: (_valid_bwd(x, w, _dilated(dy, x))[0], np.zeros(w.shape, w.dtype)),
        (1,),
        "float64",
    ),
)

"""Recurrences: a vanilla network by scan and unrolled, gated steps, masks, a moving average."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.check.corpus._case import Case, Operator, draw

# ---- h_t = tanh(W h_{t-1} + U x_t + b), every state returned ----------------------------------------------


def _rnn(W, U, b, h0, xs):
    def step(h, x):
        h = jnp.tanh(W @ h + U @ x + b)
        return h, h

    return lax.scan(step, h0, xs)[1]


def _rnn_fwd(W, U, b, h0, xs):
    hs = _rnn(W, U, b, h0, xs)
    return hs, (W, U, h0, xs, hs)


def _deltas(W, hs, dhs, dlast=None):
    """What reaches each step's sum z_t, from its own output and from the later ones, and dh0."""

    def step(dh, t):
        dy, h = t
        dz = (dh + dy) * (1 - h * h)
        return W.T @ dz, dz

    return lax.scan(step, jnp.zeros_like(hs[0]) if dlast is None else dlast, (dhs, hs), reverse=True)


def _before(h0, hs):
    return jnp.concatenate([h0[None], hs[:-1]])


def _rnn_bwd(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W, hs, dhs)
    return dz.T @ _before(h0, hs), dz.T @ xs, dz.sum(0), dh0, dz @ U


def _rnn_missing_transpose(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W.T, hs, dhs)
    return dz.T @ _before(h0, hs), dz.T @ xs, dz.sum(0), dh0, dz @ U


def _rnn_transposed(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W, hs, dhs)
    return _before(h0, hs).T @ dz, dz.T @ xs, dz.sum(0), dh0, dz @ U


def _rnn_time_shift(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W, hs, dhs)
    return dz.T @ hs, dz.T @ xs, dz.sum(0), dh0, dz @ U


def _rnn_not_through_time(W, U, h0, xs, hs, dhs):
    dz = dhs * (1 - hs * hs)
    return dz.T @ _before(h0, hs), dz.T @ xs, dz.sum(0), W.T @ dz[0], dz @ U


def _rnn_reversed(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W, hs, dhs)
    return dz.T @ _before(h0, hs), dz.T @ xs, dz.sum(0), dh0, (dz @ U)[::-1]


def _rnn_missing_factor(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W, jnp.zeros_like(hs), dhs)
    return dz.T @ _before(h0, hs), dz.T @ xs, dz.sum(0), dh0, dz @ U


def _rnn_missing_sum(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W, hs, dhs)
    return dz.T @ _before(h0, hs), dz.T @ xs, dz[-1], dh0, dz @ U


def _rnn_detached(W, U, h0, xs, hs, dhs):
    _, dz = _deltas(W, hs, dhs)
    return dz.T @ _before(h0, hs), dz.T @ xs, dz.sum(0), jnp.zeros_like(h0), dz @ U


def _rnn_stale(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W, hs, dhs)
    return dz.T @ jnp.broadcast_to(h0, hs.shape), dz.T @ xs, dz.sum(0), dh0, dz @ U


def _rnn_branching(W, U, h0, xs, hs, dhs):
    dh0, dz = _deltas(W, hs, dhs)
    norm = jnp.sqrt(jnp.sum(dz * dz))
    if norm > 1e6:
        dz = dz / norm
    return dz.T @ _before(h0, hs), dz.T @ xs, dz.sum(0), dh0, dz @ U


def _rnn_args(dtype, steps=3, scale=1.0):
    W, U = draw(dtype, 3, 3, scale=0.7), draw(dtype, 3, 2, seed=1)
    return W, U, draw(dtype, 3, seed=2), draw(dtype, 3, seed=3), draw(dtype, steps, 2, seed=4, scale=scale)


rnn = Operator("recurrent/rnn by scan", _rnn, _rnn_fwd, _rnn_bwd, _rnn_args)


def _rnn_and_last(W, U, b, h0, xs):
    hs = _rnn(W, U, b, h0, xs)
    return hs, hs[-1]


def _rnn_and_last_fwd(W, U, b, h0, xs):
    hs = _rnn(W, U, b, h0, xs)
    return (hs, hs[-1]), (W, U, h0, xs, hs)


def _rnn_and_last_bwd(W, U, h0, xs, hs, dy):
    dh0, dz = _deltas(W, hs, *dy)
    return dz.T @ _before(h0, hs), dz.T @ xs, dz.sum(0), dh0, dz @ U


rnn_and_last = Operator(
    "recurrent/rnn with its last state", _rnn_and_last, _rnn_and_last_fwd, _rnn_and_last_bwd, _rnn_args
)

# ---- unrolled, the last state alone: h_T ------------------------------------------------------------------


def _states(W, h, xs):
    hs = [h]
    for x in xs:
        hs.append(jnp.tanh(W @ hs[-1] + x))
    return hs


def _unrolled(W, h0, xs):
    return _states(W, h0, xs)[-1]


def _unrolled_fwd(W, h0, xs):
    hs = _states(W, h0, xs)
    return hs[-1], (W, hs)


def _unrolled_bwd(W, hs, dh):
    dW, dxs = jnp.zeros_like(W), []
    for before, h in zip(hs[-2::-1], hs[:0:-1], strict=True):
        dz = dh * (1 - h * h)
        dW, dh, dxs = dW + jnp.outer(dz, before), W.T @ dz, [dz, *dxs]
    return dW, dh, jnp.stack(dxs)


def _unrolled_one_step_short(W, hs, dh):
    dW, dxs = jnp.zeros_like(W), []
    for before, h in zip(hs[-2:0:-1], hs[:1:-1], strict=True):
        dz = dh * (1 - h * h)
        dW, dh, dxs = dW + jnp.outer(dz, before), W.T @ dz, [dz, *dxs]
    return dW, dh, jnp.stack([dh, *dxs])


def _unrolled_missing_transpose(W, hs, dh):
    dW, dxs = jnp.zeros_like(W), []
    for before, h in zip(hs[-2::-1], hs[:0:-1], strict=True):
        dz = dh * (1 - h * h)
        dW, dh, dxs = dW + jnp.outer(dz, before), W @ dz, [dz, *dxs]
    return dW, dh, jnp.stack(dxs)


def _unrolled_set(W, hs, dh):
    dW, dxs = jnp.zeros_like(W), []
    for before, h in zip(hs[-2::-1], hs[:0:-1], strict=True):
        dz = dh * (1 - h * h)
        dW, dh, dxs = jnp.outer(dz, before), W.T @ dz, [dz, *dxs]
    return dW, dh, jnp.stack(dxs)


unrolled = Operator(
    "recurrent/rnn unrolled",
    _unrolled,
    _unrolled_fwd,
    _unrolled_bwd,
    lambda dtype: (draw(dtype, 3, 3, scale=0.7), draw(dtype, 3, seed=1), draw(dtype, 3, 3, seed=2)),
)

# ---- a gated step: h' = (1 - z) h + z c -------------------------------------------------------------------


def _gates(h, x, Wz, Wc):
    return jax.nn.sigmoid(Wz @ h + x), jnp.tanh(Wc @ h + x)


def _gru(h, x, Wz, Wc):
    z, c = _gates(h, x, Wz, Wc)
    return (1 - z) * h + z * c


def _gru_fwd(h, x, Wz, Wc):
    z, c = _gates(h, x, Wz, Wc)
    return (1 - z) * h + z * c, (h, z, c, Wz, Wc)


def _gru_local(h, z, c, dy):
    return dy * (c - h) * z * (1 - z), dy * z * (1 - c * c)


def _gru_bwd(h, z, c, Wz, Wc, dy):
    da, dc = _gru_local(h, z, c, dy)
    return dy * (1 - z) + Wz.T @ da + Wc.T @ dc, da + dc, jnp.outer(da, h), jnp.outer(dc, h)


def _gru_missing_term(h, z, c, Wz, Wc, dy):
    da, dc = _gru_local(h, z, c, dy)
    return Wz.T @ da + Wc.T @ dc, da + dc, jnp.outer(da, h), jnp.outer(dc, h)


def _gru_path(h, z, c, Wz, Wc, dy):
    da, dc = _gru_local(h, z, c, dy)
    return dy * (1 - z) + Wc.T @ dc, da + dc, jnp.outer(da, h), jnp.outer(dc, h)


def _gru_new_state(h, z, c, Wz, Wc, dy):
    da, dc = _gru_local(h, z, c, dy)
    new = (1 - z) * h + z * c
    return dy * (1 - z) + Wz.T @ da + Wc.T @ dc, da + dc, jnp.outer(da, new), jnp.outer(dc, new)


def _gru_swapped(h, z, c, Wz, Wc, dy):
    da, dc = _gru_local(h, z, c, dy)
    return dy * (1 - z) + Wz.T @ da + Wc.T @ dc, da + dc, jnp.outer(dc, h), jnp.outer(da, h)


def _gru_formula(h, z, c, Wz, Wc, dy):
    da, dc = dy * (c - h) * z, dy * z * (1 - c * c)
    return dy * (1 - z) + Wz.T @ da + Wc.T @ dc, da + dc, jnp.outer(da, h), jnp.outer(dc, h)


gru = Operator(
    "recurrent/gru step",
    _gru,
    _gru_fwd,
    _gru_bwd,
    lambda dtype: (
        draw(dtype, 3),
        draw(dtype, 3, seed=1),
        draw(dtype, 3, 3, seed=2),
        draw(dtype, 3, 3, seed=3),
    ),
)

# ---- an LSTM cell past its gates' sums, two results -------------------------------------------------------


def _lstm(c, i, f, o, g):
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _lstm_fwd(c, i, f, o, g):
    return _lstm(c, i, f, o, g), (c, *map(jax.nn.sigmoid, (i, f, o)), jnp.tanh(g), _lstm(c, i, f, o, g)[1])


def _lstm_bwd(c, i, f, o, g, new, dy):
    dh, dnew = dy
    t = jnp.tanh(new)
    dnew = dnew + dh * o * (1 - t * t)
    return (
        dnew * f,
        dnew * g * i * (1 - i),
        dnew * c * f * (1 - f),
        dh * t * o * (1 - o),
        dnew * i * (1 - g * g),
    )


def _lstm_swapped(*residuals_dy):
    dc, di, df, do, dg = _lstm_bwd(*residuals_dy)
    return dc, df, di, do, dg


lstm = Operator(
    "recurrent/lstm cell",
    _lstm,
    _lstm_fwd,
    _lstm_bwd,
    lambda dtype: tuple(draw(dtype, 3, seed=s) for s in range(5)),
)

# ---- padded steps leave the state alone -------------------------------------------------------------------


def _masked(W, xs, mask):
    def step(h, t):
        x, m = t
        return jnp.where(m, jnp.tanh(W @ h + x), h), h

    last, before = lax.scan(step, jnp.zeros_like(xs[0]), (xs, mask))
    return last, before


def _masked_bwd(W, xs, mask, before, dlast, *, masked=True):
    def step(dh, t):
        x, m, h = t
        y = jnp.tanh(W @ h + x)
        dz = dh * (1 - y * y)
        dz = jnp.where(m, dz, 0.0) if masked else dz
        return W.T @ dz + jnp.where(m, 0.0, dh), dz

    dz = lax.scan(step, dlast, (xs, mask, before), reverse=True)[1]
    return dz.T @ before, dz, None


masked = Operator(
    "recurrent/masked rnn",
    lambda W, xs, mask: _masked(W, xs, mask)[0],
    lambda W, xs, mask: ((s := _masked(W, xs, mask))[0], (W, xs, mask, s[1])),
    _masked_bwd,
    lambda dtype: (draw(dtype, 2, 2), draw(dtype, 4, 2, seed=1), np.array([True, False, True, False])),
)

# ---- a moving average: s_t = a s_{t-1} + (1 - a) x_t ------------------------------------------------------


def _average(a, xs):
    def step(s, x):
        s = a * s + (1 - a) * x
        return s, s

    return lax.scan(step, jnp.zeros_like(xs[0]), xs)[1]


def _average_sums(a, dy):
    def step(ds, d):
        return a * (ds + d), ds + d

    return lax.scan(step, jnp.zeros_like(dy[0]), dy, reverse=True)[1]


def _average_bwd(a, xs, s, dy):
    ds = _average_sums(a, dy)
    return jnp.sum(ds * (_before(jnp.zeros_like(s[0]), s) - xs)), (1 - a) * ds


def _average_shift(a, xs, s, dy):
    ds = _average_sums(a, dy)
    return jnp.sum(ds * (s - xs)), (1 - a) * ds


def _average_forward(a, xs, s, dy):
    ds = _average_sums(a, dy[::-1])
    return jnp.sum(_average_sums(a, dy) * (_before(jnp.zeros_like(s[0]), s) - xs)), (1 - a) * ds


average = Operator(
    "recurrent/moving average",
    _average,
    lambda a, xs: (s := _average(a, xs), (a, xs, s)),
    _average_bwd,
    lambda dtype: (np.asarray(0.75, np.dtype(dtype)), draw(dtype, 4, 2)),
)

# ---- a step built on an operator with rules of its own ----------------------------------------------------

_gate = jax.custom_vjp(jax.nn.sigmoid)
_gate.defvjp(lambda x: (y := jax.nn.sigmoid(x), y), lambda y, dy: (dy * y * (1 - y),))


def _gated(state, x):
    opened = _gate(x + state["h"])
    return {"h": opened * state["h"], "n": state["n"] + 1}


def _gated_plain(state, x):
    opened = jax.nn.sigmoid(x + state["h"])
    return {"h": opened * state["h"], "n": state["n"] + 1}


CASES = (
    rnn.right("one step", make_args=lambda: _rnn_args("float32", 1)),
    rnn.right("saturated", make_args=lambda: _rnn_args("float64", 3, 50.0)),
    rnn.right("bfloat16", "bfloat16"),
    rnn_and_last.right("two outputs", "float64"),
    unrolled.right("float16", "float16"),
    gru.right("jitted", wrap=jax.jit),
    lstm.right("two outputs", "float64"),
    masked.right(
        "every step masked",
        make_args=lambda: (draw("float32", 2, 2), draw("float32", 3, 2), np.zeros(3, bool)),
    ),
    average.right("scalar argument"),
    Case(
        "recurrent/gated step/state with a counter",
        _gated,
        lambda: ({"h": draw("float32", 3), "n": np.int32(2)}, draw("float32", 3, seed=1)),
        oracle=_gated_plain,
    ),
    rnn.wrong("missing transpose", _rnn_missing_transpose, (0, 1, 2, 3, 4)),
    rnn.wrong("transposed result", _rnn_transposed, (0,), "float64"),
    rnn.wrong("time shift", _rnn_time_shift, (0,), detail="the new state for the old"),
    rnn.wrong("path forgotten", _rnn_not_through_time, (0, 1, 2, 3, 4), "float64", detail="not through time"),
    rnn.wrong("order reversed", _rnn_reversed, (4,)),
    rnn.wrong("missing factor", _rnn_missing_factor, (0, 1, 2, 3, 4), "bfloat16"),
    rnn.wrong("missing sum", _rnn_missing_sum, (2,), "float64"),
    rnn.wrong("detached", _rnn_detached, (3,)),
    rnn.wrong("stale residual", _rnn_stale, (0,), "float64", also=("time shift",), detail="the first state"),
    rnn.wrong("not traceable", _rnn_branching, detail="clipping only where large"),
    rnn_and_last.wrong(
        "output ignored", lambda W, U, h0, xs, hs, dy: _rnn_bwd(W, U, h0, xs, hs, dy[0]), (0, 1, 2, 3, 4)
    ),
    unrolled.wrong("time shift", _unrolled_one_step_short, (0, 1, 2), "float64", detail="one step too few"),
    unrolled.wrong("missing transpose", _unrolled_missing_transpose, (0, 1, 2), "float64"),
    unrolled.wrong(
        "path forgotten",
        _unrolled_set,
        (0,),
        also=("set instead of add", "missing sum"),
        detail="the first step alone",
    ),
    gru.wrong("missing term", _gru_missing_term, (0,), "float64", also=("path forgotten",)),
    gru.wrong("path forgotten", _gru_path, (0,), also=("missing term",), detail="through the gate"),
    gru.wrong("time shift", _gru_new_state, (2, 3), "float64"),
    gru.wrong("arguments swapped", _gru_swapped, (2, 3)),
    gru.wrong(
        "wrong derivative formula",
        _gru_formula,
        (0, 1, 2),
        "bfloat16",
        also=("missing factor",),
        detail="sigmoid without 1 - z",
    ),
    lstm.wrong(
        "output ignored",
        lambda *rd: _lstm_bwd(*rd[:-1], (rd[-1][0], jnp.zeros_like(rd[-1][1]))),
        (0, 1, 2, 4),
    ),
    lstm.wrong("arguments swapped", _lstm_swapped, (1, 2), "float64"),
    masked.wrong("padding", lambda *rd: _masked_bwd(*rd, masked=False), (0, 1)),
    average.wrong("time shift", _average_shift, (0,)),
    average.wrong("order reversed", _average_forward, (1,), "float64"),
)

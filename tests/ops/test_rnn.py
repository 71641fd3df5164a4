"""The recurrent layer and the bare loop: masks, no steps, kinks, saturation, what is kept and recomputed."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop import ops
from jaxbackprop.ops import plain

B, T, N, M = 2, 5, 3, 4


def arguments(seed=0, leading=(B,), steps=T):
    rng = np.random.default_rng(seed)
    shapes = {
        "x": (*leading, steps, N),
        "W_x": (M, N),
        "W_h": (M, M),
        "b": (M,),
        "h0": (*leading, M),
    }
    return {name: jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32) for name, shape in shapes.items()}


def gradients(function, args, dy, **rest):
    """The states, and the cotangents by name."""
    y, pull = jax.vjp(lambda args: function(**args, **rest), args)
    return y, pull(jnp.asarray(dy, y.dtype))[0]


def close(got, want, rtol=2e-5, atol=2e-6):
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=rtol, atol=atol), got, want)


def temporary_bytes(steps, batch=16, units=32, **keywords):
    """Of a program for all gradients of one number made of the states; nothing is run."""
    shapes = ((batch, steps, units), (units, units), (units, units), (units,), (batch, units))
    args = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    loss = jax.grad(lambda *args: jnp.sum(jnp.square(ops.rnn(*args, **keywords))), argnums=range(5))
    return jax.jit(loss).lower(*args).compile().memory_analysis().temp_size_in_bytes


def dot_shapes(jaxpr, inside=False):
    """(shape, whether it is in a scan) of every product in a jaxpr and what it calls."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            yield eqn.outvars[0].aval.shape, inside
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from dot_shapes(inner, inside or eqn.primitive.name == "scan")


@settings(max_examples=8)  # each shape compiles
@given(
    st.lists(st.integers(1, 3), max_size=2).map(tuple), st.integers(0, 5), st.sampled_from(["tanh", "relu"])
)
def test_equals_a_loop_in_numpy(leading, steps, activation):
    args = arguments(1, leading, steps)
    x, W_x, W_h, b, h = (np.asarray(a, np.float64) for a in args.values())
    states = np.empty((*leading, steps, M))
    for t in range(steps):
        z = x[..., t, :] @ W_x.T + h @ W_h.T + b
        h = np.tanh(z) if activation == "tanh" else np.maximum(z, 0)
        states[..., t, :] = h
    np.testing.assert_allclose(ops.rnn(**args, activation=activation), states, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_masked_step_passes_state_and_gradient_through(activation):
    args = arguments()
    mask = np.array([[True, False, True, False, False]] * B)
    dy = np.random.default_rng(2).uniform(-1, 1, (B, T, M))
    y, got = gradients(ops.rnn, args, dy, mask=mask, activation=activation)
    np.testing.assert_array_equal(y[:, 1], y[:, 0])
    np.testing.assert_array_equal(y[:, 4], y[:, 2])
    # The same sequence without the masked steps: what arrives at those is added to the step before.
    short = args | {"x": args["x"][:, [0, 2]]}
    dy_short = np.stack([dy[:, 0] + dy[:, 1], dy[:, 2] + dy[:, 3] + dy[:, 4]], 1)
    y_short, want = gradients(ops.rnn, short, dy_short, activation=activation)
    np.testing.assert_allclose(y[:, [0, 2]], y_short, rtol=1e-6)
    np.testing.assert_allclose(got["x"][:, [0, 2]], want["x"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got["x"][:, [1, 3, 4]], 0)
    for name in ("W_x", "W_h", "b", "h0"):
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-6)


def test_padding_may_hold_anything():
    args, mask = arguments(), np.arange(T) < np.array([[3], [0]])
    padded = args | {"x": jnp.where(jnp.asarray(mask)[..., None], args["x"], jnp.nan)}
    y, got = gradients(ops.rnn, padded, np.ones((B, T, M)), mask=mask)
    want_y, want = gradients(ops.rnn, args, np.ones((B, T, M)), mask=mask)
    np.testing.assert_array_equal(y, want_y)
    for name in args:
        np.testing.assert_array_equal(got[name], want[name])


def test_a_state_that_overflowed_adds_nothing_at_a_masked_step():
    args = {"x": jnp.full((3, 1), 2.0), "W_x": jnp.full((1, 1), 3e38), "W_h": jnp.ones((1, 1))}
    y, got = gradients(ops.rnn, args, [[0.0]] * 3, mask=[True, False, False], activation="relu")
    assert np.isinf(y).all()
    np.testing.assert_array_equal(got["W_h"], 0)


def test_a_traced_mask():
    args, mask = arguments(), jnp.asarray(np.arange(T) < np.array([[3], [5]]))
    got = jax.jit(lambda args, mask: ops.rnn(**args, mask=mask))(args, mask)
    np.testing.assert_allclose(got, ops.rnn(**args, mask=mask), rtol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_no_steps(masked):
    args = arguments(steps=0)
    mask = np.ones((B, 0), np.bool_) if masked else None
    y, got = gradients(ops.rnn, args, np.ones((B, 0, M)), mask=mask)
    assert y.shape == (B, 0, M)
    for name, a in args.items():
        np.testing.assert_array_equal(got[name], np.zeros(a.shape))
    y, pull = jax.vjp(lambda W, h: ops.bare_rnn(W, h, 0), args["W_h"], args["h0"])
    assert y.shape == (B, 0, M)
    assert all(not g.any() for g in pull(y))


def test_what_is_not_given_is_zero():
    args = arguments()
    want = ops.rnn(**args | {"b": jnp.zeros(M), "h0": jnp.zeros((B, M))})
    np.testing.assert_array_equal(ops.rnn(args["x"], args["W_x"], args["W_h"]), want)


def test_relu_passes_nothing_at_its_kink():
    args = arguments() | {"x": jnp.zeros((B, T, N)), "b": jnp.zeros(M), "h0": jnp.zeros((B, M))}
    y, got = gradients(ops.rnn, args, np.ones((B, T, M)), activation="relu")
    assert not y.any()
    assert not any(g.any() for g in got.values())
    dW, dh0 = jax.vjp(lambda W, h: ops.bare_rnn(W, h, 2), -jnp.eye(M), jnp.ones(M))[1](jnp.ones((2, M)))
    assert not dW.any()
    assert not dh0.any()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_nan_shows_from_its_step_on(activation):
    args = arguments()
    args["x"] = args["x"].at[0, 2, 0].set(jnp.nan)
    y = np.asarray(ops.rnn(**args, activation=activation))
    assert not np.isnan(y[0, :2]).any()
    assert np.isnan(y[0, 2:]).all()
    assert not np.isnan(y[1]).any()


def test_keeping_x_does_not_cancel_where_the_states_saturate():
    x = jnp.asarray([[12.0]])
    slope = {
        keep: jax.grad(lambda x, keep=keep: ops.rnn(x, jnp.eye(1), jnp.eye(1), keep=keep)[0, 0])(x)[0, 0]
        for keep in ("x", "y")
    }
    exact = 1 / np.cosh(12.0) ** 2
    assert abs(slope["y"] - exact) > exact / 2
    np.testing.assert_allclose(slope["x"], exact, rtol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("keep", ["x", "y"])
def test_both_ways_to_keep_equal_autodiff(keep, activation):
    args, mask = arguments(), np.arange(T) < np.array([[3], [5]])
    dy = np.random.default_rng(3).uniform(-1, 1, (B, T, M))
    _, got = gradients(ops.rnn, args, dy, mask=mask, activation=activation, keep=keep)
    _, want = gradients(plain.rnn, args, dy, mask=mask, activation=activation, keep=keep)
    for name in args:
        np.testing.assert_allclose(got[name], want[name], rtol=2e-5, atol=2e-6)

    def bent(function):
        return lambda W: jnp.sum(
            jnp.square(function(**args | {"W_h": W}, mask=mask, activation=activation, keep=keep))
        )

    both = jax.jit(lambda W: [jax.hessian(bent(function))(W) for function in (ops.rnn, plain.rnn)])
    got, want = both(args["W_h"])
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("keep", "activation", "expected"),
    [("y", "tanh", 1), ("x", "tanh", 2), ("y", "relu", 1), ("x", "relu", 1)],
)
def test_what_is_kept_over_all_steps(keep, activation, expected):
    args = arguments()
    pull = jax.vjp(lambda args: ops.rnn(**args, keep=keep, activation=activation), args)[1]
    kept = [leaf for leaf in jax.tree.leaves(pull) if leaf.size == B * T * M]
    assert len(kept) == expected


def test_weight_gradients_are_one_product_over_all_steps():
    args = arguments()
    pull = jax.vjp(lambda args: ops.rnn(**args), args)[1]
    shapes = list(dot_shapes(jax.make_jaxpr(pull)(jnp.ones((B, T, M))).jaxpr))
    assert [shape for shape, in_scan in shapes if in_scan] == [(B, M)]
    assert sorted(shape for shape, in_scan in shapes if not in_scan) == sorted([(M, M), (M, N), (B, T, N)])
    forward = list(dot_shapes(jax.make_jaxpr(lambda args: ops.rnn(**args))(args).jaxpr))
    assert forward == [((B, T, M), False), ((B, M), True)]


def test_the_loop_turns_no_array_round():
    args = arguments()
    pull = jax.vjp(lambda args: ops.rnn(**args), args)[1]
    for jaxpr in (
        jax.make_jaxpr(lambda args: ops.rnn(**args))(args),
        jax.make_jaxpr(pull)(jnp.ones((B, T, M))),
    ):
        assert f"[{T},{B},{M}]" not in str(jaxpr)


def test_memory_is_under_three_quarters_of_autodiffs():
    args = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((16, 64, 32), (32, 32), (32, 32), (32,), (16, 32))]

    def bytes_of(function):
        gradient = jax.grad(lambda *args: jnp.sum(jnp.square(function(*args))), argnums=range(5))
        return jax.jit(gradient).lower(*args).compile().memory_analysis().temp_size_in_bytes

    assert bytes_of(ops.rnn) <= 0.75 * bytes_of(plain.rnn)


@pytest.mark.parametrize("steps", [6, 7])
def test_large_states_take_several_steps_a_round(steps):
    rng = np.random.default_rng(13)
    shapes = {"x": (128, steps, 3), "W_x": (128, 3), "W_h": (128, 128), "h0": (128, 128)}
    args = {name: jnp.asarray(rng.uniform(-0.1, 0.1, s), jnp.float32) for name, s in shapes.items()}
    dy = rng.uniform(-1, 1, (128, steps, 128))
    close(gradients(ops.rnn, args, dy), gradients(plain.rnn, args, dy), rtol=1e-4, atol=1e-4)


# ---- states that are computed again -----------------------------------------------------------------------


@functools.lru_cache
def in_every_way(leading, checkpoint):
    """States and gradients: masked, of relu, of tanh that keeps x, and of the weights alone."""
    mask = np.random.default_rng(5).random((*leading, 11)) < 0.7
    dy = np.random.default_rng(6).uniform(-1, 1, (*leading, 11, M))

    @jax.jit
    def run(args):
        small = {name: args[name] for name in ("x", "W_x", "W_h")}
        ways = [(args, {"mask": mask}), (args, {"activation": "relu"}), (args, {"keep": "x"}), (small, {})]
        return [gradients(ops.rnn, given, dy, checkpoint=checkpoint, **rest) for given, rest in ways]

    return run(arguments(4, leading, 11))


@pytest.mark.parametrize("checkpoint", ["sqrt", 1, 3, 7, 50], ids=str)
@pytest.mark.parametrize("leading", [(), (2, 1)], ids=str)
def test_recomputation_changes_nothing(checkpoint, leading):
    close(in_every_way(leading, checkpoint), in_every_way(leading, None))


@pytest.mark.parametrize("checkpoint", [None, "sqrt"])
def test_the_last_state_alone(checkpoint):
    args = arguments(7)
    mask = np.arange(T) < np.array([[3], [5]])
    dlast = np.random.default_rng(8).uniform(-1, 1, (B, M))
    last = partial(ops.rnn, mask=mask, checkpoint=checkpoint, return_sequences=False)
    dy = np.zeros((B, T, M))
    dy[:, -1] = dlast
    y, want = gradients(ops.rnn, args, dy, mask=mask)
    close(gradients(last, args, dlast), (y[:, -1], want))
    close(gradients(plain.rnn, args, dlast, mask=mask, return_sequences=False), (y[:, -1], want))


@pytest.mark.parametrize("checkpoint", [None, "sqrt", 2])
def test_the_last_of_no_steps_is_the_first_state(checkpoint):
    args = arguments(steps=0)
    last, got = gradients(ops.rnn, args, np.ones((B, M)), checkpoint=checkpoint, return_sequences=False)
    np.testing.assert_array_equal(last, args["h0"])
    np.testing.assert_array_equal(got["h0"], 1)
    np.testing.assert_array_equal(got["W_h"], 0)
    without = {name: args[name] for name in ("x", "W_x", "W_h")}
    np.testing.assert_array_equal(ops.rnn(**without, checkpoint=checkpoint, return_sequences=False), 0)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_recomputation_in_half_precision(dtype):
    args = {name: a.astype(dtype) for name, a in arguments(9, (B,), 10).items()}
    dy = np.random.default_rng(9).uniform(-1, 1, (B, 10, M))
    y, got = gradients(ops.rnn, args, dy, checkpoint="sqrt")
    want_y, want = gradients(ops.rnn, args, dy)
    np.testing.assert_array_equal(y, want_y)
    assert {a.dtype for a in got.values()} == {jnp.dtype(dtype)}
    # Sums are in float32 and rounded once: by at most one unit in another order.
    close(
        *({name: a.astype(jnp.float32) for name, a in side.items()} for side in (got, want)),
        rtol=1.01 * float(jnp.finfo(dtype).eps),
        atol=1e-6,
    )


def test_recomputation_under_jit_vmap_and_scan():
    args = arguments(10, (3, B), 6)
    weights = {name: args[name] for name in ("W_x", "W_h", "b")}

    def loss(weights, x, h0, checkpoint):
        y = ops.rnn(x, **weights, h0=h0, checkpoint=checkpoint)
        return jnp.sum(jnp.sin(y))

    def over_all(weights, checkpoint):
        def add(total, given):
            return total + loss(weights, *given, checkpoint), None

        return jax.lax.scan(add, jnp.zeros(()), (args["x"], args["h0"]))[0]

    want = jax.grad(lambda w: sum(loss(w, args["x"][i], args["h0"][i], None) for i in range(3)))(weights)
    close(jax.jit(jax.grad(partial(over_all, checkpoint=2)))(weights), want)
    each = jax.vmap(jax.grad(partial(loss, checkpoint="sqrt")), (None, 0, 0))(weights, args["x"], args["h0"])
    close(jax.tree.map(lambda g: g.sum(0), each), want)


@pytest.mark.parametrize("checkpoint", [None, 2])
def test_second_derivatives(checkpoint):
    args = arguments(11)

    def bent(function, W, x):
        return jnp.sum(jnp.square(function(**args | {"W_h": W, "x": x})))

    def twice(function):
        slope = jax.grad(partial(bent, function), (0, 1))
        return jax.grad(lambda W, x: sum(jnp.sum(jnp.sin(g)) for g in slope(W, x)), (0, 1))

    got = twice(partial(ops.rnn, checkpoint=checkpoint))(args["W_h"], args["x"])
    close(got, twice(plain.rnn)(args["W_h"], args["x"]), rtol=1e-3, atol=1e-4)


def test_recomputed_states_are_not_kept():
    args = arguments(12, (B,), 16)
    pull = jax.vjp(lambda args: ops.rnn(**args, checkpoint=4, keep="x"), args)[1]
    given = {id(a) for a in args.values()}
    kept = [leaf.shape for leaf in jax.tree.leaves(pull) if id(leaf) not in given]
    assert (B, 4, M) in kept
    assert not any(np.prod(shape) >= B * 16 * M for shape in kept if shape != args["x"].shape)


def test_memory_grows_as_the_root_of_the_steps():
    last = {"checkpoint": "sqrt", "return_sequences": False}
    small, large = (temporary_bytes(steps, **last) for steps in (1024, 4096))
    assert small < 0.1 * temporary_bytes(1024, return_sequences=False)
    assert 1.8 < large / small < 2.2


def test_half_precision_adds_up_in_float32():
    # 4096 steps of 1 add up to 4096 where a sum in bfloat16 would stop at 256.
    ones = jnp.ones((4096, 1), jnp.bfloat16)
    W = jnp.zeros((1, 1), jnp.bfloat16)
    db = jax.grad(lambda b: jnp.sum(ops.rnn(ones, W, W, b).astype(jnp.float32)))(W[0])
    assert db.dtype == jnp.bfloat16
    assert float(db[0]) == 4096


def test_bare_rnn_is_the_lectures_loop():
    rng = np.random.default_rng(0)
    H, steps = 5, 50
    whh, start, end = rng.normal(size=(H, H)) / 2, rng.normal(size=H), rng.normal(size=H)
    hs, ss, dss = {-1: start}, {}, {}
    for t in range(steps):
        ss[t] = np.dot(whh, hs[t - 1])
        hs[t] = np.maximum(0, ss[t])
    dhs = {steps - 1: end}
    for t in reversed(range(steps)):
        dss[t] = (hs[t] > 0) * dhs[t]
        dhs[t - 1] = np.dot(whh.T, dss[t])
    with jax.enable_x64(True):
        last, pull = jax.vjp(
            lambda h: ops.bare_rnn(jnp.asarray(whh), h, steps)[-1], jnp.asarray(start, jnp.float64)
        )
        np.testing.assert_allclose(last, hs[steps - 1], rtol=1e-10)
        np.testing.assert_allclose(pull(jnp.asarray(end))[0], dhs[-1], rtol=1e-10)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"x": jnp.ones(3)}, ValueError, r"x must have shape \(..., steps, features\), got \(3,\)"),
        ({"W_x": jnp.ones((4, 2))}, ValueError, r"W_x has shape \(4, 2\) but x ends in 3"),
        ({"W_x": jnp.ones(3)}, ValueError, r"W_x must have shape \(units, features\), got \(3,\)"),
        ({"W_h": jnp.ones((4, 3))}, ValueError, r"W_h must have shape \(4, 4\) for W_x of .*, got \(4, 3\)"),
        ({"b": jnp.ones(3)}, ValueError, r"b must have shape \(4,\) for W_x of .*, got \(3,\)"),
        ({"h0": jnp.ones(4)}, ValueError, r"h0 must have shape \(2, 4\) for x of .*, got \(4,\)"),
        ({"h0": jnp.ones((2, 4), jnp.int32)}, TypeError, "h0 must be floating-point, got dtype int32"),
        ({"mask": jnp.ones((2, 5))}, TypeError, "mask must be bool, got dtype float32"),
        (
            {"mask": np.ones(5, np.bool_)},
            ValueError,
            r"mask must have shape \(2, 5\) for x of .*, got \(5,\)",
        ),
        ({"activation": "sigmoid"}, ValueError, "activation must be 'tanh' or 'relu', got 'sigmoid'"),
        ({"keep": "z"}, ValueError, "keep must be 'x', 'y' or None, got 'z'"),
        (
            {"checkpoint": "log"},
            ValueError,
            "checkpoint must be 'sqrt', a number of steps or None, got 'log'",
        ),
        ({"checkpoint": 0}, ValueError, "checkpoint must be at least 1, got 0"),
        ({"checkpoint": 2.0}, TypeError, "checkpoint must be an integer, got 2.0"),
        ({"return_sequences": 1}, TypeError, "return_sequences must be a static bool, got 1"),
    ],
)
def test_bad_input_names_the_argument(changed, error, message):
    with pytest.raises(error, match=message):
        ops.rnn(**arguments() | changed)


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((jnp.ones((2, 3)), jnp.ones(3), 1), ValueError, r"W must be square, \(units, units\), got \(2, 3\)"),
        ((jnp.eye(3), jnp.ones(2), 1), ValueError, r"W has shape \(3, 3\) but h0 ends in 2"),
        ((jnp.eye(1), jnp.ones(()), 1), ValueError, "h0 must have an axis of units, got a scalar"),
        ((jnp.eye(3), jnp.ones(3), -1), ValueError, "steps must be at least 0, got -1"),
        ((jnp.eye(3), jnp.ones(3), 2.0), TypeError, "steps must be an integer, got 2.0"),
    ],
)
def test_bad_input_of_the_bare_loop_names_the_argument(args, error, message):
    with pytest.raises(error, match=message):
        ops.bare_rnn(*args)

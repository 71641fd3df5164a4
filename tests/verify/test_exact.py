"""Programs evaluated with long numbers: what JAX computes in float64, and fifty digits of it."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import lax

from jaxbackprop.check import Evaluator, Layout, Point
from jaxbackprop.ops import plain
from jaxbackprop.ops.catalogue import CATALOGUE
from jaxbackprop.verify._exact import ExactProgram, NoExactRule, Truth, evaluate, from_exact, to_exact

LONG = mpmath.mp.clone()
LONG.dps = 200


def both(f, args):
    """Exact values and gradients as float64 beside those of JAX."""
    layout = Layout.of(args, hold_integers=True)
    exact = ExactProgram(f, layout)
    rng = np.random.default_rng(1)
    dy = tuple(rng.normal(size=result.shape) for result in exact.results)
    got = exact.run(layout.floats_of(layout.leaves), dy)
    want = Evaluator.of(f, layout, jnp.float64).run_one(Point(layout.leaves, dy))
    return [*got[0], *got[1]], [*want.value, *want.gradient]


def assert_close(got, want):
    assert len(got) == len(want) > 1
    for exact, float64 in zip(got, want, strict=True):
        assert exact.dtype == object
        assert exact.shape == float64.shape
        np.testing.assert_allclose(
            from_exact(exact), float64, rtol=1e-12, atol=1e-14 * np.max(np.abs(float64), initial=0)
        )


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_every_oracle_is_what_jax_computes(row):
    case = max(row.cases, key=lambda case: len(case.keywords))
    args = case.draw(np.random.default_rng(0))
    assert_close(*both(lambda *args: row.oracle(*args, **case.keywords), args))


# ---- programs of every kind -------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(4, 3))
V = X[:, 0].copy()
ROWS = np.array([2, 0, 2, 3])


def scan_both_ways(x, v):
    def forward(state, row):
        state = jnp.tanh(state * row[0] + v[0])
        return state, (state * row, jnp.argmax(row))

    last, (rows, winners) = lax.scan(forward, jnp.sum(v), x)
    total, back = lax.scan(lambda s, row: (s + jnp.sum(row) ** 2, s), last, rows, reverse=True)
    return total * winners[0], back


def branches(x, v):
    low = lax.cond(v[0] > 10, jnp.sin, jnp.cos, x)
    high = lax.cond(v[0] < 10, jnp.sin, jnp.cos, x)
    return low + 2 * high + lax.switch(ROWS[0], [jnp.exp, jnp.abs, jnp.tanh], x)


@jax.custom_vjp
def twice(x):
    return 2 * x


twice.defvjp(lambda x: (2 * x, x), lambda x, dy: (2 * dy + 0 * x,))

PROGRAMS = {
    "arithmetic": lambda x, v: x * x - x / (2 + jnp.abs(x)) + x**3 - x**-2.0 + (1 + x * x) ** 0.3,
    "elementary": lambda x, v: (
        jnp.exp(x) + jnp.log(1 + x * x) + jnp.log1p(x * x) + jnp.expm1(x) + jnp.sqrt(x * x + 1)
    ),
    "trigonometric": lambda x, v: jnp.sin(x) * jnp.cos(x) + jnp.sinh(x) + jnp.arctan2(x, 2 + x * x),
    "errors": lambda x, v: lax.erf(x) + lax.erfc(x) + lax.logistic(x) + lax.rsqrt(1 + x * x) + jnp.exp2(x),
    "piecewise": lambda x, v: (
        jnp.where(x > 0, x, 2 * x) + jnp.clip(x, -0.5, 0.5) + jnp.maximum(x, 0.1) + jnp.sign(x)
    ),
    "rounded": lambda x, v: x * jnp.floor(x) * jnp.ceil(x) * x.astype(jnp.int32),
    "reductions": lambda x, v: (
        jnp.max(x, 0),
        jnp.min(x),
        jnp.prod(x, 1),
        jnp.mean(x, 1),
        jnp.argmin(x, 1) * v,
    ),
    "running": lambda x, v: (jnp.cumsum(x, 0), jnp.cumprod(v), lax.cumsum(x, 1, reverse=True), lax.cummax(v)),
    "products": lambda x, v: (x.T @ x, v @ x, jnp.einsum("ij,ik->ijk", x, x), jnp.einsum("ij,ij->i", x, x)),
    "shapes": lambda x, v: (
        x.T.reshape(2, 6)[::-1],
        jnp.stack([v, v * v], 1),
        jnp.concatenate([x, x[1:3]], 0),
        x[1:, ::2],
    ),
    "padded": lambda x, v: (
        jnp.pad(x, 1, constant_values=2.0),
        jnp.tile(v, 2),
        jnp.split(x, 2),
        jnp.roll(x, 1, 0),
    ),
    "gathered": lambda x, v: (
        x[ROWS],
        v[ROWS[:, None]],
        x.at[jnp.array([1, 9])].get(mode="fill", fill_value=0.5),
        jnp.take_along_axis(x, ROWS[None, :3], 0),
    ),
    "scattered": lambda x, v: (
        x.at[ROWS].add(2 * x),
        v.at[1:3].set(v[:2]),
        x.at[jnp.array([1, 9])].add(1.0, mode="drop"),
    ),
    "sliced": lambda x, v: (
        lax.dynamic_slice(x, (ROWS[0], 0), (2, 2)),
        lax.dynamic_update_slice(v, v[:2] ** 2, (ROWS[3],)),
    ),
    "scan": scan_both_ways,
    "scan over nothing": lambda x, v: lax.scan(lambda s, row: (s * 2, row), v, x[:0]),
    "cond": branches,
    "fori_loop": lambda x, v: lax.fori_loop(0, 3, lambda i, s: s * x + i, x),
    "calls": lambda x, v: (
        jax.jit(jnp.sin)(x) + jax.checkpoint(lambda x: jnp.exp(jnp.sin(x)))(x) + twice(x) + jax.nn.relu(x)
    ),
    "stopped": lambda x, v: x * lax.stop_gradient(jnp.exp(x)),
    "drawn": lambda x, v: (
        x * jax.random.uniform(jax.random.key(0), x.shape)
        + jax.random.bernoulli(jax.random.key(1), 0.5, x.shape) * v[0]
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_every_kind_are_what_jax_computes(name):
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        assert_close(*both(PROGRAMS[name], (X, V)))


def test_while_loops_run_until_their_condition_fails():
    def root(x):
        return lax.while_loop(lambda y: jnp.abs(y * y - x) > 1e-40, lambda y: (y + x / y) / 2, x)

    with jax.enable_x64(True):
        (y,) = evaluate(jax.make_jaxpr(root)(2.0), 2.0)
    # No float64 could end this loop.
    assert abs(y[()] - LONG.sqrt(2)) < 1e-39


def test_an_unknown_primitive_is_named():
    with jax.enable_x64(True):
        program = jax.make_jaxpr(lambda x: jnp.sort(x))(V)
    with pytest.raises(NoExactRule, match="'sort'"):
        evaluate(program, V)


def test_integers_and_bools_stay_what_they_are():
    with jax.enable_x64(True):
        program = jax.make_jaxpr(lambda x, i: (i + 1, x > 0, jnp.argmax(x)))(V, ROWS)
    i, positive, winner = evaluate(program, V, ROWS)
    np.testing.assert_array_equal(i, ROWS + 1)
    np.testing.assert_array_equal(positive, V > 0)
    assert winner == np.argmax(V)


# ---- fifty digits -----------------------------------------------------------------------------------------


def density(x):
    return LONG.exp(-x * x / 2) / LONG.sqrt(2 * LONG.pi)


def tanh_gelu_slope(x):
    k = LONG.sqrt(2 / LONG.pi)
    t = LONG.tanh(k * (x + LONG.mpf(0.044715) * x**3))
    return (1 + t) / 2 + x * (1 - t * t) * k * (1 + 3 * LONG.mpf(0.044715) * x * x) / 2


SLOPES = {
    "sigmoid": (plain.sigmoid, lambda x: 1 / (2 + LONG.exp(x) + LONG.exp(-x))),
    "tanh": (plain.tanh, lambda x: LONG.sech(x) ** 2),
    "softplus": (plain.softplus, lambda x: 1 / (1 + LONG.exp(-x))),
    "elu": (plain.elu, lambda x: LONG.exp(x) if x <= 0 else LONG.one),
    "silu": (plain.silu, lambda x: (1 + LONG.exp(-x) + x * LONG.exp(-x)) / (1 + LONG.exp(-x)) ** 2),
    "gelu": (plain.gelu, tanh_gelu_slope),
    "exact gelu": (
        lambda x: plain.gelu(x, approximate=False),
        lambda x: LONG.erfc(-x / LONG.sqrt(2)) / 2 + x * density(x),
    ),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_keep_fifty_digits_in_the_tails_too(name):
    f, slope = SLOPES[name]
    x = np.array([-9.0, -5.0, -1.5, -1e-3, 2.0**-126, 0.7, 3.3, 20.0])
    if name in ("sigmoid", "tanh", "softplus", "elu"):
        x = np.append(x, [-100.0, 100.0])
    _, (got,) = ExactProgram(f, Layout.of((x,))).run((x,), (np.ones_like(x),))
    for mine, at in zip(got, x, strict=True):
        want = slope(LONG.mpf(at))
        assert abs(LONG.mpf(mine) / want - 1) < 1e-50


def test_p_minus_y_keeps_fifty_digits_where_p_is_nearly_1():
    logits = np.array([[80.0, 0.0, -10.0]])
    labels = np.array([0], np.int32)
    at = Layout.of((logits, labels), hold_integers=True)
    _, (got,) = ExactProgram(plain.softmax_cross_entropy, at).run((logits,), (np.ones(1),))
    e = [LONG.exp(z) for z in (80, 0, -10)]
    want = [-(e[1] + e[2]) / sum(e), e[1] / sum(e), e[2] / sum(e)]
    assert max(abs(LONG.mpf(g) / w - 1) for g, w in zip(got[0], want, strict=True)) < 1e-50


def test_only_known_constants_are_more_than_their_float():
    with jax.enable_x64(True):
        program = jax.make_jaxpr(lambda x: (x * 0.1, x * np.sqrt(0.5), -np.pi * x))(1.0)
    tenth, half, pi = (LONG.mpf(y[()]) for y in evaluate(program, 1.0))
    assert tenth == LONG.mpf(0.1)
    assert abs(half - LONG.sqrt(2) / 2) < 1e-100
    assert abs(pi + LONG.pi) < 1e-100
    # What comes in is a float and stands for itself.
    assert LONG.mpf(evaluate(program, np.pi)[0][()]) == LONG.mpf(np.pi) * LONG.mpf(0.1)


def test_the_users_own_precision_stays():
    before = mpmath.mp.dps
    evaluate(jax.make_jaxpr(jnp.exp)(1.0), 1.0)
    assert mpmath.mp.dps == before


def test_infinities_and_nan_are_those_of_floats():
    values = np.array([-np.inf, -1.0, 0.0, 1.0, np.inf, np.nan])

    def f(x, y):
        return (
            x + y, x * y, x / jnp.abs(y), jnp.maximum(x, y), jnp.minimum(x, y), jnp.exp(x), jnp.log(x),
            jnp.sqrt(x), jnp.tanh(x), lax.logistic(x), lax.rsqrt(jnp.abs(x)), x**-2, lax.erfc(x),
            jnp.log1p(x), jnp.where(jnp.isfinite(x), x, y), jnp.max(x), jnp.min(y), x < y, x == y,
        )  # fmt: skip

    x, y = (a.ravel() for a in np.meshgrid(values, values))
    with jax.enable_x64(True):
        program, want = jax.make_jaxpr(f)(x, y), f(jnp.asarray(x), jnp.asarray(y))
    for got, float64 in zip(evaluate(program, x, y), want, strict=True):
        got = from_exact(got) if got.dtype == object else got
        np.testing.assert_allclose(got, float64, rtol=1e-14)


# ---- units in the last place ------------------------------------------------------------------------------


def test_units_are_the_spacing_of_the_dtype_at_the_truth():
    truth = Truth.of(to_exact(np.array([1.0, 1.5, -4.0, 0.0])))
    got = np.array([1 + 2.0**-23, 1.5 - 2.0**-24, -4 - 2.0**-21, 2.0**-149])
    np.testing.assert_array_equal(truth.ulp(got, jnp.float32), [1, 0.5, 1, 1])
    np.testing.assert_array_equal(truth.ulp(got, jnp.float32, size=0.0), [0.25, 0.125, 1, 2.0**-128])
    np.testing.assert_array_equal(truth.ulp(got, jnp.bfloat16, size=16.0)[0], 2.0**-20)


def test_what_is_not_finite_is_infinitely_far():
    truth = Truth.of(to_exact(np.array([1.0, 2.0])))
    assert np.all(np.isinf(truth.ulp(np.array([np.nan, np.inf]), jnp.float32)))


def test_float64_is_measured_below_its_own_last_place():
    third = Truth.of(to_exact(np.array(1.0)) / 3)
    assert third.ulp(np.asarray(1 / 3), jnp.float64) == pytest.approx(1 / 3)

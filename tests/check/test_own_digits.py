"""What only float64 shows is no fault of a rule in narrower dtypes."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import check_pair, check_vjp
from tests.check.rules import elementwise, normal, rule

quick = functools.partial(check_vjp, effort="quick")
quick_pair = functools.partial(check_pair, effort="quick")


def attention(cast, factor=1.0):
    """Attention that keeps maxima and sums, whose backward pass computes the weights in another dtype."""

    def forward(q, k, v):
        s = q @ k.T
        m = jnp.max(s, -1, keepdims=True)
        p = jnp.exp(s - m)
        l = jnp.sum(p, -1, keepdims=True)  # noqa: E741
        return p @ v / l, (m, l)

    def bwd(r, do):
        q, k, v, o, m, l = r  # noqa: E741
        p = jnp.exp(q.astype(cast) @ k.astype(cast).T - m) / l
        ds = p * (do @ v.T - jnp.sum(do * o, -1, keepdims=True))
        return (factor * ds @ k).astype(q.dtype), (ds.T @ q).astype(k.dtype), (p.T @ do).astype(v.dtype)

    def fwd(q, k, v):
        o, kept = forward(q, k, v)
        return o, (q, k, v, o, *kept)

    return rule(lambda *args: forward(*args)[0], bwd, fwd=fwd)


@pytest.fixture(autouse=True)
def _promoting():
    with jax.numpy_dtype_promotion("standard"):
        yield


def qkv(size):
    return size * normal(4, 3), size * normal(4, 3, seed=1), normal(4, 3, seed=2)


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_a_cast_to_the_callers_dtype(size):
    report = check_vjp(attention(jnp.float32), *qkv(size))
    assert report.ok, report
    assert any("differs in float64 alone" in note for note in report.notes)
    assert quick(attention(jnp.float32, 1.05), *qkv(size)).wrong_arguments == (0,)


def test_a_cast_to_bfloat16_of_bfloat16():
    args = tuple(x.astype(jnp.bfloat16) for x in qkv(1.0))
    report = quick(attention(jnp.bfloat16), *args)
    assert report.ok, report
    assert 0 in quick(attention(jnp.bfloat16, 1.2), *args).wrong_arguments


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_other_casts_to_float32(factor):
    def logsumexp(r, dy):
        x, y = r
        return (factor * dy * jnp.exp(x.astype(jnp.float32) - y),)

    def variance(r, dy):
        x = r[0].astype(jnp.float32)
        return (factor * dy * 2 * (x - jnp.mean(x)).astype(r[0].dtype) / x.size,)

    of = rule(lambda x: jax.nn.logsumexp(x), logsumexp, fwd=lambda x: ((y := jax.nn.logsumexp(x)), (x, y)))
    for op, x in ((of, 1e3 * normal(4)), (rule(lambda x: jnp.var(x), variance), 100 + normal(5))):
        report = quick(op, x)
        assert report.ok == (factor == 1), report


def softmax(epsilon):
    def f(x):
        e = jnp.exp(x - jnp.max(x, -1, keepdims=True))
        return e / (jnp.sum(e, -1, keepdims=True) + epsilon)

    def bwd(r, dy):
        y = jax.nn.softmax(r[0])
        return (y * (dy - jnp.sum(y * dy, -1, keepdims=True)),)

    return rule(f, bwd)


def normalised(epsilon):
    def bwd(r, dy):
        n = jnp.linalg.norm(r[0], axis=-1, keepdims=True)
        y = r[0] / n
        return ((dy - y * jnp.sum(y * dy, -1, keepdims=True)) / n,)

    return rule(lambda x: x / jnp.sqrt(jnp.sum(x * x, -1, keepdims=True) + epsilon), bwd)


def log(epsilon):
    return elementwise(lambda p: jnp.log(p + epsilon), lambda p: 1 / p)


@pytest.mark.parametrize(
    ("make", "below", "above"),
    [(softmax, 1e-10, 1e-3), (normalised, 1e-10, 1e-2), (log, 1e-12, 1e-3)],
    ids=["softmax", "normalised", "log"],
)
def test_an_epsilon_below_the_digits_is_noted(make, below, above):
    x = jax.nn.softmax(normal(3, 4))
    report = check_vjp(make(below), x)
    assert report.ok, report
    assert any("differs" in note for note in report.notes)
    assert quick(make(above), x).wrong_arguments == (0,)


def test_what_float64_shows_is_wrong_in_float64():
    with jax.enable_x64(True):
        assert quick(softmax(1e-7), normal(3, 4, dtype=np.float64)).wrong_arguments == (0,)


def stored(dtype):
    def rows(x):
        y = np.zeros((2, x.shape[1]), dtype)
        y[0], y[1] = x[:2].sum(0), x[2:].mean(0)
        return y

    return rows


def within(x):
    """In float32 on the way alone."""
    return np.stack([x[:2].sum(0), x[2:].mean(0)]).astype("float32").astype("float64")


def rows_vjp(x, dy, factor=1.0):
    dx = np.zeros_like(x)
    dx[:2], dx[2:] = dy[0], factor * dy[1] / len(x[2:])
    return (dx,)


def rows_vjp_in_float32(x, dy):
    return (rows_vjp(x, dy)[0].astype("float32").astype(x.dtype),)


@pytest.mark.parametrize("f", [stored("float32"), within])
def test_pairs_that_store_in_a_narrow_dtype(f):
    x = np.asarray(normal(5, 3))
    began = time.perf_counter()
    for f_vjp in (rows_vjp, rows_vjp_in_float32):
        report = check_pair(f, f_vjp, x)
        assert report.ok, report
        assert any("whatever it is given" in note for note in report.notes)
    wrong = check_pair(f, functools.partial(rows_vjp, factor=1.25), x)
    assert wrong.wrong_arguments == (0,), wrong
    assert time.perf_counter() - began < 60


def softmax_in_float32(x):
    e = np.exp(x - x.max(-1, keepdims=True)).astype("float32")
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_pairs_that_compute_in_float32(factor):
    def f_vjp(x, dy):
        y = softmax_in_float32(x)
        return (factor * y * (dy - np.sum(y * dy, -1, keepdims=True)),)

    report = quick_pair(softmax_in_float32, f_vjp, np.asarray(normal(5, 3)))
    assert report.ok == (factor == 1), report


def test_a_rule_alone_that_stores_in_float32():
    report = quick_pair(
        np.sin, lambda x, dy: ((dy * np.cos(x)).astype("float32"),), np.array([0.5, 2.0], "float32")
    )
    assert report.ok, report

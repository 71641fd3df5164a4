import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.initialization import uniform, xavier_bound, xavier_uniform, xavier_variance, zeros
from reference.linear import linear, linear_vjp


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_variance_and_bound(n_in, n_out) -> None:
    variance, bound = xavier_variance(n_in, n_out), xavier_bound(n_in, n_out)
    assert variance * (n_in + n_out) == pytest.approx(2.0)
    assert bound**2 * (n_in + n_out) == pytest.approx(6.0)
    assert bound**2 / 3 == pytest.approx(variance)


def test_weights_have_the_shape_the_variance_and_the_bound() -> None:
    W = xavier_uniform(np.random.default_rng(0), 300, 200)
    assert W.shape == (200, 300)
    assert W.dtype == np.float64
    assert W.var() == pytest.approx(2 / 500, rel=0.02)
    assert abs(W.mean()) < 1e-3
    assert 0.999 * xavier_bound(300, 200) < np.abs(W).max() <= xavier_bound(300, 200)


def test_the_same_generator_gives_the_same_weights() -> None:
    first, again, other = (xavier_uniform(np.random.default_rng(seed), 3, 2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("n_in", "n_out"), [(400, 400), (600, 200), (200, 600)])
def test_the_derivation(n_in, n_out) -> None:
    # Var(z) = n_in v E[x²] and Var(dx) = n_out v E[δ²], measured.
    rng = np.random.default_rng(0)
    x, delta = rng.normal(size=(300, n_in)), rng.normal(size=(300, n_out))
    W = xavier_uniform(rng, n_in, n_out)
    variance = xavier_variance(n_in, n_out)
    z = linear(x, W, zeros((n_out,)))
    dx, _, _ = linear_vjp(x, W, None, delta)
    assert z.var() == pytest.approx(n_in * variance * np.mean(x**2), rel=0.05)
    assert dx.var() == pytest.approx(n_out * variance * np.mean(delta**2), rel=0.05)


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 1.0), (2.0, 2.0**20), (0.5, 0.5**20)])
def test_ten_layers_keep_the_signal_only_with_this_variance(scale, expected) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 300))
    size = np.mean(x**2)
    for _ in range(10):
        x = linear(x, scale * xavier_uniform(rng, 300, 300))
    assert np.mean(x**2) / size == pytest.approx(expected, rel=0.5)


def test_uniform_by_hand() -> None:
    w = uniform(np.random.default_rng(0), (100, 50, 2), 0.3)
    assert w.shape == (100, 50, 2)
    assert 0.299 < np.abs(w).max() <= 0.3
    assert w.min() < -0.299
    assert w.var() == pytest.approx(0.03, rel=0.05)
    np.testing.assert_array_equal(uniform(np.random.default_rng(0), (3,), 0.0), np.zeros(3))


def test_biases_start_at_zero() -> None:
    b = zeros((4,))
    np.testing.assert_array_equal(b, np.zeros(4))
    assert b.dtype == np.float64


def test_bad_input_is_named() -> None:
    rng = np.random.default_rng(0)
    for f in (xavier_variance, xavier_bound, lambda n_in, n_out: xavier_uniform(rng, n_in, n_out)):
        with pytest.raises(ValueError, match="n_in must be at least 1, got 0"):
            f(0, 3)
        with pytest.raises(ValueError, match="n_out must be at least 1, got -2"):
            f(3, -2)
    for r in (-0.1, np.inf, np.nan):
        with pytest.raises(ValueError, match="r must be at least 0 and finite"):
            uniform(rng, (2,), r)

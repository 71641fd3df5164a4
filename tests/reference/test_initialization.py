import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.activations import relu, relu_vjp
from reference.initialization import (
    he_bound,
    he_normal,
    he_uniform,
    he_variance,
    uniform,
    xavier_bound,
    xavier_uniform,
    xavier_variance,
    zeros,
)
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


@given(st.integers(1, 1000))
def test_variance_and_bound_behind_relu(n_in) -> None:
    assert he_variance(n_in) * n_in == pytest.approx(2.0)
    assert he_bound(n_in) ** 2 / 3 == pytest.approx(he_variance(n_in))
    # Twice Xavier's where inputs and outputs are as many.
    assert he_variance(n_in) == pytest.approx(2 * xavier_variance(n_in, n_in))


@pytest.mark.parametrize("draw", [he_uniform, he_normal])
def test_weights_behind_relu(draw) -> None:
    W = draw(np.random.default_rng(0), 300, 200)
    assert W.shape == (200, 300)
    assert W.dtype == np.float64
    assert W.var() == pytest.approx(2 / 300, rel=0.02)
    assert abs(W.mean()) < 2e-3
    np.testing.assert_array_equal(W, draw(np.random.default_rng(0), 300, 200))
    assert not np.array_equal(W, draw(np.random.default_rng(1), 300, 200))


def test_the_distributions_behind_relu() -> None:
    # The fourth moment in units of the variance squared: 9/5 for a uniform, 3 for a normal distribution.
    of_uniform, of_normal = (draw(np.random.default_rng(0), 300, 200) for draw in (he_uniform, he_normal))
    assert np.mean(of_uniform**4) / of_uniform.var() ** 2 == pytest.approx(9 / 5, rel=0.02)
    assert np.mean(of_normal**4) / of_normal.var() ** 2 == pytest.approx(3.0, rel=0.03)
    assert 0.999 * he_bound(300) < np.abs(of_uniform).max() <= he_bound(300)
    assert np.abs(of_normal).max() > 3 * he_variance(300) ** 0.5


@pytest.mark.parametrize("draw", [he_uniform, he_normal])
def test_relu_keeps_half_of_the_square(draw) -> None:
    # E[relu(z)²] = E[z²]/2, although x = relu(z) has a mean above 0, and relu passes half of the gradient.
    rng = np.random.default_rng(0)
    x = relu(rng.normal(size=(300, 400)))
    z = linear(x, draw(rng, 400, 400))
    assert np.mean(z**2) == pytest.approx(400 * he_variance(400) * np.mean(x**2), rel=0.05)
    assert np.mean(relu(z) ** 2) == pytest.approx(np.mean(z**2) / 2, rel=0.05)
    upstream = rng.normal(size=z.shape)
    assert np.mean(relu_vjp(z, upstream)[0] ** 2) == pytest.approx(np.mean(upstream**2) / 2, rel=0.05)


@pytest.mark.parametrize(
    ("draw", "expected"),
    [(he_normal, 1.0), (he_uniform, 1.0), (xavier_uniform, 0.5**10)],
    ids=["normal", "uniform", "Xavier"],
)
def test_ten_layers_of_relu_keep_the_signal_and_the_gradient(draw, expected) -> None:
    rng = np.random.default_rng(0)
    weights = [draw(rng, 400, 400) for _ in range(11)]
    x = linear(rng.normal(size=(50, 400)), weights[0])
    first, signals = np.mean(x**2), []
    for W in weights[1:]:
        signals.append(x)
        x = linear(relu(x), W)
    assert np.mean(x**2) / first == pytest.approx(expected, rel=0.5)
    delta = rng.normal(size=x.shape)
    last = np.mean(delta**2)
    for W, z in zip(reversed(weights[1:]), reversed(signals), strict=True):
        (delta,) = relu_vjp(z, linear_vjp(relu(z), W, None, delta)[0])
    assert np.mean(delta**2) / last == pytest.approx(expected, rel=0.5)


def test_the_gradient_is_scaled_by_the_widths_at_the_ends_alone() -> None:
    # n_out of the last layer over n_in of the first, whatever lies between.
    rng = np.random.default_rng(0)
    widths = [600, 150, 900, 300]
    weights = [he_normal(rng, n_in, n_out) for n_in, n_out in zip(widths, widths[1:], strict=False)]
    x, signals = rng.normal(size=(200, 600)), []
    for W in weights:
        signals.append(x)
        x = linear(relu(x), W)
    delta = rng.normal(size=x.shape)
    size = np.mean(delta**2)
    for W, z in zip(reversed(weights), reversed(signals), strict=True):
        (delta,) = relu_vjp(z, linear_vjp(relu(z), W, None, delta)[0])
    assert np.mean(delta**2) / size == pytest.approx(300 / 600, rel=0.15)


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
    for f in (
        he_variance,
        he_bound,
        lambda n_in: he_uniform(rng, n_in, 3),
        lambda n_in: he_normal(rng, n_in, 3),
    ):
        with pytest.raises(ValueError, match="n_in must be at least 1, got 0"):
            f(0)
    for draw in (he_uniform, he_normal):
        with pytest.raises(ValueError, match="n_out must be at least 1, got -2"):
            draw(rng, 3, -2)
    for r in (-0.1, np.inf, np.nan):
        with pytest.raises(ValueError, match="r must be at least 0 and finite"):
            uniform(rng, (2,), r)

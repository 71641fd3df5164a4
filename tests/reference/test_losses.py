from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.activations import max_vjp, sigmoid, softplus, softplus_vjp
from reference.losses import (
    logsumexp,
    logsumexp_vjp,
    mean_squared_error,
    mean_squared_error_vjp,
    sigmoid_binary_cross_entropy,
    sigmoid_binary_cross_entropy_vjp,
    softmax,
    softmax_vjp,
)
from reference.softmax_cross_entropy import softmax_cross_entropy, softmax_cross_entropy_vjp, softmax_jacobian
from tests.reference import exact
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

BCE = (sigmoid_binary_cross_entropy, sigmoid_binary_cross_entropy_vjp)
MSE = (mean_squared_error, mean_squared_error_vjp)
AXES = [((4,), 0), ((4,), -1), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), -2), ((0, 3), 1), ((3, 1), 1)]


def binary_twin(logits, labels):
    return optax.losses.sigmoid_binary_cross_entropy(logits, jnp.asarray(labels, logits.dtype))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 3)])
def test_binary_opinions_agree(shape) -> None:
    rng = np.random.default_rng(0)
    z, dy = normal(1, *shape), normal(2, *shape)
    soft, hard = rng.uniform(0.1, 0.9, shape), rng.integers(0, 2, shape)
    check_against_autodiff(*BCE, binary_twin, (z, soft), (0, 1), dy)
    check_against_differences(*BCE, (z, soft), (0, 1), dy)
    for labels in (hard, np.asarray(hard, bool), np.asarray(hard, np.uint8)):
        check_against_autodiff(*BCE, binary_twin, (z, labels), (0,), dy)
        check_against_differences(*BCE, (z, labels), (0,), dy)


@settings(max_examples=20)
@given(data=st.data())
def test_binary_values(data) -> None:
    z, dy = data.draw(values((5,), bound=50.0)), data.draw(values((5,)))
    y = np.abs(data.draw(values((5,), bound=1.0)))
    check_against_autodiff(*BCE, binary_twin, (z, y), (0, 1), dy)


@given(values((4,)), st.lists(st.integers(0, 1), min_size=4, max_size=4), values((4,)))
def test_integer_labels_are_sure_soft_labels(z, labels, dy) -> None:
    soft = np.array(labels, np.float64)
    np.testing.assert_array_equal(BCE[0](z, labels), BCE[0](z, soft))
    np.testing.assert_array_equal(BCE[1](z, labels, dy)[0], BCE[1](z, soft, dy)[0])


@given(values((4,), bound=20.0), values((4,), bound=1.0))
def test_binary_on_paper(z, y) -> None:
    y, one = np.abs(y), np.ones(4)
    p = sigmoid(z)
    dz, dlabels = BCE[1](z, y, one)
    np.testing.assert_allclose(dz, p - y, atol=1e-15)
    np.testing.assert_array_equal(dlabels, -z)
    np.testing.assert_allclose(BCE[0](z, y), softplus(z) - y * z, atol=1e-14)
    # Two classes with the logits z and 0.
    logits, labels = np.stack([z, 0 * z], axis=-1), np.stack([y, 1 - y], axis=-1)
    np.testing.assert_allclose(BCE[0](z, y), softmax_cross_entropy(logits, labels), atol=1e-14)
    of_two, _ = softmax_cross_entropy_vjp(logits, labels, one)
    np.testing.assert_allclose(dz, of_two[:, 0], atol=1e-14)


def test_the_binary_tails_do_not_cancel() -> None:
    z = np.array([-700.0, -40.0, -3.0, 0.0, 3.0, 40.0, 700.0])
    for label in (0.0, 1.0, 0.25, 1 - 2.0**-40):
        y, labels = Decimal(label), np.full(7, label)
        loss = exact.exact(lambda v, y=y: (1 + v.exp()).ln() - y * v, z)
        slope = exact.exact(lambda v, y=y: exact.sigmoid(v) - y, z)
        np.testing.assert_allclose(BCE[0](z, labels), loss, rtol=1e-15)
        np.testing.assert_allclose(BCE[1](z, labels, np.full(7, 3.0))[0], 3 * slope, rtol=2e-15)


def test_binary_infinities_and_nan() -> None:
    z, y = np.array([-np.inf, -np.inf, np.inf, np.inf, np.inf, 1e300]), np.array([0, 1, 0, 1, 0.25, 1])
    np.testing.assert_array_equal(BCE[0](z, y), [0, np.inf, np.inf, 0, np.inf, 0])
    dz, dlabels = BCE[1](z, y, np.full(6, 2.0))
    np.testing.assert_array_equal(dz, [0, -2, 2, 0, 1.5, 0])
    np.testing.assert_array_equal(dlabels[:3], [np.inf, np.inf, -np.inf])
    for gradient in BCE[1](z, y, np.zeros(6)):
        np.testing.assert_array_equal(gradient, np.zeros(6))
    for label in (0, 1, 0.0, 0.5):
        assert np.isnan(BCE[0](np.nan, label))
        assert np.isnan(BCE[1](np.nan, label, 1.0)[0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], "labels must be 0 or 1, got 2"),
        ([0, -1, 1], "labels must be 0 or 1, got -1"),
        ([0.0, 1.5, 1.0], r"labels must lie in \[0, 1\], got 1.5"),
        ([0.0, -1e-9, 1.0], r"labels must lie in \[0, 1\], got -1e-09"),
        ([0.0, np.nan, 1.0], r"labels must lie in \[0, 1\], got nan"),
        ([0, 1], r"labels has shape \(2,\) but logits has shape \(3,\)"),
        (0.5, r"labels has shape \(\) but logits has shape \(3,\)"),
        (np.ones((1, 3)), r"labels has shape \(1, 3\)"),
    ],
)
def test_bad_binary_labels_are_named(labels, message) -> None:
    with pytest.raises(ValueError, match=message):
        BCE[0](np.ones(3), labels)
    with pytest.raises(ValueError, match=message):
        BCE[1](np.ones(3), labels, np.ones(3))


def test_bad_binary_types_and_upstream_gradients_are_named() -> None:
    for labels in (["0", "1"], [0j, 1j], [None, 1]):
        with pytest.raises(TypeError, match="labels must be floating-point, integers or booleans, got dtype"):
            BCE[0](np.ones(2), labels)
    for dy in [(), (3,), (1, 2)]:
        with pytest.raises(ValueError, match=r"dy has shape .* but the result has shape \(2,\)"):
            BCE[1](np.ones(2), [0, 1], np.ones(dy))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_squared_error_opinions_agree(shape) -> None:
    args = (normal(0, *shape), normal(1, *shape))
    check_against_autodiff(*MSE, lambda p, t: jnp.mean((p - t) ** 2), args, (0, 1), np.float64(1.5))
    check_against_differences(*MSE, args, (0, 1), np.float64(1.5))


@given(values((2, 3)), values((2, 3)), st.floats(-3.0, 3.0))
def test_squared_error_by_hand(p, t, dy) -> None:
    pairs = list(zip(p.flat, t.flat, strict=True))
    assert mean_squared_error(p, t) == pytest.approx(sum((a - b) ** 2 for a, b in pairs) / 6, abs=1e-14)
    dp, dt = mean_squared_error_vjp(p, t, dy)
    np.testing.assert_allclose(dp.ravel(), [2 * (a - b) / 6 * dy for a, b in pairs], atol=1e-14)
    np.testing.assert_array_equal(dp + dt, np.zeros((2, 3)))


def test_the_gradient_of_a_squared_error_that_overflows() -> None:
    dp, dt = mean_squared_error_vjp([1e200, 0.0], [0.0, 0.0], 1.0)
    np.testing.assert_array_equal(dp, [1e200, 0])
    np.testing.assert_array_equal(dt, [-1e200, 0])
    assert np.isnan(mean_squared_error([np.nan, 0.0], [0.0, 0.0]))


def test_bad_squared_errors_are_named() -> None:
    for targets in [(3, 1), (3,), (), (1, 3)]:
        with pytest.raises(ValueError, match=r"targets has shape .* but predictions has shape \(2, 3\)"):
            mean_squared_error(np.ones((2, 3)), np.ones(targets))
    for f in (mean_squared_error, lambda p, t: mean_squared_error_vjp(p, t, 1.0)):
        with pytest.raises(ValueError, match=r"predictions of shape \(0, 3\) has no entry"):
            f(np.ones((0, 3)), np.ones((0, 3)))
    for dy in [(1,), (2,)]:
        with pytest.raises(ValueError, match=r"dy has shape .* but the result has shape \(\)"):
            mean_squared_error_vjp(np.ones(2), np.ones(2), np.ones(dy))


@pytest.mark.parametrize(("shape", "axis"), AXES)
def test_logsumexp_opinions_agree(shape, axis) -> None:
    x, dy = normal(0, *shape), normal(1, *np.delete(shape, axis))
    check_against_autodiff(logsumexp, logsumexp_vjp, jax.nn.logsumexp, (x, axis), (0,), dy)
    check_against_differences(logsumexp, logsumexp_vjp, (x, axis), (0,), dy)


@pytest.mark.parametrize(("shape", "axis"), AXES)
def test_softmax_opinions_agree(shape, axis) -> None:
    x, dy = normal(0, *shape), normal(1, *shape)
    check_against_autodiff(softmax, softmax_vjp, jax.nn.softmax, (x, axis), (0,), dy)
    check_against_differences(softmax, softmax_vjp, (x, axis), (0,), dy)


@settings(max_examples=20)
@given(data=st.data())
def test_values_along_an_axis(data) -> None:
    x, dy = data.draw(values((3, 4), bound=50.0)), data.draw(values((3, 4)))
    axis = data.draw(st.sampled_from([0, 1, -1, -2]))
    check_against_autodiff(softmax, softmax_vjp, jax.nn.softmax, (x, axis), (0,), dy)
    reduced = dy.take(0, axis)
    check_against_autodiff(logsumexp, logsumexp_vjp, jax.nn.logsumexp, (x, axis), (0,), reduced)


@given(values((4,)), values((4,)))
def test_softmax_through_its_jacobian(x, dy) -> None:
    dx, _ = softmax_vjp(x, -1, dy)
    np.testing.assert_allclose(dx, softmax_jacobian(x).T @ dy, atol=1e-14)
    p = softmax(x)
    np.testing.assert_allclose(dx, p * (dy - dy @ p), atol=1e-14)
    assert dx.sum() == pytest.approx(0.0, abs=1e-14)
    np.testing.assert_array_equal(softmax_vjp(x, -1, np.full(4, 3.0))[0], np.zeros(4))
    np.testing.assert_allclose(logsumexp_vjp(x, -1, 2.0)[0], 2 * p, rtol=1e-15)
    np.testing.assert_array_equal(softmax(x), softmax(x, -1))
    assert logsumexp(x) == logsumexp(x, -1)


@given(values((4,), bound=1e4))
def test_a_smooth_maximum(x) -> None:
    y = logsumexp(x)
    assert x.max() <= y <= x.max() + np.log(4) + 1e-12
    np.testing.assert_allclose(logsumexp(x + 64.0), y + 64.0, atol=1e-11)
    assert softmax(x).sum() == pytest.approx(1.0, rel=1e-15)


def test_the_tails_of_logsumexp_do_not_cancel() -> None:
    x = np.array([-700.0, -40.0, -1.0, 0.0, 2.0, 40.0])
    pairs = np.stack([x, 0 * x], axis=-1)
    # Of x and 0 it is softplus, and 0 is the larger of the two on the left.
    np.testing.assert_allclose(logsumexp(pairs), exact.exact(lambda v: (1 + v.exp()).ln(), x), rtol=1e-15)
    dx, _ = logsumexp_vjp(pairs, -1, np.ones(6))
    np.testing.assert_allclose(dx[:, 0], softplus_vjp(x, np.ones(6))[0], rtol=1e-15)


def test_the_tails_of_softmax_do_not_cancel() -> None:
    gap = np.array([700.0, 40.0, 3.0, 0.0])
    slope = exact.exact(lambda v: exact.sigmoid(v) * exact.sigmoid(-v), gap)
    for winner in (0, 1):
        x, dy = np.zeros((4, 2)), np.zeros((4, 2))
        x[:, winner], dy[:, winner] = gap, 5.0
        dx, _ = softmax_vjp(x, -1, dy)
        # Here 1 - p_w is below the last digit of p_w.
        np.testing.assert_allclose(dx[:, winner], 5 * slope, rtol=1e-15)
        np.testing.assert_allclose(dx[:, 1 - winner], -5 * slope, rtol=1e-15)


def test_large_entries() -> None:
    x = np.array([[1e308, -1e308, 1e308], [-1e308, -1e308, 0.0]])
    np.testing.assert_array_equal(softmax(x), [[0.5, 0, 0.5], [0, 0, 1]])
    np.testing.assert_array_equal(logsumexp(x), [1e308, 0])
    np.testing.assert_array_equal(softmax_vjp(x, 1, [[1, 2, 3], [4, 5, 6]])[0], [[-0.5, 0, 0.5], [0, 0, 0]])
    np.testing.assert_array_equal(logsumexp_vjp(x, 1, [2, 3])[0], [[1, 0, 1], [0, 0, 3]])


def test_minus_infinity() -> None:
    x = np.array([[-np.inf, -np.inf, -np.inf], [-np.inf, 0.0, 0.0]])
    np.testing.assert_array_equal(logsumexp(x), [-np.inf, np.log(2)])
    np.testing.assert_array_equal(logsumexp_vjp(x, -1, [2.0, 4.0])[0], [[0, 0, 0], [0, 2, 2]])
    np.testing.assert_array_equal(softmax(x), [[0, 0, 0], [0, 0.5, 0.5]])
    dy = np.array([[1.0, 2.0, 3.0], [7.0, 1.0, 3.0]])
    np.testing.assert_array_equal(softmax_vjp(x, -1, dy)[0], [[0, 0, 0], [0, -0.5, 0.5]])


def test_plus_infinity() -> None:
    x = np.array([[np.inf, 0.0, -np.inf], [np.inf, 1.0, np.inf]])
    np.testing.assert_array_equal(logsumexp(x), [np.inf, np.inf])
    # One alone takes all, as max gives all to the winner; of several the shares have no limit.
    np.testing.assert_array_equal(softmax(x), [[1, 0, 0], [np.nan, 0, np.nan]])
    dx, _ = logsumexp_vjp(x, -1, [2.0, 3.0])
    np.testing.assert_array_equal(dx, [[2, 0, 0], [np.nan, 0, np.nan]])
    np.testing.assert_array_equal(dx[0], max_vjp(x, -1, [2.0, 3.0])[0][0])
    np.testing.assert_array_equal(softmax_vjp(x[0], -1, [1.0, 2.0, 3.0])[0], np.zeros(3))
    assert np.isnan(softmax_vjp(x[1], -1, [1.0, 2.0, 3.0])[0]).any()


@pytest.mark.parametrize("others", [(0.0, 1.0), (-np.inf, -np.inf), (np.inf, 0.0), (np.nan, 0.0)])
def test_nan_is_not_hidden(others) -> None:
    x = np.array([*others, np.nan])
    assert np.isnan(logsumexp(x))
    assert np.isnan(logsumexp_vjp(x, 0, 1.0)[0]).all()
    assert np.isnan(softmax(x)).all()
    assert np.isnan(softmax_vjp(x, 0, np.ones(3))[0]).all()


@pytest.mark.parametrize("f", [logsumexp, softmax])
def test_bad_axes_are_named(f) -> None:
    f_vjp = {logsumexp: logsumexp_vjp, softmax: softmax_vjp}[f]
    for shape, axis, message in [
        ((2, 3), 2, r"axis 2 is out of range for x of shape \(2, 3\)"),
        ((2, 3), -3, "axis -3 is out of range"),
        ((), -1, "axis -1 is out of range"),
        ((2, 0), 1, r"x of shape \(2, 0\) has no entry along axis 1"),
        ((2, 0), -1, r"x of shape \(2, 0\) has no entry along axis 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            f(np.ones(shape), axis)
        with pytest.raises(ValueError, match=message):
            f_vjp(np.ones(shape), axis, np.ones(2))
    for axis in (None, 1.0, True, (0, 1)):
        with pytest.raises(TypeError, match="axis must be an integer"):
            f(np.ones((2, 3)), axis)


def test_bad_upstream_gradients_along_an_axis_are_named() -> None:
    x = np.ones((2, 3))
    for dy in [(3,), (2, 1), ()]:
        with pytest.raises(ValueError, match=r"dy has shape .* but the result has shape \(2,\)"):
            logsumexp_vjp(x, 1, np.ones(dy))
    for dy in [(3,), (2, 1), (3, 2), ()]:
        with pytest.raises(ValueError, match=r"dy has shape .* but the result has shape \(2, 3\)"):
            softmax_vjp(x, 1, np.ones(dy))

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from reference.batch_norm import batch_norm, batch_norm_vjp
from reference.layer_norm import layer_norm, layer_norm_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

D = 4


def twin(x, scale, bias, *, epsilon=1e-6):
    mean, var = jnp.mean(x, -1, keepdims=True), jnp.var(x, -1, keepdims=True)
    y = (x - mean) / jnp.sqrt(var + epsilon)
    y = y if scale is None else jnp.broadcast_to(scale, x.shape) * y
    return y if bias is None else y + jnp.broadcast_to(bias, x.shape)


@pytest.mark.parametrize("epsilon", [1e-6, 0.3])
@pytest.mark.parametrize(("scale", "bias"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("shape", [(D,), (3, D), (2, 3, D), (0, D), (3, 1)])
def test_opinions_agree(shape, scale, bias, epsilon) -> None:
    args = (
        normal(0, *shape),
        normal(1, shape[-1]) if scale else None,
        normal(2, shape[-1]) if bias else None,
    )
    wrt, dy = [k for k in range(3) if args[k] is not None], normal(3, *shape)
    check_against_autodiff(layer_norm, layer_norm_vjp, twin, args, wrt, dy, epsilon=epsilon)
    check_against_differences(layer_norm, layer_norm_vjp, args, wrt, dy, epsilon=epsilon)


@settings(max_examples=15)
@given(values((3, D)), values((D,)), values((D,)), values((3, D)))
def test_values(x, scale, bias, dy) -> None:
    # ε is wide: hypothesis likes constant rows, where the gradient grows like 1/√ε, and so do its errors.
    check_against_autodiff(layer_norm, layer_norm_vjp, twin, (x, scale, bias), range(3), dy, epsilon=0.1)


def test_by_hand() -> None:
    # μ = 3, v = 4, ε = 0: x̂ = (-1, 1, -1, 1).
    x, scale, bias = [1.0, 5.0, 1.0, 5.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 10.0, 10.0]
    np.testing.assert_array_equal(layer_norm(x, scale, bias, epsilon=0.0), [-1.0, 2.0, 7.0, 14.0])
    # dx̂ = (4, 0, 0, 0): its mean is 1, the mean of dx̂ ∘ x̂ is -1, and r = ½.
    dx, dscale, dbias = layer_norm_vjp(x, scale, bias, [4.0, 0.0, 0.0, 0.0], epsilon=0.0)
    np.testing.assert_array_equal(dx, [0.5 * (4 - 1 - 1), 0.5 * (-1 + 1), 0.5 * (-1 - 1), 0.5 * (-1 + 1)])
    np.testing.assert_array_equal(dscale, [-4.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(dbias, [4.0, 0.0, 0.0, 0.0])


def test_the_jacobian_on_paper() -> None:
    x, epsilon = normal(0, D), 0.2
    r = 1 / np.sqrt(x.var() + epsilon)
    normalised = (x - x.mean()) * r
    jacobian = r * (np.eye(D) - 1 / D - np.outer(normalised, normalised) / D)
    rows = [layer_norm_vjp(x, None, None, dy, epsilon=epsilon)[0] for dy in np.eye(D)]
    np.testing.assert_allclose(rows, jacobian, rtol=1e-13)
    np.testing.assert_allclose(jacobian @ np.ones(D), 0.0, atol=1e-15)
    np.testing.assert_allclose(jacobian @ normalised, epsilon * r**3 * normalised, rtol=1e-13)


def test_it_is_batch_norm_with_the_axes_exchanged() -> None:
    x, dy = normal(0, 5, D), normal(1, 5, D)
    y, _, _ = batch_norm(x.T, epsilon=0.1)
    np.testing.assert_allclose(layer_norm(x, epsilon=0.1), y.T, rtol=1e-13)
    dx, *_ = batch_norm_vjp(x.T, None, None, None, (dy.T, np.zeros(5), np.zeros(5)), epsilon=0.1)
    np.testing.assert_allclose(layer_norm_vjp(x, None, None, dy, epsilon=0.1)[0], dx.T, rtol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e8, 1e-300])
def test_a_constant_row(constant) -> None:
    x, scale, bias, dy = np.full((1, 10), constant), normal(0, 10), normal(1, 10), normal(2, 1, 10)
    np.testing.assert_array_equal(layer_norm(x, scale, bias), bias[None])
    dx, dscale, _ = layer_norm_vjp(x, scale, bias, dy)
    np.testing.assert_allclose(dx, 1e3 * (scale * dy - (scale * dy).mean()), rtol=1e-12)
    np.testing.assert_array_equal(dscale, 0.0)


def test_without_epsilon_a_constant_row_is_nan() -> None:
    assert np.isnan(layer_norm(np.ones((2, 3)), epsilon=0.0)).all()
    assert np.isnan(layer_norm_vjp(np.ones((2, 3)), None, None, np.ones((2, 3)), epsilon=0.0)[0]).all()


def test_a_nan_stays_in_its_row() -> None:
    x = normal(0, 3, D)
    x[1, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(layer_norm(x)).all(axis=1), [False, True, False])
    dx, *_ = layer_norm_vjp(x, None, None, np.ones((3, D)))
    np.testing.assert_array_equal(np.isnan(dx).any(axis=1), [False, True, False])


@pytest.mark.parametrize("offset", [2.0**20, -(2.0**30), 2.0**40])
def test_an_offset_cancels_nothing(offset) -> None:
    # Multiples of 2^-10 that all of these sums hold exactly.
    x = np.round(normal(0, 3, 7) * 2**10) / 2**10
    np.testing.assert_allclose(layer_norm(x + offset), layer_norm(x), rtol=1e-12)
    ours, theirs = (layer_norm_vjp(z, None, None, normal(1, 3, 7))[0] for z in (x + offset, x))
    np.testing.assert_allclose(ours, theirs, rtol=1e-11)


@pytest.mark.parametrize(
    ("x", "scale", "bias", "message"),
    [
        ((), None, None, r"x must end in an axis of one feature or more, got shape \(\)"),
        ((2, 0), None, None, r"x must end in an axis of one feature or more, got shape \(2, 0\)"),
        ((2, 3), (2,), None, r"scale has shape \(2,\) but x ends in 3"),
        ((2, 3), None, (1, 3), r"bias has shape \(1, 3\) but x ends in 3"),
        ((2, 3), (), None, r"scale has shape \(\) but x ends in 3"),
    ],
)
def test_bad_input_is_named(x, scale, bias, message) -> None:
    args = [np.ones(x), *(None if shape is None else np.ones(shape) for shape in (scale, bias))]
    with pytest.raises(ValueError, match=message):
        layer_norm(*args)
    with pytest.raises(ValueError, match=message):
        layer_norm_vjp(*args, np.ones(x))


@pytest.mark.parametrize("epsilon", [-1e-6, np.nan, np.inf])
def test_epsilon_must_not_be_negative(epsilon) -> None:
    with pytest.raises(ValueError, match="epsilon must be a number of at least 0, got"):
        layer_norm(np.ones(3), epsilon=epsilon)
    with pytest.raises(ValueError, match="epsilon must be a number of at least 0, got"):
        layer_norm_vjp(np.ones(3), None, None, np.ones(3), epsilon=epsilon)


@pytest.mark.parametrize("dy", [(3,), (2, 1), (1, 2, 3), ()])
def test_dy_must_have_the_shape_of_y(dy) -> None:
    with pytest.raises(ValueError, match=r"dy has shape .* but y has shape \(2, 3\)"):
        layer_norm_vjp(np.ones((2, 3)), None, None, np.ones(dy))

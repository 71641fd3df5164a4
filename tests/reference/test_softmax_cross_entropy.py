import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.numerical import central_difference
from reference.softmax_cross_entropy import (
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_vjp,
    softmax_jacobian,
)
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

C = 4


def hard_twin(logits, labels, *, ignore_label=None):
    labels = np.asarray(labels)
    ignored = np.zeros(labels.shape, bool) if ignore_label is None else labels == ignore_label
    one_hot = jax.nn.one_hot(np.where(ignored, 0, labels), logits.shape[-1], dtype=logits.dtype)
    losses = -jnp.sum(one_hot * jax.nn.log_softmax(logits), axis=-1)
    return jnp.where(jnp.asarray(ignored), 0.0, losses)


def soft_twin(logits, labels):
    return -jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
@pytest.mark.parametrize("ignore_label", [None, -1, 2, 100])
def test_integer_labels(shape, ignore_label) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, C, shape)
    if ignore_label is not None:
        labels = np.where(rng.random(shape) < 0.5, ignore_label, labels)
    args, dy = (normal(1, *shape, C), labels), normal(2, *shape)
    f, f_vjp = softmax_cross_entropy, softmax_cross_entropy_vjp
    check_against_autodiff(f, f_vjp, hard_twin, args, (0,), dy, ignore_label=ignore_label)
    check_against_differences(f, f_vjp, args, (0,), dy, ignore_label=ignore_label)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_soft_labels_that_need_not_add_up_to_one(shape) -> None:
    args, dy = (normal(1, *shape, C), normal(2, *shape, C)), normal(3, *shape)
    check_against_autodiff(softmax_cross_entropy, softmax_cross_entropy_vjp, soft_twin, args, (0, 1), dy)
    check_against_differences(softmax_cross_entropy, softmax_cross_entropy_vjp, args, (0, 1), dy)


@settings(max_examples=15)
@given(st.data())
def test_values(data) -> None:
    args = (data.draw(values((2, C), bound=50.0)), data.draw(values((2, C))))
    dy = data.draw(values((2,)))
    check_against_autodiff(softmax_cross_entropy, softmax_cross_entropy_vjp, soft_twin, args, (0, 1), dy)


@given(values((C,)), st.integers(0, C - 1))
def test_an_integer_label_is_a_one_hot_label(logits, label) -> None:
    one_hot = np.eye(C)[label]
    assert softmax_cross_entropy(logits, label) == softmax_cross_entropy(logits, one_hot)
    hard, _ = softmax_cross_entropy_vjp(logits, label, 2.0)
    soft, _ = softmax_cross_entropy_vjp(logits, one_hot, 2.0)
    np.testing.assert_array_equal(hard, soft)


@given(values((C,)), st.integers(0, C - 1))
def test_correct_and_incorrect_classes_separately(logits, label) -> None:
    p = softmax(logits)
    dz, _ = softmax_cross_entropy_vjp(logits, label, 1.0)
    for i in range(C):
        assert dz[i] == pytest.approx(-(1 - p[i]) if i == label else p[i], abs=1e-15)
    assert dz.sum() == pytest.approx(0.0, abs=1e-15)


@given(values((C,)), values((C,)))
def test_the_gradient_through_the_jacobian(logits, labels) -> None:
    # The long way: dJ/dz = -Jacobianᵀ (y / p), then the collected form.
    p = softmax(logits)
    long_way = -softmax_jacobian(logits).T @ (labels / p)
    dz, _ = softmax_cross_entropy_vjp(logits, labels, 1.0)
    np.testing.assert_allclose(dz, long_way, atol=1e-12)
    np.testing.assert_allclose(dz, p * labels.sum() - labels, atol=1e-12)


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3), (0, 3)])
def test_jacobian(shape) -> None:
    logits = normal(0, *shape)
    jacobian = softmax_jacobian(logits)
    assert jacobian.shape == (*shape, shape[-1])
    for index in np.ndindex(shape[:-1]):
        z = logits[index]
        for j in range(shape[-1]):
            row, _ = central_difference(lambda v, j=j: softmax(v)[j], z, 1e-5)
            np.testing.assert_allclose(jacobian[index][j], row, atol=1e-10)
    np.testing.assert_allclose(jacobian.sum(axis=-1), 0.0, atol=1e-15)
    np.testing.assert_allclose(jacobian, np.swapaxes(jacobian, -1, -2), atol=1e-16)


@given(values((3, C), bound=1e4))
def test_softmax_is_a_distribution_that_a_shift_does_not_move(logits) -> None:
    p = softmax(logits)
    assert np.all(p >= 0)
    np.testing.assert_allclose(p.sum(axis=-1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(softmax(logits + 64.0), p, atol=1e-10)


def test_extreme_logits() -> None:
    logits = np.array([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    labels = [0, 1, 2]
    np.testing.assert_allclose(softmax_cross_entropy(logits, labels), [0.0, 2e4, np.log(3)], atol=1e-12)
    dz, _ = softmax_cross_entropy_vjp(logits, labels, np.ones(3))
    third = 1 / 3
    np.testing.assert_allclose(dz, [[0, 0, 0], [1, -1, 0], [third, third, third - 1]], atol=1e-15)
    soft = np.full((3, 3), 0.5)
    np.testing.assert_allclose(softmax_cross_entropy(logits, soft), [1.5e4, 1.5e4, 1.5 * np.log(3)])
    dz, dlabels = softmax_cross_entropy_vjp(logits, soft, np.ones(3))
    np.testing.assert_allclose(dz[0], [1.0, -0.5, -0.5])
    np.testing.assert_allclose(dlabels[0], [0, 2e4, 1e4])
    assert np.isfinite(softmax_cross_entropy([1e308, -1e308], 0))


def test_a_label_of_zero_on_an_impossible_class() -> None:
    logits = np.array([0.0, 0.0, -np.inf])
    assert softmax_cross_entropy(logits, [0.5, 0.5, 0.0]) == pytest.approx(np.log(2))
    assert softmax_cross_entropy(logits, [0.5, 0.0, 0.5]) == np.inf
    dz, dlabels = softmax_cross_entropy_vjp(logits, [1.0, 0.0, 0.0], 1.0)
    np.testing.assert_allclose(dz, [-0.5, 0.5, 0.0])
    np.testing.assert_array_equal(dlabels, [np.log(2), np.log(2), np.inf])
    np.testing.assert_array_equal(softmax_cross_entropy_vjp(logits, [1.0, 0.0, 0.0], 0.0)[1], np.zeros(3))
    assert softmax_cross_entropy(logits, 2) == np.inf


def test_nan_is_not_hidden() -> None:
    assert np.isnan(softmax_cross_entropy([np.nan, 0.0], 1))
    assert np.isnan(softmax_cross_entropy([np.nan, 0.0], [0.0, 0.0]))
    assert np.isnan(softmax([-np.inf, -np.inf])).all()
    assert np.isnan(softmax([np.inf, 0.0])).any()


def test_ignored_examples_are_zero_whatever_their_logits() -> None:
    logits = np.array([[np.nan, 1.0], [-np.inf, -np.inf], [1.0, 2.0]])
    losses = softmax_cross_entropy(logits, [-100, -100, 0], ignore_label=-100)
    np.testing.assert_array_equal(losses[:2], 0.0)
    assert losses[2] > 0
    dz, dlabels = softmax_cross_entropy_vjp(logits, [-100, -100, 0], np.ones(3), ignore_label=-100)
    np.testing.assert_array_equal(dz[:2], 0.0)
    assert dz[2, 0] < 0
    assert dlabels is None


@pytest.mark.parametrize(
    ("logits", "labels", "keywords", "message"),
    [
        ((2, C), [0, C], {}, r"labels must lie in \[0, 4\) \(4 classes\), got 4"),
        ((2, C), [0, -1], {}, r"labels must lie in \[0, 4\) .* got -1"),
        ((2, C), [-2, -1], {"ignore_label": -1}, r"labels must lie in \[0, 4\) or -1 .* got -2"),
        ((2, C), [0, 1, 2], {}, r"labels has shape \(3,\) but logits has shape \(2, 4\)"),
        ((2, C), [[0, 1, 0, 0], [1, 0, 0, 0]], {}, r"integer labels must have shape \(2,\)"),
        ((2, C), np.ones((2, 3)), {}, r"labels has shape \(2, 3\)"),
        ((2, C), np.ones(2), {}, r"labels has shape \(2,\)"),
        ((2, C), np.ones((2, C)), {"ignore_label": 0}, "ignore_label 0 needs integer labels"),
        ((), 0, {}, "logits must end in an axis"),
        ((2, 0), [0, 0], {}, "logits must end in an axis"),
    ],
)
def test_bad_input_is_named(logits, labels, keywords, message) -> None:
    with pytest.raises(ValueError, match=message):
        softmax_cross_entropy(np.ones(logits), labels, **keywords)
    with pytest.raises(ValueError, match=message):
        softmax_cross_entropy_vjp(np.ones(logits), labels, np.ones(2), **keywords)


def test_softmax_needs_a_class() -> None:
    for f in (softmax, softmax_jacobian):
        with pytest.raises(ValueError, match="logits must end in an axis"):
            f(1.0)


def test_wrong_types_are_named() -> None:
    with pytest.raises(TypeError, match="labels must be integers or floating-point"):
        softmax_cross_entropy(np.ones((2, C)), [True, False])
    with pytest.raises(TypeError, match="ignore_label must be an integer"):
        softmax_cross_entropy(np.ones((2, C)), [0, 1], ignore_label=-1.0)


@pytest.mark.parametrize("dy", [(), (2, C), (1,)])
def test_dy_must_have_the_shape_of_the_losses(dy) -> None:
    with pytest.raises(ValueError, match="dy has shape"):
        softmax_cross_entropy_vjp(np.ones((2, C)), [0, 1], np.ones(dy))

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.linear import linear, linear_vjp
from reference.linear_softmax_cross_entropy import (
    linear_softmax_cross_entropy,
    linear_softmax_cross_entropy_vjp,
)
from reference.softmax_cross_entropy import softmax_cross_entropy, softmax_cross_entropy_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal

V, D = 5, 3


def twin(x, W, labels, bias=None, *, ignore_label=None, label_smoothing=0.0, reduction="mean"):
    labels = np.asarray(labels)
    counted = np.ones(labels.shape, bool) if ignore_label is None else labels != ignore_label
    z = x @ W.T if bias is None else x @ W.T + jnp.broadcast_to(bias, (*labels.shape, V))
    y = jax.nn.one_hot(np.where(counted, labels, 0), V, dtype=x.dtype)
    y = (1 - label_smoothing) * y + label_smoothing / V
    losses = jnp.where(counted, -jnp.sum(y * jax.nn.log_softmax(z), axis=-1), 0.0)
    if reduction == "none":
        return losses
    return jnp.sum(losses) / (max(int(counted.sum()), 1) if reduction == "mean" else 1)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize(("ignore_label", "label_smoothing"), [(None, 0.0), (-1, 0.2), (2, 1.0)])
def test_gradients(shape, reduction, with_bias, ignore_label, label_smoothing) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, V, shape)
    if ignore_label is not None:
        labels = np.where(rng.random(shape) < 0.5, ignore_label, labels)
    bias = normal(3, V) if with_bias else None
    args = (normal(1, *shape, D), normal(2, V, D), labels, bias)
    wrt = (0, 1, 3) if with_bias else (0, 1)
    dy = normal(4, *shape) if reduction == "none" else normal(4)
    keywords = {"ignore_label": ignore_label, "label_smoothing": label_smoothing, "reduction": reduction}
    f, f_vjp = linear_softmax_cross_entropy, linear_softmax_cross_entropy_vjp
    check_against_autodiff(f, f_vjp, twin, args, wrt, dy, **keywords)
    check_against_differences(f, f_vjp, args, wrt, dy, **keywords)


def test_is_the_chain_of_the_two_derivations() -> None:
    x, W, b, labels, dy = (
        normal(0, 4, D),
        normal(1, V, D),
        normal(2, V),
        np.array([0, 4, -1, 2]),
        normal(3, 4),
    )
    z = linear(x, W, b)
    keywords = {"ignore_label": -1, "reduction": "none"}
    losses = linear_softmax_cross_entropy(x, W, labels, b, **keywords)
    np.testing.assert_allclose(losses, softmax_cross_entropy(z, labels, ignore_label=-1), rtol=1e-14)
    dz, _ = softmax_cross_entropy_vjp(z, labels, dy, ignore_label=-1)
    dx, dW, none, db = linear_softmax_cross_entropy_vjp(x, W, labels, b, dy, **keywords)
    assert none is None
    for got, want in zip((dx, dW, db), linear_vjp(x, W, b, dz), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


def test_a_class_that_is_ruled_out() -> None:
    x, W, b = normal(0, 4, D), normal(1, V, D), np.array([0.0, 1.0, -np.inf, 2.0, 0.0])
    dx, dW, _, db = linear_softmax_cross_entropy_vjp(x, W, [0, 1, 3, 4], b, 1.0)
    np.testing.assert_array_equal(dW[2], 0.0)
    assert db[2] == 0
    assert np.isfinite(dx).all()
    assert linear_softmax_cross_entropy(x, W, [0, 1, 2, 4], b) == np.inf


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"reduction": "max"}, ValueError, "reduction must be 'none', 'sum' or 'mean', got 'max'"),
        ({"label_smoothing": -0.1}, ValueError, r"label_smoothing must lie in \[0, 1\], got -0.1"),
        ({"W": np.ones(D)}, ValueError, r"W must have shape \(classes, inputs\)"),
        ({"x": np.ones((4, D + 1))}, ValueError, r"x must end in 3, but has shape \(4, 4\)"),
        ({"labels": np.ones(4)}, TypeError, "labels must be integers, got dtype float64"),
        ({"labels": np.zeros(3, int)}, ValueError, r"labels has shape \(3,\)"),
        ({"labels": np.full(4, V)}, ValueError, r"labels must lie in \[0, 5\) \(5 classes\), got 5"),
        ({"bias": np.ones(D)}, ValueError, r"bias has shape \(3,\)"),
    ],
)
def test_bad_input_is_named(change, error, message) -> None:
    args = {"x": np.ones((4, D)), "W": np.ones((V, D)), "labels": np.zeros(4, int), "bias": None, **change}
    with pytest.raises(error, match=message):
        linear_softmax_cross_entropy(**args)
    with pytest.raises(error, match=message):
        linear_softmax_cross_entropy_vjp(**args, dy=1.0)


def test_dy_must_have_the_shape_of_the_result() -> None:
    args = (np.ones((4, D)), np.ones((V, D)), np.zeros(4, int), None)
    with pytest.raises(ValueError, match=r"dy has shape \(4,\) but the result has shape \(\)"):
        linear_softmax_cross_entropy_vjp(*args, np.ones(4))
    with pytest.raises(ValueError, match=r"dy has shape \(\) but the result has shape \(4,\)"):
        linear_softmax_cross_entropy_vjp(*args, 1.0, reduction="none")

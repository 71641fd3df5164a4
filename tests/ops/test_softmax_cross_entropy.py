"""p - y: hard and soft labels, ignored ones, extreme logits, labels out of range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop import ops

LOGITS = jnp.asarray([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1.0, 5.0, 2.0]])


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_correct_and_incorrect_classes():
    p = softmax(np.asarray(LOGITS))
    labels = jnp.asarray([2, 0, 1])
    loss, pull = jax.vjp(lambda z: ops.softmax_cross_entropy(z, labels), LOGITS)
    np.testing.assert_allclose(loss, -np.log(p[np.arange(3), labels]), rtol=1e-6)
    np.testing.assert_allclose(pull(jnp.ones(3))[0], p - np.eye(3)[np.asarray(labels)], atol=1e-6)


@settings(max_examples=10)  # each shape compiles
@given(st.integers(0, 9999), st.sampled_from([(), (4,), (2, 3), (0,)]), st.integers(1, 5))
def test_soft_labels_of_any_sum(seed, leading, classes):
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(*leading, classes)), rng.uniform(0, 2, (*leading, classes))
    dy = rng.normal(size=leading)
    with jax.enable_x64(True):
        loss, pull = jax.vjp(ops.softmax_cross_entropy, z, y)
        dz, dlabels = pull(jnp.asarray(dy))
    p = softmax(z)
    np.testing.assert_allclose(loss, -(y * np.log(p)).sum(-1), atol=1e-12)
    np.testing.assert_allclose(dz, dy[..., None] * (p * y.sum(-1, keepdims=True) - y), atol=1e-12)
    np.testing.assert_allclose(dlabels, -dy[..., None] * np.log(p), atol=1e-12)


def test_one_hot_soft_labels_equal_class_numbers():
    labels = jnp.asarray([2, 0, 1])
    hard = jax.value_and_grad(lambda z: jnp.sum(ops.softmax_cross_entropy(z, labels)))(LOGITS)
    soft = jax.value_and_grad(lambda z: jnp.sum(ops.softmax_cross_entropy(z, jax.nn.one_hot(labels, 3))))(
        LOGITS
    )
    np.testing.assert_allclose(hard[0], soft[0], rtol=1e-6)
    np.testing.assert_allclose(hard[1], soft[1], atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_extreme_logits(dtype):
    z = jnp.asarray([[1e4, -1e4, 0], [-1e4, 1e4, 0], [1e4, 1e4, -1e4]], dtype)
    labels = jnp.asarray([0, 0, 1])
    loss, dz = jax.value_and_grad(
        lambda z: jnp.sum(ops.softmax_cross_entropy(z, labels).astype(jnp.float32))
    )(z)
    gap = float(z[1, 1]) - float(z[1, 0])
    np.testing.assert_allclose(loss, gap + np.log(2), rtol=1e-2)
    np.testing.assert_allclose(np.float32(dz), [[0, 0, 0], [-1, 1, 0], [0.5, -0.5, 0]], atol=1e-6)


def test_a_small_loss_of_large_logits_keeps_its_digits():
    z = jnp.asarray([1e4, 1e4])
    np.testing.assert_allclose(ops.softmax_cross_entropy(z, jnp.asarray(0)), np.log(2), rtol=1e-6)


def test_a_class_that_is_ruled_out():
    z = jnp.asarray([0.0, -jnp.inf, 1.0])
    for labels in (jnp.asarray(2), jnp.asarray([0.0, 0.0, 1.0])):
        loss, dz = jax.value_and_grad(lambda z, labels=labels: ops.softmax_cross_entropy(z, labels))(z)
        p = 1 / (1 + np.exp(-1.0))
        np.testing.assert_allclose(loss, -np.log(p), rtol=1e-6)
        np.testing.assert_allclose(dz, [1 - p, 0, p - 1], rtol=1e-5)


def test_labels_of_a_ruled_out_class_without_cotangent_have_gradient_zero():
    z, labels = jnp.asarray([[0.0, -jnp.inf]] * 2), jnp.asarray([[1.0, 0.0]] * 2)
    (dlabels,) = jax.vjp(lambda y: ops.softmax_cross_entropy(z, y), labels)[1](jnp.asarray([0.0, 1.0]))
    np.testing.assert_array_equal(dlabels, [[0, 0], [0, jnp.inf]])


@pytest.mark.parametrize("ignore_label", [-1, 1, 3, -100])
def test_ignored_labels_have_loss_and_gradient_zero(ignore_label):
    labels = jnp.asarray([0, ignore_label, 2])
    f = lambda z: ops.softmax_cross_entropy(z, labels, ignore_label=ignore_label)  # noqa: E731
    loss, pull = jax.vjp(f, LOGITS.at[1].set(jnp.asarray([jnp.inf, jnp.nan, 0.0])))
    (dz,) = pull(jnp.ones(3))
    assert float(loss[1]) == 0
    np.testing.assert_array_equal(dz[1], 0)
    assert np.all(np.asarray(loss)[[0, 2]] > 0)
    assert np.all(np.asarray(dz)[[0, 2]] != 0)


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_label_out_of_range_raises_eagerly_and_is_nan_under_jit(bad):
    labels = jnp.asarray([0, bad, 1])
    with pytest.raises(ValueError, match=rf"labels must lie in \[0, 3\) \(3 classes\), got {bad}"):
        ops.softmax_cross_entropy(LOGITS, labels)
    f = jax.jit(lambda z, labels: jax.vjp(lambda z: ops.softmax_cross_entropy(z, labels), z))
    loss, pull = f(LOGITS, labels)
    (dz,) = pull(jnp.ones(3))
    np.testing.assert_array_equal(np.isnan(loss), [False, True, False])
    np.testing.assert_array_equal(np.isnan(dz).all(-1), [False, True, False])
    np.testing.assert_array_equal(np.isnan(dz).any(-1), [False, True, False])


def test_logits_are_all_that_is_kept():
    z, labels = jnp.ones((64, 100)), jnp.zeros(64, jnp.int32)
    kept = jax.tree.leaves(jax.vjp(lambda z: ops.softmax_cross_entropy(z, labels), z)[1])
    assert (
        sum(leaf.nbytes for leaf in kept if isinstance(leaf, jax.Array))
        == z.nbytes + labels.nbytes + 3 * 64 * 4
    )


@pytest.mark.parametrize(
    ("args", "keywords", "error", "message"),
    [
        ((LOGITS, jnp.asarray([0, 1])), {}, ValueError, r"labels must have shape \(3,\) .*got \(2,\)"),
        ((LOGITS, jnp.ones((3, 2))), {}, ValueError, r"labels must have shape \(3, 3\) .*got \(3, 2\)"),
        (
            (LOGITS, jnp.ones((3, 3))),
            {"ignore_label": 0},
            ValueError,
            "ignore_label 0 needs labels that are class",
        ),
        ((jnp.asarray(1.0), jnp.asarray(0)), {}, ValueError, r"logits must end in an axis of classes"),
        ((jnp.ones((2, 0)), jnp.asarray([0, 0])), {}, ValueError, r"logits must end in an axis of classes"),
        (
            (LOGITS, jnp.asarray([True, False, True])),
            {},
            TypeError,
            "labels must be class numbers or floating-point weights, got dtype bool",
        ),
        (
            (LOGITS, jnp.asarray([0, 1, 2])),
            {"ignore_label": 1.5},
            TypeError,
            "ignore_label must be an integer",
        ),
    ],
)
def test_bad_input_names_the_argument(args, keywords, error, message):
    with pytest.raises(error, match=message):
        ops.softmax_cross_entropy(*args, **keywords)

"""What the losses promise beyond the catalogue: accurate tails, infinities, and clear errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop import ops

wide = st.floats(-85, 85, width=32)


@given(st.lists(wide, min_size=1, max_size=6))
def test_binary_cross_entropy_does_not_cancel(z):
    z = np.array(z, np.float32)
    for label, sign in ((0, 1), (1, -1)):
        labels = np.full(z.shape, label, np.int32)
        got = jax.grad(lambda z, labels=labels: jnp.sum(ops.sigmoid_binary_cross_entropy(z, labels)))(z)
        e = np.exp(np.float64(-sign * z))
        np.testing.assert_allclose(got, sign / (1 + e), rtol=1e-6)
        np.testing.assert_allclose(ops.sigmoid_binary_cross_entropy(z, labels), np.log1p(1 / e), rtol=1e-6)


def test_binary_cross_entropy_takes_bools_integers_and_probabilities():
    z = jnp.asarray([-1.0, 0.5, 2.0])
    integers = jnp.asarray([0, 1, 1])
    losses = [
        ops.sigmoid_binary_cross_entropy(z, labels)
        for labels in (integers, integers == 1, integers.astype(jnp.uint8), integers.astype(jnp.float32))
    ]
    for other in losses[1:]:
        np.testing.assert_array_equal(losses[0], other)
    slope = jax.grad(lambda y: jnp.sum(ops.sigmoid_binary_cross_entropy(z, y)))(jnp.full(3, 0.5))
    np.testing.assert_array_equal(slope, -z)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_cross_entropy_keeps_the_digits_of_a_distant_class(offset):
    """A distance of 50 rounded to float32 costs 30 ulp, 1 - p of a certain class all of them."""
    rng = np.random.default_rng(0)
    logits = (rng.uniform(-55, 0, (4000, 5)) + offset).astype(np.float32)
    labels = rng.integers(0, 5, 4000)
    got = jax.grad(lambda z: jnp.sum(ops.softmax_cross_entropy(z, labels.astype(np.int32))))(logits)
    soft = jax.grad(lambda z: jnp.sum(ops.softmax_cross_entropy(z, jax.nn.one_hot(labels, 5))))(logits)
    z = logits.astype(np.float64)
    e = np.exp(z - z.max(-1, keepdims=True))
    correct = np.arange(5) == labels[:, None]
    want = np.where(correct, -np.where(correct, 0, e).sum(-1, keepdims=True), e) / e.sum(-1, keepdims=True)
    ulp = np.finfo(np.float32).eps * 2.0 ** np.floor(np.log2(np.abs(want)))
    for gradient in (got, soft):
        assert ((np.abs(gradient - want) / ulp)[np.abs(want) >= 2.0**-80]).max() <= 8


def test_cross_entropy_of_a_certain_class_is_not_zero():
    z = jnp.asarray([20.0, 0.0, -3.0])
    loss, slope = jax.value_and_grad(lambda z: ops.softmax_cross_entropy(z, 0))(z)
    rest = np.exp(-20.0) + np.exp(-23.0)
    np.testing.assert_allclose(loss, np.log1p(rest), rtol=1e-6)
    np.testing.assert_allclose(slope[0], -rest / (1 + rest), rtol=1e-6)


@pytest.mark.parametrize("f", [ops.softmax, ops.logsumexp])
def test_infinities_on_the_way_to_a_softmax(f):
    x = jnp.asarray([[-jnp.inf, 0.0, 1.0], [-jnp.inf] * 3, [jnp.inf, 0.0, -jnp.inf]])
    y, pull = jax.vjp(f, x)
    p = np.array([[0, 1 / (1 + np.e), np.e / (1 + np.e)], [0, 0, 0], [1, 0, 0]])
    if f is ops.softmax:
        np.testing.assert_allclose(y, p, rtol=1e-6)
        np.testing.assert_allclose(pull(jnp.ones((3, 3)))[0], np.zeros((3, 3)), atol=1e-7)
    else:
        np.testing.assert_allclose(y, [np.log(1 + np.e), -np.inf, np.inf], rtol=1e-6)
        np.testing.assert_allclose(pull(jnp.ones(3))[0], p, rtol=1e-6)


def test_softmax_of_a_certain_class_passes_what_the_others_leave():
    x, dy = jnp.asarray([30.0, 0.0, 1.0]), jnp.asarray([3.0, 1.0, -2.0])
    (dx,) = jax.vjp(ops.softmax, x)[1](dy)
    p = np.exp(np.array([0, -30.0, -29.0]))
    p = p / p.sum()
    # dx_0 = Σ p_0 p_j (dy_0 - dy_j), of which dy_0 - Σ p dy would leave nothing in float32.
    np.testing.assert_allclose(dx, [p[1] * 2 + p[2] * 5, p[1] * -2, p[2] * -5], rtol=1e-6)


def test_mean_squared_error_by_hand():
    value, (dp, dt) = jax.value_and_grad(ops.mean_squared_error, (0, 1))(
        jnp.asarray([1.0, 4.0]), jnp.asarray([3.0, 3.0])
    )
    assert float(value) == 2.5
    np.testing.assert_array_equal(dp, [-2.0, 1.0])
    np.testing.assert_array_equal(dt, [2.0, -1.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.sigmoid_binary_cross_entropy(jnp.ones(3), jnp.ones(2)),
            ValueError,
            r"labels must have shape \(3,\) as logits, got \(2,\)",
        ),
        (
            lambda: ops.sigmoid_binary_cross_entropy(jnp.ones(2), jnp.asarray([0, 2])),
            ValueError,
            r"labels must lie in \[0, 1\], got 2",
        ),
        (
            lambda: ops.sigmoid_binary_cross_entropy(jnp.ones(1), jnp.asarray([jnp.nan])),
            ValueError,
            r"labels must lie in \[0, 1\], got nan",
        ),
        (
            lambda: ops.mean_squared_error(jnp.ones(3), jnp.ones((3, 1))),
            ValueError,
            r"targets must have shape \(3,\) as predictions, got \(3, 1\)",
        ),
        (lambda: ops.mean_squared_error(jnp.ones(0), jnp.ones(0)), ValueError, "have no entry"),
        (lambda: ops.softmax(jnp.ones((2, 0))), ValueError, "axis 1 of x has no entries"),
        (lambda: ops.logsumexp(jnp.ones(2), 1), ValueError, "axis 1 is out of range"),
        (lambda: ops.logsumexp(jnp.asarray(1.0)), ValueError, "axis -1 is out of range"),
        (lambda: ops.softmax(jnp.ones(2), 0.5), TypeError, "axis must be an integer"),
    ],
)
def test_bad_input_names_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

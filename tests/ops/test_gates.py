"""The gates: distribute, swap, add, and what a broadcast does to each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxbackprop import ops


def test_add_distributes():
    dx, dy = jax.vjp(ops.add, jnp.asarray([1.0, 2.0]), jnp.asarray([3.0, 4.0]))[1](jnp.asarray([5.0, 6.0]))
    np.testing.assert_array_equal(dx, [5, 6])
    np.testing.assert_array_equal(dy, [5, 6])


def test_multiply_swaps():
    dx, dy = jax.vjp(ops.multiply, jnp.asarray([1.0, 2.0]), jnp.asarray([3.0, 4.0]))[1](
        jnp.asarray([5.0, 6.0])
    )
    np.testing.assert_array_equal(dx, [15, 24])
    np.testing.assert_array_equal(dy, [5, 12])


def test_copy_adds():
    copies, pull = jax.vjp(lambda x: ops.copy(x, 3), jnp.asarray([1.0, 2.0]))
    assert [c.tolist() for c in copies] == [[1, 2]] * 3
    (dx,) = pull((jnp.asarray([1.0, 0.0]), jnp.asarray([10.0, 0.0]), jnp.asarray([100.0, 7.0])))
    np.testing.assert_array_equal(dx, [111, 7])


def test_copy_adds_half_precision_in_float32():
    n = 4096
    _, pull = jax.vjp(lambda x: ops.copy(x, n), jnp.asarray(1.0, jnp.bfloat16))
    (dx,) = pull((jnp.asarray(1.0, jnp.bfloat16),) * n)
    assert float(dx) == n


@settings(max_examples=10)  # each pair of shapes compiles
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3), st.integers(0, 2**32 - 1))
def test_what_was_broadcast_is_summed(shapes, seed):
    rng = np.random.default_rng(seed)
    x, y = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes.input_shapes)
    d = jnp.asarray(rng.normal(size=shapes.result_shape), jnp.float32)
    with jax.numpy_rank_promotion("allow"):
        for ours, plain in ((ops.add, jnp.add), (ops.multiply, jnp.multiply), (ops.maximum, jnp.maximum)):
            got, want = jax.vjp(ours, x, y)[1](d), jax.vjp(plain, x, y)[1](d)
            for g, w, argument in zip(got, want, (x, y), strict=True):
                assert g.shape == argument.shape
                np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", [ops.add, ops.multiply])
def test_shapes_that_do_not_broadcast_raise(op):
    with pytest.raises(ValueError, match=r"x of shape \(2, 3\) and y of shape \(4, 3\) do not broadcast"):
        op(jnp.ones((2, 3)), jnp.ones((4, 3)))


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n must be at least 1, got 0"),
        (1.5, TypeError, "n must be an integer"),
        (True, TypeError, "n"),
    ],
)
def test_copy_needs_a_count(n, error, message):
    with pytest.raises(error, match=message):
        ops.copy(jnp.ones(2), n)

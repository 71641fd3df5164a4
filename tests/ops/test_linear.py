"""The affine map: δxᵀ, Wᵀδ and δ on batches of every shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop import ops


def test_one_row_is_the_outer_product():
    x, W = jnp.asarray([1.0, 2.0, 3.0, 4.0]), jnp.asarray([[1.0, 0, -1, 2], [0, 3, 1, -2]])
    delta = jnp.asarray([10.0, -1.0])
    dx, dW, db = jax.vjp(ops.linear, x, W, jnp.zeros(2))[1](delta)
    np.testing.assert_array_equal(dW, [[10, 20, 30, 40], [-1, -2, -3, -4]])
    np.testing.assert_array_equal(dx, [10, -3, -11, 22])
    np.testing.assert_array_equal(db, delta)


@settings(max_examples=10)  # each shape compiles
@given(
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 99),
)
def test_any_leading_axes(leading, n, m, with_bias, seed):
    rng = np.random.default_rng(seed)
    x, W = rng.normal(size=(*leading, n)), rng.normal(size=(m, n))
    b = rng.normal(size=m) if with_bias else None
    dy = rng.normal(size=(*leading, m))
    with jax.enable_x64(True):
        z, pull = jax.vjp(ops.linear, x, W, b)
        dx, dW, db = pull(jnp.asarray(dy))
    np.testing.assert_allclose(z, x @ W.T + (b if with_bias else 0), atol=1e-12)
    np.testing.assert_allclose(dx, dy @ W, atol=1e-12)
    np.testing.assert_allclose(dW, dy.reshape(-1, m).T @ x.reshape(-1, n), atol=1e-12)
    if with_bias:
        np.testing.assert_allclose(db, dy.reshape(-1, m).sum(0), atol=1e-12)
    else:
        assert db is None


def test_half_precision_adds_in_float32():
    rows = 4096
    x = jnp.ones((rows, 1), jnp.bfloat16)
    dW, db = jax.grad(lambda W, b: jnp.sum(ops.linear(x, W, b).astype(jnp.float32)), (0, 1))(
        jnp.ones((1, 1), jnp.bfloat16), jnp.zeros(1, jnp.bfloat16)
    )
    # Added one at a time in bfloat16, the sum would stop growing at 256.
    assert float(dW[0, 0]) == rows
    assert float(db[0]) == rows


def test_neither_pass_forms_anything_larger_than_its_arguments():
    x, W, b = jnp.ones((64, 32)), jnp.ones((16, 32)), jnp.ones(16)
    jaxpr = jax.make_jaxpr(jax.grad(lambda x, W, b: jnp.sum(ops.linear(x, W, b)), (0, 1, 2)))(x, W, b)
    largest = max(v.aval.size for eqn in jaxpr.jaxpr.eqns for v in eqn.outvars)
    assert largest == 64 * 32


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((jnp.ones(5), jnp.ones((3, 4))), r"W has shape \(3, 4\) but x ends in 5"),
        ((jnp.ones(4), jnp.ones(4)), r"W must have shape \(outputs, inputs\), got \(4,\)"),
        ((1.0, jnp.ones((3, 4))), "x must have an axis of inputs, got a scalar"),
        ((jnp.ones(4), jnp.ones((3, 4)), jnp.ones(4)), r"b must have shape \(3,\) .* got \(4,\)"),
        ((jnp.ones(4), jnp.ones((3, 4)), jnp.ones((1, 3))), r"b must have shape \(3,\)"),
    ],
)
def test_wrong_shapes_name_the_argument(args, message):
    with pytest.raises(ValueError, match=message):
        ops.linear(*args)
    with pytest.raises(ValueError, match=message):
        jax.jit(ops.linear)(*args)


def test_rows_under_several_axes_are_multiplied_as_rows_under_one():
    # XLA transposes a copy of what it sums over several axes.
    def gradient(x, kernel, b, dy):
        return jax.vjp(lambda x, kernel, b: ops.linear(x, kernel.T, b), x, kernel, b)[1](dy)

    shapes = [(3, 5, 7), (7, 11), (11,), (3, 5, 11)]
    program = (
        jax.jit(gradient).lower(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)).compile()
    )
    assert "f32[15,11]" in program.as_text()
    assert "f32[11,15]" not in program.as_text()

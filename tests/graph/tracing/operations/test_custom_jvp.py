"""Functions with rules for tangents."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxbackprop.graph import grad, trace
from tests.graph.compare import X, assert_same


def test_relu_has_slope_zero_at_zero():
    x = jnp.array([-1.0, 0.0, 1.0])
    assert grad(lambda x: jnp.sum(jax.nn.relu(x)))(x).tolist() == [0, 0, 1]
    # Its plain body's is another: the two operands of a maximum that is a tie get half each.
    assert grad(lambda x: jnp.sum(jnp.maximum(x, 0)))(x).tolist() == [0, 0.5, 1]
    inside = trace(lambda x: jnp.sum(jax.nn.relu(x)), x).forward().backward().inside("relu")
    assert inside.grads[-1].tolist() == [0, 0, 1]


def test_a_custom_jvp_with_symbolic_zeros():
    @jax.custom_jvp
    def f(a, b):
        return a * b

    @partial(f.defjvp, symbolic_zeros=True)
    def _(primals, tangents):
        (a, b), (da, db) = primals, tangents
        slope = jnp.zeros_like(a)
        if not isinstance(da, SymbolicZero):
            slope = slope + 3 * da * b
        if not isinstance(db, SymbolicZero):
            slope = slope + 5 * db * a
        return a * b, slope

    def g(a, b):
        return jnp.sum(f(a, b))

    assert grad(g)(X, 2 * X).tolist() == (6 * X).tolist()
    assert grad(g, 1)(X, 2 * X).tolist() == (5 * X).tolist()


def test_a_custom_jvp_of_several_arguments_results_and_integers():
    @jax.custom_jvp
    def f(x, i, y):
        return x * y, i + 1, jnp.sin(x)

    @f.defjvp
    def _(primals, tangents):
        x, i, y = primals
        dx, di, dy = tangents
        return f(x, i, y), (7 * dx * y + dy, di, jnp.cos(x) * dx)

    def g(x, y):
        a, _, b = f(x, 3, y)
        return jnp.sum(a) + jnp.sum(b * b)

    assert_same(g, X, 2 * X, argnums=(0, 1))

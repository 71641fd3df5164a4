"""Functions with hand-written VJPs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jaxbackprop.graph import grad
from tests.graph.compare import X, assert_same


def test_a_custom_vjp_with_settings_pytrees_and_none():
    @partial(jax.custom_vjp, nondiff_argnums=(1,))
    def f(x, power, pair):
        return {"y": x["a"] ** power, "z": pair[0] * pair[1]}

    def forward(x, power, pair):
        return f(x, power, pair), (x["a"], pair)

    def backward(power, residuals, dy):
        a, pair = residuals
        return {"a": 10.0 * dy["y"] * a}, (None, dy["z"] * pair[0])

    f.defvjp(forward, backward)

    def g(x, pair):
        out = f(x, 2, pair)
        return jnp.sum(out["y"]) + jnp.sum(out["z"])

    assert_same(g, {"a": X}, (X, 3 * X), argnums=(0, 1))


def test_a_custom_vjp_with_symbolic_zeros_and_closed_over_values():
    def outer(x, scale):
        @jax.custom_vjp
        def f(a, b):
            return a * b * scale, b

        def forward(a, b):
            return (a.value * b.value * scale, b.value), (a.value, b.value, a.perturbed, b.perturbed)

        def backward(residuals, dy):
            a, b, *_ = residuals
            first, second = dy
            assert isinstance(second, SymbolicZero)
            return first * b * scale, first * a * scale

        f.defvjp(forward, backward, symbolic_zeros=True)
        return jnp.sum(f(x, x + 1.0)[0])

    assert_same(partial(outer, scale=2.0), X)
    np.testing.assert_allclose(jax.jit(grad(outer))(X, 2.0), jax.grad(outer)(X, 2.0), rtol=1e-6)

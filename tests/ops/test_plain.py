"""The operators without their rules: same names, same calls, and forward mode."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import ops
from jaxbackprop.ops import plain
from jaxbackprop.ops.catalogue import CATALOGUE


def test_every_operator_has_a_plain_twin_that_is_its_oracle():
    for row in CATALOGUE:
        twin = getattr(plain, row.name)
        assert row.oracle is twin
        ours, theirs = (inspect.signature(f).parameters.values() for f in (row.op, twin))
        assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in theirs]


def test_plain_dropout_at_both_ends():
    x = jnp.ones(3)
    np.testing.assert_array_equal(plain.dropout(x, None, 0.0), x)
    np.testing.assert_array_equal(plain.dropout(x, None, 1.0), 0 * x)


def test_forward_mode_is_refused_and_the_plain_twin_is_the_way_out():
    x = jnp.linspace(-2, 2, 5)
    with pytest.raises(TypeError, match=r"forward-mode .* custom_vjp"):
        jax.jvp(ops.gelu, (x,), (x,))
    y, dy = jax.jvp(plain.gelu, (x,), (jnp.ones(5),))
    np.testing.assert_allclose(y, ops.gelu(x), rtol=1e-5)
    np.testing.assert_allclose(dy, jax.vmap(jax.grad(ops.gelu))(x), rtol=1e-5, atol=1e-7)


def test_hessian_of_a_small_network_equals_the_plain_one():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(6, 3)), np.array([0, 1, 2, 3, 1, 0], np.int32)
    parameters = {"W": rng.normal(size=(4, 3)), "V": rng.normal(size=(4, 4)), "b": rng.normal(size=4)}

    def loss(o, parameters):
        z = o.gelu(o.linear(x, parameters["W"], parameters["b"]), approximate=False)
        z = o.tanh(o.softplus(z))
        return jnp.mean(o.softmax_cross_entropy(o.linear(z, parameters["V"]), labels))

    with jax.enable_x64(True):
        got, want = jax.jit(lambda p: [jax.hessian(lambda p, o=o: loss(o, p))(p) for o in (ops, plain)])(
            parameters
        )
        jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-11), got, want)


def nested(f, order):
    return f if order == 0 else jax.grad(nested(f, order - 1))


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "silu", "gelu"])
def test_higher_derivatives_at_zero_too(name):
    """A formula in |x| would have no odd derivatives at 0."""

    @jax.jit
    def derivatives(x):
        each = [[jax.vmap(nested(getattr(o, name), order))(x) for order in (2, 3, 4)] for o in (ops, plain)]
        return [jnp.stack(orders) for orders in each]

    with jax.enable_x64(True):
        got, want = derivatives(jnp.asarray([0.0, 0.7, -1.3]))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10)

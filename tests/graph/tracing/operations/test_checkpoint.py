"""Checkpointed functions."""

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop.graph import grad
from tests.graph.compare import X, assert_same


@pytest.mark.parametrize(
    "policy", [None, jax.checkpoint_policies.dots_saveable, jax.checkpoint_policies.everything_saveable]
)
def test_a_checkpoint_computes_again_what_its_policy_does_not_save(policy):
    def f(x):
        return jnp.sum(jax.checkpoint(lambda x: jnp.sin(jnp.sin(x) @ x), policy=policy)(x))

    x = jnp.arange(9.0).reshape(3, 3) / 10
    assert_same(f, x)
    text = str(jax.make_jaxpr(grad(f))(x))
    sines, products = text.count("= sin "), text.count("dot_general[")
    # Forward: sin, product, sin; back: two products. Again, unless saved: the inner sin, the product.
    if policy is jax.checkpoint_policies.everything_saveable:
        assert (sines, products) == (2, 3)
    else:
        assert sines > 2
        assert products == (4 if policy is None else 3)


def test_saved_names():
    from jax.ad_checkpoint import checkpoint_name

    def f(x):
        policy = jax.checkpoint_policies.save_only_these_names("kept")
        return jnp.sum(
            jax.checkpoint(lambda x: jnp.exp(checkpoint_name(jnp.sin(x), "kept")), policy=policy)(x)
        )

    assert_same(f, X)

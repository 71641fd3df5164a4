"""The graph's gradients beside those of `jax.grad`."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.graph import grad

X = jnp.array([0.5, -1.0, 2.0])


def assert_same(f, *args, argnums=0):
    want = jax.grad(f, argnums)(*args)
    for got in (grad(f, argnums)(*args), jax.jit(grad(f, argnums))(*args)):
        assert jax.tree.structure(got) == jax.tree.structure(want)
        for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)

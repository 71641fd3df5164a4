"""A choice among programs."""

from functools import partial

import jax
import jax.numpy as jnp

from tests.graph.compare import X, assert_same


def test_branches_of_which_one_has_no_gradient():
    def f(x, which):
        return jnp.sum(jax.lax.cond(which, lambda x: jnp.ones_like(x), lambda x: x * x * x, x))

    for which in (True, False):
        assert_same(partial(f, which=which), X)

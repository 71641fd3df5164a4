"""The winner of a window."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop.graph import grad


def test_the_winner_of_a_window_with_nan_is_that_of_jax_grad():
    random = np.random.default_rng(0)
    x = random.integers(-2, 3, (3, 6, 7, 2)).astype(np.float32)
    x[random.random(x.shape) < 0.15] = np.nan
    x[random.random(x.shape) < 0.1] = -np.inf
    w = random.standard_normal((3, 3, 4, 2), np.float32)

    def f(x):
        return jnp.sum(w * nnx.max_pool(x, (2, 2), (2, 2), "SAME"))

    np.testing.assert_array_equal(jax.jit(grad(f))(x), jax.grad(f)(x))

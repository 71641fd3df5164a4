"""What a step of a loop keeps for the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.graph import grad, trace
from jaxbackprop.graph.passes import ResidualSelection


@pytest.mark.parametrize(
    ("f", "kept"),
    [
        # The cosine, which is computed ahead; its argument is not needed any more.
        (jnp.sin, [jnp.cos]),
        # What is left of the local gradient is one multiplication.
        (jnp.tanh, [lambda x: 1 - jnp.tanh(x) ** 2]),
        # Arithmetic, repeated from x, which is an argument and there anyway.
        (lambda x: (2 * x + 1) ** 2, []),
        (lambda x: jnp.exp(x) * jnp.exp(-x), [jnp.exp, lambda x: jnp.exp(-x)]),
        (lambda x: 3 * x, []),
    ],
)
def test_what_is_kept_of_a_step(f, kept):
    x = jnp.linspace(-1, 1, 5)
    plan = ResidualSelection(trace(f, x), [True])
    _, values = plan.forward([x])
    assert [spec.shape for spec in plan.kept] == [value.shape for value in values]
    for value, function in zip(values, kept, strict=True):
        np.testing.assert_allclose(value, function(x), rtol=1e-6)


def test_a_loop_keeps_one_array_a_step_of_a_sine_of_a_sum():
    def f(x):
        def step(h, w):
            return jnp.sin(h + w), None

        return jnp.sum(jax.lax.scan(step, jnp.zeros(100), x)[0])

    x = np.linspace(-1, 1, 2000, dtype=np.float32).reshape(20, 100)
    ours = jax.jit(grad(f)).lower(x).compile().memory_analysis().temp_size_in_bytes
    theirs = jax.jit(jax.grad(f)).lower(x).compile().memory_analysis().temp_size_in_bytes
    assert ours <= theirs

"""A traced function as equations over NumPy arrays computes what jax does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop.diagnose.by_mutation._interpreter import DoesNotFit, flatten
from tests.diagnose.by_mutation.rules import normal


def loops(x, n):
    return lax.while_loop(lambda s: s[1] < n, lambda s: (jnp.sin(s[0]), s[1] + 1), (x, 0))[0]


@pytest.mark.parametrize(
    ("f", "leaves"),
    [
        (lambda x, y: jnp.einsum("bij,bkj->bik", x, y), (normal(2, 3, 4), normal(2, 5, 4))),
        (lambda x, y: jnp.tensordot(x, y, ((0, 2), (2, 0))), (normal(2, 3, 4), normal(4, 5, 2))),
        (lambda x, w: jnp.convolve(x, w, "full"), (normal(7), normal(3))),
        (
            lambda x, w: lax.conv_general_dilated(
                x, w, (2, 1), ((1, 2), (0, -1)), (1, 2), (2, 1), feature_group_count=2
            ),
            (normal(2, 4, 5, 6), normal(6, 2, 3, 2)),
        ),
        (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2,), (2,), "VALID"), (normal(8),)),
        (lambda x: x[:, jnp.array([2, 0, 0])] + x.at[0, 1].set(3.0)[:, :3], (normal(3, 3),)),
        (lambda x, i: jnp.take_along_axis(x, i, 1), (normal(2, 4), np.array([[0, 5], [-1, 2]], np.int32))),
        (lambda x, i: jnp.zeros((4, 2)).at[i].add(x), (normal(3, 2), np.array([1, 1, 3], np.int32))),
        (lambda x, i: lax.dynamic_slice(x, (i, np.int32(1)), (2, 2)), (normal(4, 3), np.array(3, np.int32))),
        (lambda x: lax.pad(x, 0.5, ((-1, 2, 1), (1, -1, 0))), (normal(4, 3),)),
        (lambda x: jax.nn.gelu(x) + jax.nn.softplus(x) * lax.erf_inv(jnp.tanh(x)), (normal(5),)),
        (lambda x: jnp.sort(x, 0) + jnp.argsort(x, 0) + lax.cumsum(x, 1, reverse=True), (normal(4, 3),)),
        (lambda x: jnp.sum(jax.random.normal(jax.random.key(1), x.shape) * x), (normal(4),)),
        (lambda x: loops(x, 3) + lax.fori_loop(0, 4, lambda i, s: s * 0.5 + i, x), (normal(3),)),
        (lambda x: lax.scan(lambda c, x: (c + x, c * x), x[0], x, reverse=True), (normal(4, 2),)),
        (lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), (normal(3),)),
        (lambda x, y: jnp.linalg.solve(x + 4 * jnp.eye(3), y), (normal(3, 3), normal(3))),
        (
            lambda x, i: i // 2 + i % 3 + jnp.round(x * 3) + (i >> 1),
            (normal(3), np.array([-5, 4, 7], np.int32)),
        ),
        (lambda x: jax.checkpoint(jnp.sin)(x) + jax.jit(jnp.cos)(x) ** -2, (normal(3),)),
    ],
)
def test_the_evaluator_computes_what_jax_does(f, leaves):
    with float64_on_cpu():
        flat = flatten(lambda leaves: jax.tree.leaves(f(*leaves)), leaves)
        values = flat.evaluate(list(leaves))
        for i, right in zip(flat.outputs, jax.tree.leaves(f(*map(jnp.asarray, leaves))), strict=True):
            np.testing.assert_allclose(values[i], right, rtol=1e-12, atol=1e-12)


def test_short_scans_are_unrolled_and_long_ones_are_one_equation():
    with float64_on_cpu():

        def running(x):
            return lax.scan(lambda c, x: (c + jnp.sin(x), c), 0.0, x)

        short, long = flatten(running, normal(4)), flatten(running, normal(40))
    assert [e.name for e in short.equations].count("sin") == 4
    assert short.loops
    assert [e.name for e in long.equations] == ["scan"]


def test_an_equation_refuses_arrays_of_another_shape():
    with float64_on_cpu():
        (add,) = flatten(lambda x, y: (x + y,), normal(4), normal(4)).equations
    with pytest.raises(DoesNotFit, match="add"):
        add.run(normal(4), normal(3))

"""What the two passes cost, in multiplications."""

import math

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop.graph import trace


def test_a_matrix_product_costs_twice_as_much_on_the_way_back():
    cost = trace(lambda W, x: jnp.sum(x @ W), jnp.ones((5, 3)), jnp.ones((7, 5))).cost()
    assert (cost.forward, cost.backward, cost.ratio) == (7 * 5 * 3, 2 * 7 * 5 * 3, 2)


def test_what_needs_no_gradient_costs_nothing_on_the_way_back():
    x = jnp.ones((7, 5))
    assert trace(lambda W: jnp.sum(x @ W), jnp.ones((5, 3))).cost().ratio == 1


def test_gates():
    cost = trace(lambda x, y, z: (x + y) * jnp.maximum(y, z), 1.0, 2.0, 0.0).cost()
    assert [(entry.node.name, entry.forward, entry.backward) for entry in cost.nodes if entry.backward] == [
        ("mul", 1, 2)
    ]
    assert (cost.forward, cost.backward) == (1, 2)


def test_a_loop_costs_its_body_times_its_length():
    def f(w, x):
        return jnp.sum(jax.lax.scan(lambda h, a: (h @ w + a, None), jnp.zeros((2, 3)), x)[0])

    cost = trace(f, jnp.ones((3, 3)), jnp.ones((10, 2, 3))).cost()
    assert (cost.forward, cost.backward) == (10 * 18, 10 * 2 * 18)


def test_a_checkpoint_pays_for_what_it_computes_again():
    W = jnp.ones((4, 4))
    plain = trace(lambda W: jnp.sum((W @ W) @ W), W).cost()
    again = trace(lambda W: jnp.sum(jax.checkpoint(lambda W: (W @ W) @ W)(W)), W).cost()
    assert again.forward == plain.forward
    assert again.backward == plain.backward + 64


def test_no_multiplication_has_no_ratio():
    assert math.isnan(trace(lambda x: x + 1.0, 1.0).cost().ratio)


@pytest.mark.parametrize("depth", [1, 4])
def test_the_backward_pass_of_a_network_costs_at_most_three_times_the_forward(depth):
    def loss(weights, x):
        for W in weights:
            x = jax.nn.gelu(x @ W)
        return jnp.mean(x * x)

    cost = trace(loss, [jnp.ones((8, 8))] * depth, jnp.ones((4, 8))).cost()
    assert cost.backward <= 3 * cost.forward

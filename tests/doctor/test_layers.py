"""Which nodes apply weights, which operand holds them, and which axes are units."""

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop import ops
from jaxbackprop.doctor._dependence import dependencies
from jaxbackprop.doctor._layers import fan_out, layers_of
from jaxbackprop.graph import trace

W, X = jnp.ones((3, 5)), jnp.ones((4, 3))


def layers(f, *args, parameters=0b01):
    graph = trace(f, *args)
    return list(layers_of(graph, dependencies(graph), parameters).values())


@pytest.mark.parametrize(
    ("f", "args", "weight", "units"),
    [
        (lambda W, x: x @ W, (W, X), 1, (1,)),
        (lambda W, x: W.T @ x.T, (W, X), 0, (0,)),
        (lambda W, x: jnp.einsum("bi,ijk->bjk", x, W), (jnp.ones((3, 5, 2)), X), 1, (1, 2)),
        (lambda W, x: jnp.einsum("gij,gbi->gbj", W, x), (jnp.ones((2, 3, 5)), jnp.ones((2, 4, 3))), 1, (2,)),
        (lambda W, x: ops.linear(x, W), (W.T, X), 1, (1,)),
        (
            lambda W, x: jax.lax.conv(x, W, (1, 1), "SAME"),
            (jnp.ones((5, 3, 1, 1)), jnp.ones((4, 3, 2, 2))),
            1,
            (1,),
        ),
    ],
    ids=["right", "left", "several axes", "batched", "linear", "convolution"],
)
def test_weights_are_the_operand_that_depends_on_parameters_alone(f, args, weight, units):
    (layer,) = layers(f, *args)
    assert (layer.weight, layer.state, layer.sure) == (weight, 1 - weight, True)
    assert fan_out(layer) == units


def test_products_of_data_are_no_layers():
    def attend(W, x):
        y = x @ W
        return y @ y.T

    assert [layer.node.name for layer in layers(attend, W, X)] == ["dot_general"]


def test_of_two_parameters_the_weights_are_the_one_that_was_only_moved():
    (first, second) = layers(
        lambda p: jnp.tanh(p["x"] @ p["W"]) @ p["V"].T, {"x": X, "W": W, "V": W}, parameters=7
    )
    assert not first.sure
    assert (second.weight, second.sure) == (1, True)


def test_weights_that_are_known_elsewhere_are_known_everywhere():
    def twice(W, x, h):
        return x @ W @ W.T + W @ h

    found = layers(twice, jnp.ones((3, 3)), jnp.ones((3, 3)), jnp.ones((3, 3)))
    assert [layer.weight for layer in found] == [1, 1, 0]
    # Of W @ W neither operand is known; beside x @ W both are W.
    (unknown,) = layers(lambda W: W @ W, jnp.ones((3, 3)))
    assert not unknown.sure


def test_a_function_that_is_only_called_linear_is_no_layer():
    @jax.custom_vjp
    def linear(W, x):
        return W * x

    linear.defvjp(lambda W, x: (W * x, (W, x)), lambda kept, dy: (kept[1] * dy, kept[0] * dy))
    assert layers(linear, X, X) == []

"""Activations are found in whatever way they are written, and only where they stand by themselves."""

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop import ops
from jaxbackprop.doctor._activations import activations_of
from jaxbackprop.doctor._dependence import dependencies
from jaxbackprop.doctor._layers import layers_of
from jaxbackprop.graph import trace

W, X = jnp.ones((3, 5)), jnp.ones((4, 3))


def found(f):
    """The activations behind a layer: (kind, bound, gate) of each, and the graph."""
    graph = trace(lambda W, x: f(x @ W), W, X)
    return list(activations_of(graph, layers_of(graph, dependencies(graph), 0b01)).values()), graph


@pytest.mark.parametrize(
    ("f", "kind", "bound"),
    [
        (jnp.tanh, "tanh", 1.0),
        (ops.tanh, "tanh", 1.0),
        (jax.nn.sigmoid, "sigmoid", 1.0),
        (ops.sigmoid, "sigmoid", 1.0),
        (lambda x: 1 / (1 + jnp.exp(-x)), "sigmoid", 1.0),
        (jax.nn.relu, "relu", 1.0),
        (jax.nn.relu6, "relu", 1.0),
        (ops.relu, "relu", 1.0),
        (lambda x: jnp.maximum(x, 0), "relu", 1.0),
        (lambda x: jnp.where(x > 0, x, jnp.zeros_like(x)), "relu", 1.0),
        (lambda x: jnp.where(x <= 0, jnp.zeros_like(x), x), "relu", 1.0),
        (ops.hardtanh, "hardtanh", 1.0),
        (jax.nn.hard_tanh, "hardtanh", 1.0),
        (lambda x: jnp.clip(x, -2, 2), "hardtanh", 2.0),
        (lambda x: jax.lax.clamp(-3.0, x, 3.0), "hardtanh", 3.0),
    ],
)
def test_every_spelling_is_found_with_its_argument_and_units(f, kind, bound):
    (activation,), graph = found(f)
    assert (activation.kind, activation.bound, activation.gate) == (kind, bound, False)
    assert activation.units == (1,)
    assert activation.sure
    assert graph.nodes[activation.operand.node].name == "dot_general"


@pytest.mark.parametrize(
    "f",
    [
        jax.nn.gelu,
        jax.nn.silu,
        jax.nn.softplus,
        lambda x: jnp.clip(x, -1, 2),
        lambda x: jnp.where(x > 0, x, jnp.ones_like(x)),
        lambda x: jnp.maximum(x, 1),
    ],
)
def test_parts_of_others_and_lookalikes_are_none(f):
    assert found(f)[0] == []


@pytest.mark.parametrize(
    ("f", "gate"),
    [
        (lambda y: jax.nn.sigmoid(y) * (y + 1), True),
        (lambda y: (1 - jax.nn.sigmoid(y)) * y, True),
        (lambda y: jax.nn.sigmoid(y)[:2] * y[:2], True),
        (lambda y: jnp.sum(jax.nn.sigmoid(y) * 2), False),
        (lambda y: jnp.exp(jax.nn.sigmoid(y)) * y, False),
    ],
)
def test_a_gate_multiplies_something_computed(f, gate):
    assert [activation.gate for activation in found(f)[0]] == [gate]


def test_units_are_followed_through_transposes():
    (activation,), _ = found(lambda y: jnp.tanh(y.T))
    assert activation.units == (0,)

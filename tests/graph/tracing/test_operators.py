"""This package's own operators in a graph."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import ops
from jaxbackprop.graph import trace
from jaxbackprop.ops.catalogue import CATALOGUE
from tests.graph.compare import X


def names(graph):
    return [node.name for node in graph.nodes]


def test_an_operator_is_one_node_with_its_own_rule_named():
    def loss(x):
        logits = ops.relu(x)
        return jnp.sum(ops.softmax_cross_entropy(logits, jnp.array([0, 2])))

    graph = trace(loss, jnp.ones((2, 3)))
    assert "relu" in names(graph)
    assert "softmax_cross_entropy" in names(graph)
    assert graph.node("relu").formula == "dx = dy where x > 0, else 0"
    assert graph.node("softmax_cross_entropy").primitive == "custom_vjp_call"


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_every_operator_is_named_and_has_a_formula(row):
    arguments = row.cases[0].draw(np.random.default_rng(0))
    leaves, structure = jax.tree.flatten(arguments)
    arrays = [leaf for leaf in leaves if isinstance(leaf, np.ndarray)]
    floats = [jnp.asarray(a, jnp.float32) if a.dtype == np.float64 else jnp.asarray(a) for a in arrays]

    def f(*arrays):
        given = iter(arrays)
        full = [next(given) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
        return row.op(*jax.tree.unflatten(structure, full), **row.cases[0].keywords)

    graph = trace(f, *floats)
    assert graph.error is None
    (node,) = [n for n in graph.nodes if n.primitive == "custom_vjp_call" and any(n.active)]
    assert node.label == node.operator == row.name
    assert node.formula == row.formula
    assert all(n.operator is None for n in graph.nodes if n is not node)


def test_a_rule_of_the_users_own_is_no_operators_even_by_name():
    @jax.custom_vjp
    def relu(x):
        return jnp.maximum(x, 0.0)

    def relu_backward(x, dy):
        return (jnp.where(x > 0, dy, 0.0),)

    relu.defvjp(lambda x: (relu(x), x), relu_backward)
    node = trace(lambda x: jnp.sum(relu(x)), X).node("relu")
    assert node.operator is None
    assert node.formula == "its own rule, relu_backward"

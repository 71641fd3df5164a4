"""Forward in topological order, backward in the reverse, over the structure alone."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.graph import trace
from jaxbackprop.graph.passes import pull_back, results_of, walk


@pytest.fixture
def graph():
    return trace(lambda x: jnp.sin(x) * x, 0.5)


def test_results_that_are_known_are_not_computed(graph):
    values, _ = walk(graph, [jnp.float32(0.5)], known={graph.node("sin").index: (jnp.float32(10.0),)})
    assert values[graph.node("mul").index] == (5,)


class Doubled:
    """Gives twice what an operation gives, and takes back twice."""

    def __init__(self, operation):
        self.inner = operation

    def forward(self, operands):
        results, kept = self.inner.forward(operands)
        return [2 * y for y in results], kept

    def backward(self, operands, results, kept, dys):
        return [2 * d for d in self.inner.backward(operands, results, kept, dys)]


def test_an_operation_can_stand_in_for_a_nodes_own(graph):
    sin = graph.node("sin")
    instead = {sin.index: Doubled(sin.operation)}
    values, kept = walk(graph, [jnp.float32(0.5)], instead=instead)
    found = pull_back(graph, values, kept, [jnp.float32(1.0)], instead=instead)
    assert values[-1][0] == pytest.approx(2 * np.sin(0.5) * 0.5)
    assert found[0] == pytest.approx(2 * np.cos(0.5) * 0.5 + 2 * np.sin(0.5))


def test_the_record_has_the_gradient_of_every_edge(graph):
    values, kept = walk(graph, [jnp.float32(0.5)])
    record = {}
    assert pull_back(graph, values, kept, [None], record) == {}
    assert record == {}
    pull_back(graph, values, kept, [jnp.float32(1.0)], record)
    flowing = [(edge.source, edge.output) for edge in graph.edges if edge.active]
    assert {(port.node, port.output) for port in record} == {*flowing, (graph.node("mul").index, 0)}


def test_results_alone(graph):
    assert results_of(graph, [jnp.float32(0.5)]) == [pytest.approx(np.sin(0.5) * 0.5)]

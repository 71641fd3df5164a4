"""The structure: nodes in order, edges that carry one value, names to find them by."""

import dataclasses

import jax.numpy as jnp
import pytest

from jaxbackprop.graph import trace
from tests.graph.compare import X


def gates(x, y, z):
    return (x + y) * jnp.maximum(y, z)


def test_nodes_stand_after_what_they_depend_on():
    graph = trace(lambda x: jnp.sum(jnp.sin(x) * jnp.cos(x) + x), X)
    for place, node in enumerate(graph.topological_order()):
        assert node.index == place
        assert all(port.node < place for port in node.inputs)


def test_an_edge_joins_each_operand_to_what_made_it():
    graph = trace(gates, 1.0, 2.0, 0.0)
    assert [(graph.nodes[e.source].name, graph.nodes[e.target].name, e.position) for e in graph.edges] == [
        ("y", "copy", 0),
        ("x", "add", 0),
        ("copy", "add", 1),
        ("copy", "max", 0),
        ("z", "max", 1),
        ("add", "mul", 0),
        ("max", "mul", 1),
    ]
    assert all(edge.shape == () and edge.dtype == jnp.float32 and edge.active for edge in graph.edges)


def test_nodes_edges_and_graphs_are_frozen():
    graph = trace(gates, 1.0, 2.0, 0.0)
    for thing, field in ((graph, "nodes"), (graph.nodes[0], "name"), (graph.edges[0], "source")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, field, None)


def test_a_node_is_found_by_name_index_or_itself():
    graph = trace(gates, 1.0, 2.0, 0.0)
    assert graph.node("mul") is graph.node(-1) is graph.node(graph.nodes[-1])
    for wrong in ("nothing", 99, trace(gates, 1.0, 2.0, 0.0).nodes[0]):
        with pytest.raises(KeyError):
            graph.node(wrong)

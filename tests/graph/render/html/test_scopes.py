"""The tree of named scopes."""

import jax.numpy as jnp

from jaxbackprop.graph import trace
from jaxbackprop.graph.render.html._scopes import Scope, scopes
from tests.graph.render.html.pages import layered, long


def test_scopes_nest():
    def names(scope):
        return [(item.name, names(item)) for item in scope.items if isinstance(item, Scope)]

    inner = [("layer 0", []), ("layer 1", [])]
    assert names(scopes(trace(layered, jnp.ones(4)))) == [("block 0", inner), ("block 1", inner)]


def test_a_level_with_too_many_boxes_is_cut_into_parts_of_equal_length():
    graph = trace(lambda x: long(x, 100), jnp.ones(2))
    tree = scopes(graph)
    assert list(tree.nodes()) == list(range(len(graph.nodes)))
    assert len(tree.items) <= 80
    names = [item.name for item in tree.items if isinstance(item, Scope)]
    assert names[0] == f"part 1 of {len(tree.items)}"


def test_the_leaves_of_an_argument_become_one_box():
    graph = trace(jnp.concatenate, [jnp.ones(1)] * 100)
    first, *_ = scopes(graph).items
    assert first.name == "arrays"
    assert len(list(first.nodes())) == 100

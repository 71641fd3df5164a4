"""Large graphs made small: every node in one group, the groups in a topological order."""

import jax
import jax.numpy as jnp
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.graph import Node, Port, trace
from jaxbackprop.graph.render._folding import fold

SPEC = jax.ShapeDtypeStruct((), jnp.float32)


@st.composite
def programs(draw):
    """Nodes in topological order, in scopes that take turns."""
    nodes = []
    for index in range(draw(st.integers(1, 30))):
        kind = (
            draw(st.sampled_from(["input", "constant", "operation", "operation", "copy"]))
            if index
            else "input"
        )
        sources = st.lists(st.integers(0, index - 1), min_size=1, max_size=1 if kind == "copy" else 3)
        inputs = () if kind in ("input", "constant") else tuple(Port(s, 0) for s in draw(sources))
        scope = draw(st.lists(st.sampled_from("ab"), max_size=2)) if kind in ("operation", "copy") else []
        name = draw(st.sampled_from(["p.a", "p[0]", "x"])) + str(index) if kind == "input" else f"n{index}"
        nodes.append(Node(index, name, kind, name, None, inputs, (SPEC,), scope=tuple(scope)))
    return nodes


@given(programs(), st.integers(3, 12))
def test_groups_hold_every_node_once_in_a_topological_order(nodes, limit):
    groups = fold(nodes, limit)
    assert sorted(index for group in groups for index in group.nodes) == list(range(len(nodes)))
    assert len(groups) <= limit
    place = {index: g for g, group in enumerate(groups) for index in group.nodes}
    for node in nodes:
        assert all(place[port.node] <= place[node.index] for port in node.inputs)


@given(programs(), st.integers(3, 12))
def test_a_groups_name_is_what_its_nodes_share(nodes, limit):
    for group in fold(nodes, limit):
        inside = [nodes[index] for index in group.nodes]
        if len(inside) == 1:
            continue
        scopes = {"/".join(n.scope) for n in inside if n.kind == "operation"}
        if group.name is not None and scopes:
            assert all(f"{scope}/".startswith(f"{group.name}/") for scope in scopes)
        elif group.name is not None:
            assert all(n.name.startswith(group.name) for n in inside if n.kind == "input")


def network(x, params):
    for i, (a, b) in enumerate(params):
        with jax.named_scope(f"layer_{i}"):
            with jax.named_scope("first"):
                x = jnp.tanh(x * a)
            with jax.named_scope("second"):
                x = jnp.exp(x * b * 2.0)
    return x


def named(groups):
    return [group.name for group in groups if group.name is not None]


def test_scopes_fold_no_further_than_they_must():
    graph = trace(network, 1.0, [(2.0, 3.0)] * 3)
    assert len(fold(graph.nodes, len(graph.nodes))) == len(graph.nodes)
    inner = [f"layer_{i}/{part}" for i in range(3) for part in ("first", "second")]
    assert named(fold(graph.nodes, len(graph.nodes) - 1)) == inner
    # Six inner scopes and seven inputs.
    assert named(fold(graph.nodes, 13)) == inner
    assert named(fold(graph.nodes, 12)) == ["layer_0", "layer_1", "layer_2"]
    # Three layers and seven inputs do not fit either: the arguments fold, x and params.
    assert named(fold(graph.nodes, 9)) == ["params", "layer_0", "layer_1", "layer_2"]
    groups = fold(graph.nodes, 4)
    assert [len(group.nodes) > 1 and group.name is None for group in groups] == [False, False, True, False]


def test_constants_go_where_they_are_used():
    graph = trace(network, 1.0, [(2.0, 3.0)])
    (second,) = (group for group in fold(graph.nodes, 5) if group.name == "layer_0/second")
    assert "constant" in {graph.nodes[index].kind for index in second.nodes}


def test_a_scope_that_is_left_and_entered_again_is_two_groups():
    def f(x):
        with jax.named_scope("a"):
            x = jnp.sin(jnp.cos(x))
        with jax.named_scope("b"):
            x = jnp.sin(jnp.cos(x))
        with jax.named_scope("a"):
            x = jnp.sin(jnp.cos(x))
        return x

    assert named(fold(trace(f, 1.0).nodes, 4)) == ["a", "b", "a"]

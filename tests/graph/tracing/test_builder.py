"""Equations into nodes: in order, without what no result needs, with a copy wherever a gradient adds up."""

import jax
import jax.numpy as jnp
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.graph import Port, trace
from tests.graph.compare import X


def gates(x, y, z):
    return (x + y) * jnp.maximum(y, z)


def names(graph):
    return [node.name for node in graph.nodes]


def test_a_value_that_is_used_twice_goes_through_a_copy_and_every_other_edge_is_single():
    graph = trace(gates, 1.0, 2.0, 0.0)
    copy = graph.node("copy")
    assert (copy.kind, copy.gate, len(copy.outputs)) == ("copy", "adder", 2)
    sources = [Port(e.source, e.output) for e in graph.edges if e.active] + list(graph.outputs)
    assert len(sources) == len(set(sources))


def test_a_result_that_is_also_used_goes_through_a_copy():
    def f(x):
        y = jnp.sin(x)
        return y, y * 2.0

    graph = trace(f, 0.5)
    assert names(graph) == ["x", "sin", "copy", "constant", "mul"]


def test_what_carries_no_gradient_needs_no_copy():
    graph = trace(lambda x, i: x[i] + x[i + 1], X, 0)
    assert all(node.dtype == jnp.float32 for node in graph.nodes if node.kind == "copy")


def test_names_occur_once():
    graph = trace(lambda x: jnp.sin(jnp.sin(jnp.sin(x))), 1.0)
    assert names(graph) == ["x", "sin", "sin_2", "sin_3"]


def test_what_no_result_needs_is_left_out_but_arguments_stay():
    graph = trace(lambda x, unused: (jnp.cos(x), jnp.sin(x))[1], 1.0, 2.0)
    assert names(graph) == ["x", "unused", "sin"]


def calls_loops_and_branches(x):
    def step(carry, a):
        h, count = carry
        return (jnp.tanh(h * a), count + 1), h

    (h, _), along = jax.lax.scan(step, (x, 0), jnp.arange(3.0))
    h = jax.lax.cond(x[0] > 0, lambda h: jnp.sin(h), lambda h: h * 2.0, h)
    h = jax.checkpoint(jnp.cos)(h)
    h = jax.lax.fori_loop(0, 2, lambda i, h: h * 0.5, h)
    return jnp.sum(jax.nn.relu(h)) + jnp.sum(along)


def test_how_jax_writes_calls_loops_and_branches_is_understood():
    graph = trace(calls_loops_and_branches, X)
    assert graph.error is None
    kinds = {node.primitive for node in graph.nodes}
    assert {"scan", "cond", "custom_jvp_call"} <= kinds
    assert any(node.label == "checkpoint" for node in graph.nodes)
    scan = graph.node("scan")
    (body,) = scan.bodies
    # What is carried: h and the count; what comes in: a.
    assert [node.active[0] for node in body.inputs] == [True, False, False]
    assert len(graph.node("cond").bodies) == 2
    assert not any(graph.node("cond").bodies[0] is body for body in graph.node("scan").bodies)


@given(st.lists(st.sampled_from(["sin", "mul", "add", "max", "exp"]), min_size=1, max_size=12), st.data())
def test_any_program_is_in_topological_order_with_single_edges(steps, data):
    def f(x, y):
        made = [x, y]
        for step in steps:
            a = made[data.draw(st.integers(0, len(made) - 1))]
            b = made[data.draw(st.integers(0, len(made) - 1))]
            made.append(
                {
                    "sin": lambda a, b: jnp.sin(a),
                    "exp": lambda a, b: jnp.exp(-a * a),
                    "mul": jnp.multiply,
                    "add": jnp.add,
                    "max": jnp.maximum,
                }[step](a, b)
            )
        return made[-1]

    graph = trace(f, 0.3, 0.7)
    assert all(port.node < node.index for node in graph.nodes for port in node.inputs)
    taken = [Port(e.source, e.output) for e in graph.edges if e.active] + list(graph.outputs)
    assert len(taken) == len(set(taken))

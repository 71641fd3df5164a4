"""The graph of a function: its nodes, their order, their names, and where they come from."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop import ops
from jaxbackprop.graph import Port, grad, trace
from jaxbackprop.ops.catalogue import CATALOGUE

X = jnp.array([0.5, -1.0, 2.0])


def gates(x, y, z):
    return (x + y) * jnp.maximum(y, z)


def names(graph):
    return [node.name for node in graph.nodes]


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


def test_the_gates_have_the_lectures_names():
    graph = trace(gates, 1.0, 2.0, 0.0)
    assert {node.name: node.gate for node in graph.nodes if node.gate} == {
        "add": "distributor",
        "mul": "swap multiplier",
        "copy": "adder",
        "max": "router",
    }


def test_arguments_are_named_by_their_paths():
    def loss(params, *batch):
        return jnp.sum(params["W"] @ batch[0] + params["b"][0]) + batch[1]

    graph = trace(loss, {"W": jnp.ones((2, 3)), "b": [jnp.ones(2)]}, X, 1.0)
    assert [node.name for node in graph.inputs] == ["params['W']", "params['b'][0]", "batch[0]", "batch[1]"]


def test_a_models_parameters_are_named_by_their_attributes():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    graph = trace(lambda model, x: jnp.sum(model(x)), model, X)
    assert [node.name for node in graph.inputs] == ["model.bias", "model.kernel", "x"]


def test_names_occur_once():
    graph = trace(lambda x: jnp.sin(jnp.sin(jnp.sin(x))), 1.0)
    assert names(graph) == ["x", "sin", "sin_2", "sin_3"]


def test_a_node_knows_its_line():
    def f(x):
        y = jnp.tanh(x)
        return jnp.sum(y)

    lines, first = inspect.getsourcelines(f)
    source = trace(f, X).node("tanh").source
    assert source.file == __file__
    assert source.line == first + 1
    assert source.function.endswith("f")
    assert "tanh" in lines[source.line - first]


def test_a_librarys_node_has_the_line_that_called_the_library():
    def f(x):
        return jnp.sum(nnx.gelu(x))

    sources = {node.source.file for node in trace(f, X).nodes if node.source}
    assert sources == {__file__}


def test_scopes_and_jitted_functions_are_kept():
    @jax.jit
    def inner(x):
        with jax.named_scope("deep"):
            return jnp.sin(x)

    def f(x):
        with jax.named_scope("outer"):
            return inner(x) * 2.0

    graph = trace(f, 1.0)
    assert graph.node("sin").scope == ("outer", "inner", "deep")
    assert graph.node("mul").scope == ("outer",)


def test_nodes_edges_and_graphs_are_frozen():
    graph = trace(gates, 1.0, 2.0, 0.0)
    for thing, field in ((graph, "nodes"), (graph.nodes[0], "name"), (graph.edges[0], "source")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, field, None)


def test_what_no_result_needs_is_left_out_but_arguments_stay():
    graph = trace(lambda x, unused: (jnp.cos(x), jnp.sin(x))[1], 1.0, 2.0)
    assert names(graph) == ["x", "unused", "sin"]


def test_a_function_that_fails_gives_what_it_did_until_then():
    def f(x):
        y = jnp.sin(x)
        return jnp.dot(y * 2.0, jnp.ones(7))

    graph = trace(f, X)
    assert isinstance(graph.error, TypeError)
    assert names(graph)[:4] == ["x", "sin", "constant", "mul"]
    np.testing.assert_allclose(graph.forward()["mul"], 2 * np.sin(X), rtol=1e-6)
    with pytest.raises(ValueError, match="failed while it was traced"):
        graph.forward().backward()
    with pytest.raises(TypeError, match="dot_general"):
        grad(f)(X)


def test_shapes_are_enough_to_trace_but_not_to_run():
    graph = trace(lambda x: jnp.sum(x * x), jax.ShapeDtypeStruct((3,), jnp.float32))
    with pytest.raises(TypeError, match="x is a shape"):
        graph.forward()
    assert graph.forward(X).value == pytest.approx(5.25)


def test_other_leaves_are_handed_on_as_they_are():
    def f(x, how, power):
        assert how == "square"
        return jnp.sum(x**2) * power

    graph = trace(f, X, "square", 3.0)
    assert [node.name for node in graph.inputs] == ["x", "power"]
    assert graph.forward().backward().grads[1] is None


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="f must be a function, got int"):
        trace(3, X)


def test_a_node_is_found_by_name_index_or_itself():
    graph = trace(gates, 1.0, 2.0, 0.0)
    assert graph.node("mul") is graph.node(-1) is graph.node(graph.nodes[-1])
    for wrong in ("nothing", 99, trace(gates, 1.0, 2.0, 0.0).nodes[0]):
        with pytest.raises(KeyError):
            graph.node(wrong)


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
    assert node.label == row.name
    assert node.formula
    assert "its own rule" not in node.formula


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


def test_a_compiled_library_function_has_the_line_of_this_call_not_of_its_first():
    def first(x):
        return jnp.linalg.norm(jnp.where(x > 0, x, 0.5))

    def second(x):
        return jnp.linalg.norm(jnp.where(x > 0, x, 0.5))

    for f in (first, second):
        functions = {node.source.function.rpartition(".")[2] for node in trace(f, X).nodes if node.source}
        assert functions == {f.__name__}

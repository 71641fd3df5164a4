"""The graph as JSON: strict, with every number, as its documentation says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.graph import Graph, Node, Port, trace


def slide(x, y, z):
    """The lecture's example."""
    return (x + y) * jnp.maximum(y, z)


def read(text):
    """Strict JSON: no NaN or Infinity outside of a text."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_structure():
    graph = trace(slide, 1.0, 2.0, 0.0)
    found = read(graph.to_json())
    assert list(found) == ["name", "nodes", "edges", "outputs", "error"]
    assert found["name"] == "slide"
    assert found["error"] is None
    assert [node["index"] for node in found["nodes"]] == list(range(7))
    mul = graph.node("mul")
    assert found["nodes"][-1] == {
        "index": 6,
        "name": "mul",
        "kind": "operation",
        "label": "mul",
        "primitive": "mul",
        "inputs": [[4, 0], [5, 0]],
        "outputs": [{"shape": [], "dtype": "float32"}],
        "active": [True],
        "gate": "swap multiplier",
        "formula": mul.formula,
        "source": {"file": mul.source.file, "line": mul.source.line, "function": "slide"},
        "scope": [],
        "bodies": [],
    }
    assert found["edges"][-1] == {
        "source": 5,
        "output": 0,
        "target": 6,
        "position": 1,
        "shape": [],
        "dtype": "float32",
        "active": True,
    }
    assert found["outputs"] == [{"name": "output", "node": 6, "output": 0, "shape": [], "dtype": "float32"}]


def test_values_and_gradients_are_the_runs():
    x = jnp.array([[1.5, -2.0], [0.1, 4.0]])
    graph = trace(lambda x: jnp.sum(jnp.sin(x) * x), x)
    run = graph.forward()
    back = run.backward()
    forward, both = read(graph.to_json(run)), read(graph.to_json(back))
    assert len(both["edges"]) == len(graph.edges) > 4
    for edge, ahead, entry in zip(graph.edges, forward["edges"], both["edges"], strict=True):
        assert "gradient" not in ahead
        np.testing.assert_array_equal(np.float32(entry["value"]), run.edge(edge))
        np.testing.assert_array_equal(np.float32(entry["gradient"]), back.edge(edge))
        assert ahead["value"] == entry["value"]
    (output,) = both["outputs"]
    assert output["value"] == float(run.value)
    assert output["gradient"] == 1.0


def test_where_no_gradient_flows_it_is_null():
    graph = trace(lambda x, i: x[i], jnp.arange(3.0), 1)
    for entry in read(graph.to_json(graph.forward().backward()))["edges"]:
        assert (entry["gradient"] is None) == (not entry["active"])


def value_through(x):
    """What the JSON of a graph says of a value that goes along an edge."""
    graph = trace(lambda x: (x,), x)
    (output,) = read(graph.to_json(graph.forward()))["outputs"]
    return output["value"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (jnp.array([jnp.nan, jnp.inf, -jnp.inf, 2.0]), ["nan", "inf", "-inf", 2.0]),
        (jnp.array(jnp.nan), "nan"),
        (jnp.array([True, False]), [True, False]),
        (jnp.array([[1], [2]]), [[1], [2]]),
        (jnp.zeros((2, 0)), [[], []]),
        (jnp.array([1 + 2j, complex(0, jnp.nan)]), ["1+2j", "nanj"]),
        (jnp.array([0.5, 2.0], jnp.bfloat16), [0.5, 2.0]),
    ],
)
def test_values(value, said):
    assert value_through(value) == said


def test_a_key_has_no_numbers():
    assert value_through(jax.random.key(3)) is None


def test_up_to_a_thousand_entries_are_written_out():
    assert value_through(jnp.arange(1000.0).reshape(10, 100))[9][99] == 999.0
    assert value_through(jnp.arange(1001.0)) == {
        "shape": [1001],
        "dtype": "float32",
        "min": 0.0,
        "max": 1000.0,
        "mean": 500.0,
    }


def test_summaries_are_strict_too():
    bad = value_through(jnp.arange(2000.0).at[3].set(jnp.nan))
    assert (bad["min"], bad["max"], bad["mean"]) == ("nan", "nan", "nan")
    # An infinity of each sign: the mean is not a number, and no warning comes of it.
    ends = value_through(jnp.zeros(2000).at[0].set(jnp.inf).at[1].set(-jnp.inf))
    assert (ends["min"], ends["max"], ends["mean"]) == ("-inf", "inf", "nan")
    assert value_through(jnp.ones(2000, jnp.bfloat16))["dtype"] == "bfloat16"
    assert value_through(jnp.arange(2000) % 2 == 0)["mean"] == 0.5
    assert value_through(jnp.full(2000, 1 + 1j)) == {
        "shape": [2000],
        "dtype": "complex64",
        "min": None,
        "max": None,
        "mean": "1+1j",
    }


def test_bodies_are_graphs_without_numbers():
    def loop(x):
        return jax.lax.scan(lambda h, x: (jnp.sin(h) * x, h), 1.0, x)[0]

    graph = trace(loop, jnp.ones(3))
    (scan,) = (node for node in read(graph.to_json(graph.forward().backward()))["nodes"] if node["bodies"])
    (body,) = scan["bodies"]
    assert "sin" in [node["name"] for node in body["nodes"]]
    assert body["edges"]
    assert not any("value" in edge or "gradient" in edge for edge in body["edges"])
    assert len(body["outputs"]) == 2


def test_constants_have_their_value():
    nodes = read(trace(lambda x: x * 2.5, 1.0).to_json())["nodes"]
    assert [node["value"] for node in nodes if node["kind"] == "constant"] == [2.5]
    assert not any("value" in node for node in nodes if node["kind"] != "constant")


def test_results_have_their_paths():
    found = read(trace(lambda x: {"loss": x * x, "parts": (x, x + 1.0)}, 2.0).to_json())
    assert [o["name"] for o in found["outputs"]] == [
        "output['loss']",
        "output['parts'][0]",
        "output['parts'][1]",
    ]


def test_the_error_of_a_partial_graph():
    def broken(x):
        jnp.sin(x)
        raise ValueError("no\n  more")

    found = read(trace(broken, 1.0).to_json())
    assert found["error"] == "ValueError: no more"
    assert found["outputs"] == []
    assert [node["label"] for node in found["nodes"]] == ["x", "sin"]


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_any_name_survives(text):
    node = Node(0, text, "input", text, None, (), (jax.ShapeDtypeStruct((), jnp.float32),), active=(True,))
    graph = Graph(text, (node,), (Port(0, 0),))
    written = graph.to_json()
    written.encode("utf-8")
    found = read(written)
    assert found["name"] == text
    assert found["nodes"][0]["name"] == text


def test_runs_of_other_graphs_are_refused():
    with pytest.raises(ValueError, match="run is of another graph"):
        trace(slide, 1.0, 2.0, 0.0).to_json(trace(jnp.sin, 1.0).forward())

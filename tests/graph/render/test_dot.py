"""Graphviz's language: well-formed whatever the names hold, with the picture's labels."""

import re
import shutil
import subprocess

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop.graph import Graph, Node, Port, Source, trace

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
QUOTED = r'"(?:[^"\\]|\\.)*"'
ATTRIBUTES = rf"\[\w+=(?:{QUOTED}|[\w.]+)(?:, \w+=(?:{QUOTED}|[\w.]+))*\]"


def slide(x, y, z):
    return (x + y) * jnp.maximum(y, z)


def rnn(W, x):
    return jnp.sum(jax.lax.scan(lambda h, x: (jnp.tanh(W @ h + x),) * 2, jnp.zeros(3), x)[1])


def statements(dot):
    """The nodes' and the lines' attributes, after a look at the grammar: one statement a line."""
    first, *body, last, end = dot.split("\n")
    assert re.fullmatch(rf"digraph {QUOTED} {{", first)
    assert last == "}"
    assert end == ""
    nodes, lines = {}, []
    for statement in body:
        found = re.fullmatch(rf"  (\d+|graph|node|edge)(?: -> (\d+))? ({ATTRIBUTES});", statement)
        assert found, statement
        attributes = dict(re.findall(rf"(\w+)=({QUOTED}|[\w.]+)", found[3]))
        if found[2]:
            assert int(found[1]) in nodes
            assert int(found[2]) in nodes
            lines.append((int(found[1]), int(found[2]), attributes))
        elif found[1].isdigit():
            nodes[int(found[1])] = attributes
    return nodes, lines


def test_the_slides_graph():
    graph = trace(slide, 1.0, 2.0, 0.0)
    nodes, lines = statements(graph.to_dot(graph.forward().backward()))
    labels = [node.get("label", node.get("xlabel")) for node in nodes.values()]
    assert labels == [
        '"x"',
        '"y"',
        '"copy\\nadder"',
        '"z"',
        '"+\\ndistributor"',
        '"max\\nrouter"',
        '"×\\nswap\\nmultiplier"',
        '"output"',
    ]
    numbers = {
        (labels[a].split("\\n")[0].strip('"'), labels[b].split("\\n")[0].strip('"')): line["label"]
        for a, b, line in lines
    }
    assert numbers == {
        ("x", "+"): '"1\\n← 2"',
        ("y", "copy"): '"2\\n← 5"',
        ("copy", "+"): '"2\\n← 2"',
        ("copy", "max"): '"2\\n← 3"',
        ("z", "max"): '"0\\n← 0"',
        ("+", "×"): '"3\\n← 2"',
        ("max", "×"): '"2\\n← 3"',
        ("×", "output"): '"6\\n← 1"',
    }


def test_programs_inside_have_two_borders_and_passive_lines_are_dashed():
    nodes, lines = statements(trace(rnn, jnp.eye(3), jnp.ones((4, 3))).to_dot())
    (loop,) = (i for i, node in nodes.items() if node.get("label") == '"scan × 4"')
    assert nodes[loop]["peripheries"] == "2"
    assert sum(node.get("peripheries") == "2" for node in nodes.values()) == 1
    dashed = {line.get("style") for a, b, line in lines if "constant" in line["tooltip"]}
    assert dashed == {"dashed"}
    assert any(line.get("label") == '"f32[4,3]"' and "style" not in line for _, _, line in lines)


def test_many_nodes_are_folded():
    def long(x):
        for _ in range(400):
            x = jnp.sin(x)
        return x

    nodes, _ = statements(trace(long, 0.5).to_dot())
    assert len(nodes) == 301  # and the output
    assert any(node.get("label", "").startswith('"…\\n102 nodes') for node in nodes.values())


def odd_graph(text):
    spec = jax.ShapeDtypeStruct((2,), jnp.float32)
    source = Source(text, 3, text)
    one = Node(0, text, "input", text, None, (), (spec,), active=(True,))
    two = Node(1, text, "operation", text, text, (Port(0, 0),), (spec,), (True,), (True,), text, text, source)
    return Graph(text, (one, two), (Port(1, 0),), error=ValueError(text))


@given(ANY_TEXT)
def test_any_text_is_well_formed(text):
    dot = odd_graph(text).to_dot()
    nodes, lines = statements(dot)
    assert len(nodes) == 3
    assert len(lines) == 2
    dot.encode("utf-8")


def test_what_graphviz_would_read_as_something_else_is_escaped():
    nodes, _ = statements(odd_graph('a\\N"&lt;\n').to_dot())
    assert nodes[0]["label"] == r'"a\\N\"&amp;lt;"'


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@settings(max_examples=10)
@given(ANY_TEXT)
def test_graphviz_reads_it(text):
    drawn = subprocess.run(
        ["dot", "-Tplain"], input=odd_graph(text).to_dot().encode(), capture_output=True, timeout=60
    )
    assert drawn.returncode == 0
    assert not drawn.stderr
    assert drawn.stdout.count(b"\nnode ") == 3


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_whole_graphs():
    graph = trace(rnn, jnp.eye(3), jnp.ones((4, 3)))
    for run in (None, graph.forward(), graph.forward().backward()):
        drawn = subprocess.run(
            ["dot", "-Tsvg"], input=graph.to_dot(run).encode(), capture_output=True, timeout=60
        )
        assert drawn.returncode == 0
        assert not drawn.stderr
        assert "scan × 4".encode() in drawn.stdout or b"scan &#215; 4" in drawn.stdout

"""What users hold of a graph."""

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop.graph import Graph, trace
from tests.graph.compare import X


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="f must be a function, got int"):
        trace(3, X)


def test_the_graphs_inside_nodes_are_drawn_too():
    graph = trace(lambda x: jax.lax.scan(lambda h, a: (jnp.sin(h * a), None), jnp.ones(()), x)[0], X)
    (body,) = graph.node("scan").bodies
    assert type(graph) is type(body) is Graph
    assert "sin" in body.to_dot()
    assert graph.forward().inside("scan", 0).graph is body
    assert graph.cost().forward == 3 * body.cost().forward


def test_every_picture_shows_the_numbers_of_a_run():
    graph = trace(lambda x: jnp.sin(x) * 2.0, 0.25)
    back = graph.forward().backward()
    for draw in (graph.to_svg, graph.to_dot, graph.to_json):
        assert "0.247" not in draw()
        assert "0.247" in draw(back)


def test_a_notebook_shows_the_picture_where_it_shows_no_page():
    graph = trace(lambda x: jnp.sin(x), 0.25)
    assert graph._repr_svg_() == graph.to_svg()
    assert "<iframe" in graph._repr_html_()


def test_a_graph_says_what_it_is():
    assert repr(trace(jnp.sin, 0.25)) == "Graph(sin: 2 nodes, 1 edges)"

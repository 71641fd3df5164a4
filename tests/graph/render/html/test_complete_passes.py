"""The passes that a page runs itself, and what it says where one cannot be run."""

import jax
import jax.numpy as jnp

from jaxbackprop.graph import trace
from tests.graph.render.html.pages import Read, slide


def test_shapes_alone_have_no_numbers():
    text = trace(slide, *[jax.ShapeDtypeStruct((3,), jnp.float32)] * 3).to_html()
    data = Read(text).data
    assert data["values"] == []
    assert [backward for backward, _ in data["steps"]] == [0] * 7
    assert "shapes alone" in text


def test_a_result_that_is_no_number_starts_with_ones():
    text = trace(lambda x: (x * 2.0, jnp.sin(x)), jnp.ones(2)).to_html()
    assert "begins with ones" in text
    assert "with the gradient of output[0]: [1, 1] and output[1]: [1, 1]" in Read(text).steps[6]


def test_integers_have_no_backward_pass():
    text = trace(lambda i: i + 1, 3).to_html()
    assert "nothing flows back" in text
    assert not [step for step in Read(text).data["steps"] if step[0]]


def test_a_missing_rule_leaves_the_forward_pass():
    def doubled(x):
        return jnp.sum(jax.lax.while_loop(lambda c: jnp.sum(c) < 10, lambda c: c * 2, x))

    text = trace(doubled, jnp.ones(2)).to_html()
    assert "There is no backward pass" in text
    assert "16" in Read(text).steps[3]


def test_the_body_of_a_loop_has_a_page_of_shapes():
    graph = trace(lambda x: jax.lax.scan(lambda c, _: (c * 2.0, None), x, None, length=3)[0], 1.0)
    assert "shapes alone" in graph.node("scan").bodies[0].to_html()


def test_a_given_run_is_shown():
    graph = trace(slide, 1.0, 2.0, 0.0)
    back = graph.forward(3.0, 4.0, 5.0).backward(2.0)
    assert Read(graph.to_html(run=back)).steps[8].endswith("output: 2.")
    assert Read(graph.to_html(run=back.run)).steps[8].endswith("output: 1.")
    assert "mul (×) takes add = 7 and max = 5 and gives 35." in Read(graph.to_html(run=back.run)).steps[7]

"""What the page says of hand-written rules that the harness finds wrong."""

import jax
import jax.numpy as jnp

from tests.graph.render.html.pages import page, right, wrong


def test_the_page_opens_at_the_first_wrong_rule():
    def f(x):
        return jnp.sum(right(wrong(right(wrong(x)))))

    read = page(f, jnp.array([0.3, -0.7, 1.1]))
    data = read.data
    backward, index = data["steps"][data["opens"] - 1]
    assert backward == 1
    # Two are wrong; the backward pass meets the second first.
    assert data["nodes"][index]["name"] == "wrong_2"
    assert [node["name"] for node in data["nodes"] if "wrong" in node] == ["wrong", "wrong_2"]
    told = read.steps[data["opens"]]
    assert "The harness finds the rule of wrong wrong" in told
    assert "0.6666667" in told or "2/3" in told or "instead of" in told


def test_right_rules_and_unchecked_ones_open_at_the_beginning():
    x = jnp.array([0.3, -0.7])
    assert page(lambda x: jnp.sum(right(x)), x).data["opens"] == 0
    assert page(lambda x: jnp.sum(wrong(x)), x, check=False).data["opens"] == 0


def test_a_wrong_rule_inside_a_loop_is_found():
    def f(x):
        return jax.lax.scan(lambda c, _: (wrong(c), None), x, None, length=2)[0]

    data = page(f, jnp.float32(0.5)).data
    _, index = data["steps"][data["opens"] - 1]
    assert data["nodes"][index]["name"] == "scan"

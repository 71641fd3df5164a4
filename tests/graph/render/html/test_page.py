"""The page: what it holds, what it says, and that it is inert."""

import base64
import hashlib
import json
import re
from importlib.resources import files

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxbackprop.graph import Port, trace
from tests.graph.render.html.pages import (
    ANY_TEXT,
    HOSTILE,
    Read,
    contrast,
    page,
    renamed,
    skeleton,
    slide,
)


def test_every_step_is_told_with_its_numbers():
    said = page(slide, 1.0, 2.0, 0.0).steps
    place = r" \S*pages\.py:\d+"
    told = [re.sub(place, "", text) for text in said.values()]
    assert list(said) == list(range(1, 16))
    assert told == [
        "The argument x is 1.",
        "The argument y is 2.",
        "y is used twice: by add and max.",
        "The argument z is 0.",
        "add (+) takes x = 1 and y = 2 and gives 3.",
        "max takes y = 2 and z = 0 and gives 2.",
        "mul (×) takes add = 3 and max = 2 and gives 6.",
        "The backward pass begins at the end, with the gradient of output: 1.",
        "mul, a swap multiplier, receives 1 and passes 2 to add and 3 to max: da = b dy, db = a dy.",
        "max, a router, receives 3 and passes 3 to y and 0 to z: "
        "da = dy where a > b, dy / 2 where a = b, else 0; db likewise.",
        "add, a distributor, receives 2 and passes 2 to x and 2 to y: da = dy, db = dy.",
        "The gradient of z is 0.",
        "y was used twice, so its gradients add up: 2 from add + 3 from max = 5.",
        "The gradient of y is 5.",
        "The gradient of x is 2.",
    ]


def test_the_table_holds_the_same():
    rows = {row[0]: row for row in page(slide, 1.0, 2.0, 0.0).rows}
    assert rows["node"] == ["node", "operation", "from", "line", "shape", "value", "gradient", "rule"]
    assert rows["mul"][1:3] == ["× (swap multiplier)", "add, max"]
    assert rows["mul"][4:] == ["f32[]", "6", "1", "da = b dy, db = a dy"]
    assert rows["copy"][5:7] == ["2", "2 + 3 = 5"]
    assert re.fullmatch(r"\S*pages\.py:\d+", rows["add"][3])
    assert len(rows) == 8


def test_a_node_knows_all_that_there_is_to_show():
    x = jnp.arange(6.0).reshape(2, 3)
    data = page(lambda x: jnp.sum(jnp.tanh(x) * x), x).data
    (node,) = (node for node in data["nodes"] if node["name"] == "tanh")
    assert (node["kind"], node["made"]) == ("operation", [["[2,3]", "f32"]])
    assert node["rule"].startswith("dx =")
    assert node["function"] == "<lambda>"
    (kept,) = node["kept"]
    y = np.tanh(np.arange(6.0))
    value = data["values"][kept[1]]
    assert value is not None
    assert float(value["high"]) == pytest.approx(y.max(), rel=1e-3)
    gradient = data["values"][node["gradients"][0]]
    assert [float(text) for row in gradient["rows"] for text in row] == list(range(6))


def test_steps_go_forward_in_order_and_back_in_the_reverse():
    graph = trace(lambda x, n: jnp.sum(jnp.where(n > 1, x * 2.0, x)), jnp.ones(3), 2)
    steps = Read(graph.to_html()).data["steps"]
    count = len(graph.nodes)
    assert steps[:count] == [[0, i] for i in range(count)]
    assert steps[count] == [1, -1]
    back = [node for _, node in steps[count + 1 :]]
    assert back == sorted(back, reverse=True)
    run = graph.forward().backward()
    reached = {
        n.index for n in graph.nodes if any(Port(n.index, k) in run.gradients for k in range(len(n.outputs)))
    }
    assert set(back) == reached
    assert graph.node("n").index not in reached


@given(ANY_TEXT)
@settings(max_examples=20)
def test_names_of_any_text_are_text(name):
    graph = trace(slide, 1.0, 2.0, 0.0)
    text = renamed(graph, name).to_html(check=False)
    text.encode()
    assert skeleton(text) == skeleton(renamed(graph, "name").to_html(check=False))
    assert json.dumps(Read(text).data)


def test_hostile_names_are_text():
    graph = trace(lambda x: {HOSTILE: x[HOSTILE] * 2.0}, {HOSTILE: jnp.ones(3)})
    text = renamed(graph, HOSTILE).to_html()
    text.encode()
    assert text.count("</script>") == text.count("<script") == 2
    assert not [tag for tag, _ in Read(text).tags if tag == "img"]


def test_an_error_of_the_function_is_text():
    def broken(x):
        y = jnp.sin(x)
        raise ValueError(HOSTILE + repr(y.shape))

    text = trace(broken, 1.0).to_html()
    assert text.count("<script") == 2
    assert "ValueError" in text


def test_the_policy_allows_this_script_and_this_style_alone():
    text = trace(slide, 1.0, 2.0, 0.0).to_html()
    read = Read(text)
    (policy,) = (a["content"] for tag, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    def digest(content):
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    assert rules == {
        "default-src": "'none'",
        "script-src": digest(read.scripts[1]),
        "style-src": digest(read.style),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert text.index("http-equiv") < text.index("<style")


def test_nothing_lies_outside_the_file():
    text = trace(slide, 1.0, 2.0, 0.0).to_html()
    references = [
        value
        for _, attributes in Read(text).tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "action", "srcset", "data")
    ]
    assert references
    assert all(reference.startswith("#") for reference in references)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert not re.findall(r"@import|url\(|\beval\(|new Function|innerHTML|style=", text)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_has_contrast(scheme):
    style = files("jaxbackprop.graph.render.html").joinpath("page.css").read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    pairs = [(text, ground) for text in ("ink", "faint", "value", "gradient") for ground in ("paper", "card")]
    pairs += [
        ("ink", ground) for ground in ("value-tint", "gradient-tint", "constant", "scope", "alert", "field")
    ]
    pairs += [
        ("faint", "field"),
        ("faint", "scope"),
        ("accent", "card"),
        ("accent", "paper"),
        ("accent", "field"),
    ]
    pairs += [("card", "value"), ("card", "gradient"), ("on-accent", "accent"), ("accent", "alert")]
    low = {pair: contrast(colour[pair[0]], colour[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}


def test_the_assets_are_package_data():
    names = {path.name for path in files("jaxbackprop.graph.render.html").iterdir()}
    assert {"page.html", "page.css", "data.js", "place.js", "draw.js", "value.js", "detail.js"} <= names

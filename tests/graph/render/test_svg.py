"""The picture: every number on its line, legible in both schemes, valid, self-contained, never too large."""

import itertools
import time
import xml.etree.ElementTree as ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.graph import Graph, Node, Port, Source, trace
from jaxbackprop.graph.render._style import DARK, LIGHT
from jaxbackprop.graph.render._text import text_width

SVG = "{http://www.w3.org/2000/svg}"
FONT = {"on": 11.5, "label": 13.0, "symbol": 18.0, "caption": 10.5}
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)


def slide(x, y, z):
    """The lecture's example."""
    return (x + y) * jnp.maximum(y, z)


def mlp(params, x, labels):
    hidden = jnp.tanh(x @ params["W1"] + params["b1"][None])
    logits = hidden @ params["W2"] + params["b2"][None]
    return -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1))


def mlp_graph():
    draw = np.random.default_rng(0).normal
    shapes = {"W1": (8, 16), "b1": (16,), "W2": (16, 3), "b2": (3,)}
    params = {name: jnp.asarray(draw(size=shape), jnp.float32) for name, shape in shapes.items()}
    x = jnp.asarray(draw(size=(5, 8)), jnp.float32)
    return trace(mlp, params, x, jax.nn.one_hot(jnp.arange(5) % 3, 3))


def rnn(W, x):
    def step(h, x):
        h = jnp.tanh(W @ h + x)
        return h, h

    return jnp.sum(jax.lax.scan(step, jnp.zeros(3), x)[1])


def picture(graph, run=None):
    return ElementTree.fromstring(graph.to_svg(run))


def groups(svg):
    """Every group with a tooltip: its class, the tooltip's first line, and its texts by their class."""
    for group in svg.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None:
            texts = {text.get("class"): text.text for text in group.iter(f"{SVG}text")}
            yield group.get("class"), title.text.split("\n")[0], texts


def test_the_slides_numbers_stand_on_their_lines():
    graph = trace(slide, 1.0, 2.0, 0.0)
    svg = picture(graph, graph.forward().backward())
    found = {
        ends: (texts.get("on value"), texts.get("on gradient"))
        for kind, ends, texts in groups(svg)
        if not kind
    }
    assert found == {
        "x → add (operand 0)": ("1", "← 2"),
        "y → copy": ("2", "← 5"),
        "copy → add (operand 1)": ("2", "← 2"),
        "copy → max (operand 0)": ("2", "← 3"),
        "z → max (operand 1)": ("0", "← 0"),
        "add → mul (operand 0)": ("3", "← 2"),
        "max → mul (operand 1)": ("2", "← 3"),
        "mul → output": ("6", "← 1"),
    }


def test_operations_have_symbols_and_gates():
    graph = trace(slide, 1.0, 2.0, 0.0)
    svg = picture(graph)
    texts = {
        group.find(f"{SVG}title").text.split("\n")[0]: [text.text for text in group.iter(f"{SVG}text")]
        for group in svg.iter(f"{SVG}g")
        if group.get("class") in ("operation", "copy", "input", "output")
    }
    assert texts == {
        "x": ["x"],
        "y": ["y"],
        "z": ["z"],
        "copy": ["copy", "adder"],
        "add": ["+", "distributor"],
        "max": ["max", "router"],
        "mul": ["×", "swap", "multiplier"],
        "output": ["output"],
    }


def test_without_a_run_shapes_stand_alone():
    texts = [text.text for text in picture(mlp_graph()).iter(f"{SVG}text")]
    assert "f32[8,16]" in texts
    assert "f32[]" in texts
    assert not any("←" in text or "…" in text for text in texts)


def test_arrays_have_shapes_and_ranges():
    x = jnp.arange(6.0)
    graph = trace(lambda x: jnp.sum(x * 2.0), x)
    svg = picture(graph, graph.forward().backward())
    (texts,) = (texts for kind, ends, texts in groups(svg) if not kind and ends == "x → mul (operand 0)")
    assert texts == {"on shape": "[6]", "on value": "0 … 5", "on gradient": "← all 2"}


def test_a_constants_value_stands_in_its_box_alone():
    graph = trace(lambda x: x * 2.5, 1.0)
    svg = picture(graph, graph.forward().backward())
    constants = [texts for kind, _, texts in groups(svg) if kind == "constant"]
    assert constants == [{"label": "2.5"}]
    assert not [ends for kind, ends, _ in groups(svg) if not kind and ends.startswith("constant")]


def test_lines_without_a_gradient_are_dashed():
    graph = trace(lambda x, y: x * jax.lax.stop_gradient(y * 1.5), 2.0, 3.0)
    kinds = {ends: kind for kind, ends, _ in groups(picture(graph, graph.forward().backward())) if kind}
    assert kinds["x → mul_2 (operand 0)"] == "active"
    assert kinds["stop_gradient → mul_2 (operand 1)"] == "passive"
    # A gradient could flow here, but the backward pass brought none.
    assert kinds["y → mul (operand 0)"] == "passive"


def test_a_program_inside_has_a_doubled_border():
    svg = picture(trace(rnn, jnp.eye(3), jnp.ones((12, 3))))
    borders = {
        texts.get("label"): len(group.findall(f"{SVG}rect"))
        for group, (_, _, texts) in zip(
            (g for g in svg.iter(f"{SVG}g") if g.find(f"{SVG}title") is not None), groups(svg), strict=True
        )
        if group.get("class") in ("operation", "input")
    }
    assert borders["scan × 12"] == 2
    assert borders["W"] == 1


def test_tooltips_say_everything():
    graph = trace(slide, 1.0, 2.0, 0.0)
    (tip,) = (t.text for t in picture(graph).iter(f"{SVG}title") if t.text.startswith("mul\n"))
    node = graph.node("mul")
    assert tip.split("\n") == ["mul", "f32[]", "gate: swap multiplier", node.formula, str(node.source)]


def boxes_and_labels(svg):
    """Rectangles of what is drawn: outlines with captions, and texts on lines."""
    outlines, texts = [], []
    for element in svg.iter():
        kind, place = (element.get("class") or "").split(" ")[0], element.get
        if element.tag == f"{SVG}circle":
            x, y, r = (float(place(key)) for key in ("cx", "cy", "r"))
            outlines.append((x - r, y - r, x + r, y + r))
        elif element.tag == f"{SVG}rect" and kind == "outline":
            x, y, w, h = (float(place(key)) for key in ("x", "y", "width", "height"))
            outlines.append((x, y, x + w, y + h))
        elif element.tag == f"{SVG}text" and kind in FONT:
            half = text_width(element.text, FONT[kind]) / 2
            x, y = float(place("x")), float(place("y"))
            rectangle = (x - half, y - 0.75 * FONT[kind], x + half, y + 0.2 * FONT[kind])
            texts.append((kind, rectangle))
    return outlines, texts


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_nothing_covers_a_text():
    for graph in (trace(slide, 1.0, 2.0, 0.0), mlp_graph(), trace(rnn, jnp.eye(3), jnp.ones((12, 3)))):
        svg = picture(graph, graph.forward().backward())
        outlines, texts = boxes_and_labels(svg)
        apart = [rectangle for kind, rectangle in texts if kind in ("on", "caption")]
        assert len(apart) > 10
        assert not any(overlap(a, b) for a, b in itertools.combinations(apart, 2))
        assert not any(overlap(a, b) for a in apart for b in outlines)
        inside = [rectangle for kind, rectangle in texts if kind in ("label", "symbol")]
        assert all(any(o[0] <= t[0] and t[2] <= o[2] for o in outlines) for t in inside)


def test_everything_lies_in_the_view():
    svg = picture(mlp_graph())
    left, top, width, height = map(float, svg.get("viewBox").split())
    (inner,) = (g for g in svg.iter(f"{SVG}g") if g.get("transform"))
    dx, dy = map(float, inner.get("transform").removeprefix("translate(").removesuffix(")").split())
    outlines, texts = boxes_and_labels(svg)
    for x0, y0, x1, y1 in outlines + [rectangle for _, rectangle in texts]:
        assert left <= x0 + dx
        assert x1 + dx <= width
        assert top <= y0 + dy
        assert y1 + dy <= height


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast(colours):
    def contrast(a, b):
        low, high = sorted((luminance(colours[a]), luminance(colours[b])))
        return (high + 0.05) / (low + 0.05)

    for text in ("ink", "faint", "value", "gradient"):
        assert contrast(text, "paper") >= 4.5
    for box in ("operation", "input", "constant", "output", "folded"):
        assert contrast("ink", box) >= 4.5
    assert contrast("line", "paper") >= 3


def test_it_needs_nothing_beside_it_and_says_what_it_is():
    graph = trace(slide, 1.0, 2.0, 0.0)
    text = graph.to_svg(graph.forward().backward())
    assert text.count("http") == 1  # the name of the format
    for foreign in ("<script", "href", "url(", "@import", "@font-face", "<image", "<foreignObject"):
        assert foreign not in text
    svg = ElementTree.fromstring(text)
    assert svg.get("role") == "img"
    assert svg.get("viewBox")
    assert svg.find(f"{SVG}title").text == "Computation graph of slide"
    assert "3 inputs, 3 operations, 1 outputs" in svg.find(f"{SVG}desc").text
    style = svg.find(f"{SVG}style").text
    assert "prefers-color-scheme:dark" in style
    assert ".gradient{font-style:italic}" in style
    # In a notebook, rules hold for the whole page.
    assert all(rule.startswith(".jaxbackprop-graph") for rule in style.split("@media")[0].split("}") if rule)


def odd_graph(text):
    """A graph whose every name is the text."""
    spec = jax.ShapeDtypeStruct((2,), jnp.float32)
    one = Node(0, text, "input", text, None, (), (spec,), active=(True,))
    two = Node(
        1,
        text + "'",
        "operation",
        text,
        text,
        (Port(0, 0),),
        (spec,),
        (True,),
        (True,),
        gate=text,
        formula=text,
        source=Source(text, 3, text),
        scope=(text,),
    )
    return Graph(text, (one, two), (Port(1, 0),), error=ValueError(text))


@given(ANY_TEXT)
def test_any_text_gives_valid_xml(text):
    svg = picture(odd_graph(text))
    assert svg.get("viewBox")
    if text.isalnum() and len(text) < 20:
        assert sum(t.text == text for t in svg.iter(f"{SVG}text")) >= 3


@pytest.mark.parametrize("text", ["<b>&amp;\"'", "a\x00\x1b\ud800\ufffe", "]]>", "<!--", "層"])
def test_hostile_text_gives_valid_xml(text):
    shown = {t.text for t in picture(odd_graph(text)).iter(f"{SVG}text")}
    assert "".join(c if c.isprintable() else "\ufffd" for c in text) in shown


def test_long_names_are_shortened_and_told_in_full():
    name = "params['encoder']['layers'][11]['attention']['kernel']"
    svg = picture(odd_graph(name))
    shown = [t.text for t in svg.iter(f"{SVG}text") if t.get("class") == "label"]
    assert all(len(text) <= 24 for text in shown)
    assert "params['enco…]['kernel']" in shown
    assert any(t.text.startswith(name) for t in svg.iter(f"{SVG}title"))


def blocks(x, params):
    for i, W in enumerate(params):
        with jax.named_scope(f"block_{i}"):
            x = x + jnp.tanh(x * W) * jnp.exp(-x)
    return jnp.sum(x)


def test_many_nodes_fold_by_scope():
    graph = trace(blocks, jnp.ones(2), [jnp.ones(2)] * 60)
    assert len(graph.nodes) > 300
    svg = picture(graph, graph.forward().backward())
    boxes = [texts for kind, _, texts in groups(svg) if kind == "folded"]
    assert {"label": "block_7", "caption": "7 nodes"} in boxes
    assert len(boxes) == 60
    assert any((t.text or "").endswith("nodes, folded by scope") for t in svg.iter(f"{SVG}text"))


def test_very_many_nodes_leave_the_middle_out_in_good_time():
    def long(x):
        for _ in range(1000):
            x = jnp.sin(x) * x
        return x

    graph = trace(long, 0.5)
    assert len(graph.nodes) > 2000
    run = graph.forward()
    began = time.process_time()
    svg = picture(graph, run)
    assert time.process_time() - began < 5
    kinds = [kind for kind, _, _ in groups(svg)]
    drawn = sum(kinds.count(k) for k in ("input", "constant", "operation", "copy", "folded"))
    assert drawn == 300
    left_out = len(graph.nodes) - 299
    assert any(f"{left_out:,} between" in (t.text or "") for t in svg.iter(f"{SVG}text"))


def test_hundreds_of_arguments_and_results_in_good_time():
    tree = {f"p{i}": jnp.ones(2) for i in range(400)}
    graph = trace(lambda tree: jax.tree.map(jnp.sin, tree), tree)
    began = time.process_time()
    texts = [t.text for t in picture(graph, graph.forward()).iter(f"{SVG}text")]
    assert time.process_time() - began < 5
    assert "400 outputs" in texts
    assert "400 inputs" in texts
    # One box for each of the sines did not fit either.
    assert any("between the first and the last are left out" in text for text in texts)


def test_many_arguments_fold():
    tree = {f"p{i}": jnp.ones(2) for i in range(400)}

    def step(c, _):
        return jax.tree.map(jnp.sin, c), None

    graph = trace(lambda xs: jax.lax.scan(step, xs, None, length=3)[0], tree)
    texts = [t.text for t in picture(graph).iter(f"{SVG}text")]
    assert "xs" in texts
    assert "401 nodes, folded by argument" in texts


def test_a_graph_that_ends_in_an_error_says_so():
    def broken(x):
        y = jnp.sin(x)
        raise ValueError(f"no\nmore than {y.shape}")

    graph = trace(broken, jnp.ones(3))
    texts = [t.text for t in picture(graph, graph.forward()).iter(f"{SVG}text")]
    assert "sin" in texts
    assert "ends where it raised ValueError: no more than (3,)" in texts


def test_an_empty_graph_is_drawn():
    assert picture(trace(lambda: ())).get("viewBox")


def test_results_have_their_paths():
    graph = trace(lambda x: {"loss": x * x, "parts": (x, x + 1.0)}, 2.0)
    labels = [texts["label"] for kind, _, texts in groups(picture(graph)) if kind == "output"]
    assert labels == ["output['loss']", "output['parts'][0]", "output['parts'][1]"]


def test_runs_of_other_graphs_are_refused():
    graph, other = trace(slide, 1.0, 2.0, 0.0), trace(jnp.sin, 1.0)
    with pytest.raises(ValueError, match="run is of another graph"):
        graph.to_svg(other.forward())
    with pytest.raises(TypeError, match="run must be a Run, a Backward or None, got int"):
        graph.to_svg(3)


def test_notebooks_show_the_graph():
    graph = trace(slide, 1.0, 2.0, 0.0)
    assert graph._repr_svg_() == graph.to_svg()

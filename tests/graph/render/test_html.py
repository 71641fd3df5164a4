"""The page as a file: what it holds, what it says, that it is inert, small, and whole or not there."""

import base64
import dataclasses
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop.graph import Port, trace
from jaxbackprop.graph.render.html._scopes import Scope, scopes
from jaxbackprop.graph.render.html._value_record import value_record

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
MOST_BOXES = 300


def slide(x, y, z):
    """The lecture's example."""
    return (x + y) * jnp.maximum(y, z)


@jax.custom_vjp
def right(x):
    return jnp.tanh(x)


right.defvjp(lambda x: (jnp.tanh(x),) * 2, lambda y, dy: ((1 - y * y) * dy,))


@jax.custom_vjp
def wrong(x):
    return x**3


wrong.defvjp(lambda x: (x**3, x), lambda x, dy: (2 * x**2 * dy,))


def layered(x, depth=2):
    for block in range(depth):
        with jax.named_scope(f"block {block}"):
            for layer in range(2):
                with jax.named_scope(f"layer {layer}"):
                    x = jnp.tanh(x) * 0.5 + x
    return jnp.sum(x)


def long(x, length):
    for _ in range(length):
        x = jnp.sin(x) * 0.5
    return jnp.sum(x)


class Read(HTMLParser):
    """A page taken apart: texts by tag and class, attributes, and what is in style and script elements."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.style, self.rows, self.steps = [], [], "", [], {}
        self._in, self._step = [], None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input", "path", "link", "br"):
            self._in.append(tag)
        if tag == "script":
            self.scripts.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag == "li":
            self._step = int(dict(attributes)["value"])
            self.steps[self._step] = ""

    def handle_endtag(self, tag):
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, text):
        if self._in and self._in[-1] == "script":
            self.scripts[-1] += text
        elif self._in and self._in[-1] == "style":
            self.style += text
        elif "td" in self._in or "th" in self._in:
            self.rows[-1][-1] += text
        elif "li" in self._in and "p" in self._in:
            self.steps[self._step] += text

    @property
    def data(self):
        return json.loads(self.scripts[0])


def page(f, *args, **options):
    return Read(trace(f, *args).to_html(**options))


def test_every_step_is_told_with_its_numbers():
    said = page(slide, 1.0, 2.0, 0.0).steps
    place = r" \S*test_html\.py:\d+"
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
    assert re.fullmatch(r"\S*test_html\.py:\d+", rows["add"][3])
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


# ---- inert ------------------------------------------------------------------------------------------------

HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)> \"'&amp; \ud800\x00"


def renamed(graph, name):
    nodes = tuple(
        dataclasses.replace(
            node,
            name=f"{name}{node.index}",
            label=name,
            scope=(name,),
            gate=node.gate and "g" + name,
            formula="dx = " + name,
        )
        for node in graph.nodes
    )
    return dataclasses.replace(graph, name=name, nodes=nodes)


def skeleton(text):
    """The tags of a page, and the attributes that could do something."""
    active = ("src", "href", "onerror", "onload", "style", "http-equiv")
    return [
        (tag, [a for a in attributes if a in active or a.startswith("on")])
        for tag, attributes in Read(text).tags
    ]


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


# ---- levels -----------------------------------------------------------------------------------------------


def boxes(level):
    return [
        (kind, ref, x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for kind, ref, x, y, w, h, *_ in level["boxes"]
    ]


@pytest.mark.parametrize(
    "graph",
    [
        trace(slide, 1.0, 2.0, 0.0),
        trace(layered, jnp.ones(4)),
        trace(lambda x: long(x, 200), jnp.ones(2)),
        trace(lambda xs: sum(xs), [1.0] * 100),
    ],
    ids=["slide", "scopes", "long", "many arguments"],
)
def test_every_level_is_small_and_nothing_in_it_covers_another(graph):
    levels = Read(graph.to_html(run=graph.forward())).data["levels"]
    seen = [ref for level in levels for kind, ref, *_ in level["boxes"] if kind == "node"]
    assert sorted(seen) == list(range(len(graph.nodes)))
    scopes_seen = [ref for level in levels for kind, ref, *_ in level["boxes"] if kind == "scope"]
    assert sorted(scopes_seen) == list(range(1, len(levels)))
    for level in levels:
        found = boxes(level)
        assert len(found) <= MOST_BOXES
        for i, (_, _, *a) in enumerate(found):
            assert a[0] >= -0.11
            assert a[2] <= level["size"][0] + 0.11
            assert not any(
                a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for _, _, *b in found[i + 1 :]
            )
        for source, target, corners, *_ in level["lines"]:
            assert corners[0] == pytest.approx(found[source][4], abs=0.3)
            assert corners[-2] == pytest.approx(found[target][2], abs=0.3)


def test_lines_of_a_level_form_no_cycle():
    graph = trace(lambda x: layered(x, 3), jnp.ones(4))
    for level in Read(graph.to_html()).data["levels"]:
        after = {place: set() for place in range(len(level["boxes"]))}
        for source, target, *_ in level["lines"]:
            after[target].add(source)
        while after:
            free = [place for place, needed in after.items() if not needed & after.keys()]
            assert free
            for place in free:
                del after[place]


def test_scopes_nest():
    def names(scope):
        return [(item.name, names(item)) for item in scope.items if isinstance(item, Scope)]

    inner = [("layer 0", []), ("layer 1", [])]
    assert names(scopes(trace(layered, jnp.ones(4)))) == [("block 0", inner), ("block 1", inner)]


def test_a_value_is_followed_across_the_borders_of_scopes():
    graph = trace(layered, jnp.ones(4))
    data = Read(graph.to_html()).data
    ends = {}
    for level in data["levels"]:
        kinds = [kind for kind, *_ in level["boxes"]]
        for source, target, _, _, strands, _ in level["lines"]:
            for node, output, taker, _ in strands:
                ends.setdefault((node, output, taker), []).append((kinds[source], kinds[target]))
    assert set(ends) == {(e.source, e.output, e.target) for e in graph.edges} | {
        (port.node, port.output, -1 - k) for k, port in enumerate(graph.outputs)
    }
    assert any(len(met) > 2 for met in ends.values())
    for met in ends.values():
        # One line runs between two boxes of a level; the others lead to the borders of scopes, each its own.
        assert sum("enters" != source and target != "leaves" for source, target in met) == 1


def test_three_hundred_nodes_take_less_than_a_megabyte():
    draw = np.random.default_rng(0).normal
    x = jnp.asarray(draw(size=(32, 64)), jnp.float32)
    W = jnp.asarray(draw(size=(64, 64)) / 8, jnp.float32)

    def deep(W, x):
        for i in range(50):
            with jax.named_scope(f"layer {i}"):
                x = jnp.tanh(x @ W) * 0.5 + x
        return jnp.mean(x)

    graph = trace(deep, W, x)
    assert 295 <= len(graph.nodes) <= 310
    assert len(graph.to_html().encode()) < 1_000_000


# ---- values -----------------------------------------------------------------------------------------------


def test_a_number_is_a_number():
    assert value_record(jnp.float32(0.25), 8) == {"t": "0.25", "s": "f32[]"}


def test_a_few_numbers_are_written_out():
    found = value_record(jnp.array([[1.0, -2.0, 0.5, 0.5], [0.0, jnp.nan, 1.0, 1.0]]), 8)
    assert found["rows"] == [["1", "-2", "0.5", "0.5"], ["0", "nan", "1", "1"]]
    assert (found["low"], found["high"], found["mean"], found["odd"]) == ("-2", "1", "0.2857", 1)
    assert found["histogram"] == [1, *[0] * 9, 1, 0, 0, 2, 0, 3]
    assert found["heat"][1][1] == "!"
    assert found["heat"][0][1] == "0"


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 3), st.integers(6, 24))
def test_a_heat_map_has_at_most_so_many_cells_a_side(rows, columns, stacked, side):
    value = np.random.default_rng(0).normal(size=(stacked, rows, columns))
    found = value_record(value, side)
    if "rows" in found:
        assert value.size <= 32
    elif value.size > 1:
        assert len(found["heat"]) == min(side, stacked * rows)
        assert {len(row) for row in found["heat"]} == {min(side, columns)}
    if value.size > 1:
        assert float(found["low"]) == pytest.approx(value.min(), rel=1e-3)
        assert float(found["high"]) == pytest.approx(value.max(), rel=1e-3)
    if value.size >= 6:
        assert sum(found["histogram"]) == value.size


@pytest.mark.parametrize(
    "value",
    [
        jnp.zeros((0, 3)),
        jnp.zeros((3, 0)),
        jnp.full((5, 5), jnp.nan),
        jnp.full((40, 2), jnp.inf),
        jnp.array([3.4e38, -3.4e38] * 20),
        np.array([1.7e308, -1.7e308] * 20),
        jnp.arange(50, dtype=jnp.bfloat16),
        jnp.array([True, False] * 20),
        jnp.array([1 + 2j, 3j] * 20),
        jnp.arange(50, dtype=jnp.int32),
        jax.random.key(0),
        jax.random.split(jax.random.key(0), 3),
        np.ones((2, 2, 2, 2, 2, 2)),
    ],
    ids=lambda value: f"{value.dtype}{list(value.shape)}",
)
def test_values_of_every_kind_have_a_record(value):
    found = value_record(value, 8)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


# ---- wrong rules ------------------------------------------------------------------------------------------


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


# ---- what there is not ------------------------------------------------------------------------------------


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


# ---- files ------------------------------------------------------------------------------------------------


def test_a_page_is_written_whole(tmp_path):
    graph = trace(slide, 1.0, 2.0, 0.0)
    assert graph.to_html(tmp_path / "f.html") is None
    assert (tmp_path / "f.html").read_text(encoding="utf-8") == graph.to_html()
    assert [path.name for path in tmp_path.iterdir()] == ["f.html"]


def test_bad_paths_and_runs_are_refused_and_nothing_is_written(tmp_path):
    graph = trace(slide, 1.0, 2.0, 0.0)
    other = trace(slide, 1.0, 2.0, 0.0)
    with pytest.raises(IsADirectoryError, match="folder"):
        graph.to_html(tmp_path)
    with pytest.raises(NotADirectoryError, match="does not exist"):
        graph.to_html(tmp_path / "missing" / "f.html")
    with pytest.raises(TypeError, match="run=..."):
        graph.to_html(graph.forward())
    with pytest.raises(ValueError, match="another graph"):
        graph.to_html(tmp_path / "f.html", other.forward())
    with pytest.raises(TypeError, match="Run, a Backward or None"):
        graph.to_html(tmp_path / "f.html", 3)
    assert not list(tmp_path.iterdir())


def test_the_assets_are_package_data():
    names = {path.name for path in files("jaxbackprop.graph.render.html").iterdir()}
    assert {"page.html", "page.css", "data.js", "place.js", "draw.js", "value.js", "detail.js"} <= names


# ---- notebooks --------------------------------------------------------------------------------------------


def test_a_notebook_shows_the_page_in_a_frame():
    graph = trace(slide, 1.0, 2.0, 0.0)
    framed = graph._repr_html_()
    found = re.fullmatch(r'<iframe ([^>]*?) srcdoc="([^"]*)"></iframe>', framed, re.DOTALL)
    assert 'sandbox="allow-scripts"' in found[1]
    assert html.unescape(found[2]) == graph.to_html(check=False)
    assert len(framed) < 150_000


def test_a_notebook_shows_a_picture_where_a_page_is_too_much():
    called = []

    def calls_back(x):
        jax.debug.callback(called.append, x)
        return x * 2.0

    graph = trace(calls_back, 1.0)
    assert graph._repr_html_() is None
    assert not called
    assert trace(lambda x: long(x, 160), jnp.ones(2))._repr_html_() is None


# ---- colours ----------------------------------------------------------------------------------------------


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


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

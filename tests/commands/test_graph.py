"""`jaxbackprop graph`: the table, the files, what it says where a graph is not whole, its exit status."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from jaxbackprop.commands import main
from jaxbackprop.commands._graph_examples import rnn_graph, scorer_graph, window_ner_graph

GATES = """
    import jax
    import jax.numpy as jnp
    from jaxtyping import Array, Float

    def f(x, y, z):
        return (x + y) * jnp.maximum(y, z)

    def cumulative(x, axis):
        return jnp.cumsum(x, axis=axis)

    def scaled(x, *, W, power, mode="mul"):
        y = x @ W
        return jnp.sum((y * 2.0 if mode == "mul" else y) ** power)

    def annotated(x: Float[Array, "n m"]):
        return jnp.sum(x * x)

    def listed(x):
        return jnp.sum(jnp.sin(x))

    def shift(i):
        return i + 1

    def results(x):
        return {"loss": jnp.sum(x), "index": jnp.argmax(x)}

    def broken(x):
        y = jnp.sin(x)
        raise ValueError("no\\nmore")

    def doubled(x):
        return jnp.sum(jax.lax.while_loop(lambda c: jnp.sum(c) < 10, lambda c: c * 2, x))

    def greeting(x):
        return "hello"

    def called(x):
        return jax.pure_callback(lambda x: 1 / 0, x, x)

    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, dy: (x**2 * dy,))

    def wrong(x):
        return jnp.sum(cube(jnp.tanh(x)))

    class Model:
        @staticmethod
        def loss(x):
            return x * x

    CHECK_ARGUMENTS = {"listed": [("f32[3]",), ("f32[5]",)]}
"""


@pytest.fixture
def graph(cli, write):
    """Runs the command on a module of the current folder: exit status, standard output, standard error."""
    write(gates_of_the_test=GATES)
    return lambda function, *arguments: cli("graph", f"gates_of_the_test:{function}", *arguments)


def args(*texts):
    return [part for text in texts for part in ("--arg", text)]


def rows(out):
    """The table's rows: the words of each by its node's name."""
    return {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}


def test_the_table_of_the_slides_graph(graph):
    status, out, err = graph("f", *args("1.0", "2.0", "0.0"))
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["node", "operation", "where", "shape", "value", "gradient", "formula"]
    assert [line.split()[0] for line in lines[1:-1]] == ["x", "y", "copy", "z", "add", "max", "mul"]
    found = rows(out)
    assert found["x"] == ["input", "f32[]", "1", "2"]
    assert found["y"] == ["input", "f32[]", "2", "5"]
    assert found["copy"][:6] == ["copy", "f32[]", "2", "2", "+", "3"]
    assert found["add"][:5] == ["+", "gates_of_the_test.py:7", "f32[]", "3", "2"]
    assert found["max"][:5] == ["max", "gates_of_the_test.py:7", "f32[]", "2", "3"]
    assert found["mul"][4:] == ["1", "da", "=", "b", "dy,", "db", "=", "a", "dy"]
    assert lines[-1] == "multiplications: 1 forward, 2 backward (2 times the forward pass)"


def test_files_hold_values_and_gradients_and_no_table_is_printed(graph, tmp_path):
    status, out, err = graph(
        "f", *args("1.0", "2.0", "0.0"), "--svg", "f.svg", "--dot", "f.dot", "--json", "f.json"
    )
    assert (status, err) == (0, "")
    assert out.splitlines() == [f"wrote f.{kind}: 7 nodes" for kind in ("svg", "dot", "json")]
    svg = ElementTree.parse(tmp_path / "f.svg")
    assert "← 5" in [element.text for element in svg.iter()]
    assert (tmp_path / "f.dot").read_text(encoding="utf-8").startswith('digraph "f"')
    figures = json.loads((tmp_path / "f.json").read_text())
    (edge,) = (e for e in figures["edges"] if e["source"] == 1)
    assert (edge["value"], edge["gradient"]) == (2.0, 5.0)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "f.dot",
        "f.json",
        "f.svg",
        "gates_of_the_test.py",
    ]


def test_results_that_are_not_one_number_start_with_ones(graph):
    status, out, _ = graph("cumulative", *args("f32[3]", "-1"))
    assert status == 0
    assert "the backward pass starts with ones" in out
    assert rows(out)["x"][-3:] == ["[3,", "2,", "1]"]
    assert "axis" not in rows(out)
    status, out, _ = graph("results", *args("f32[3]"), "--svg", "results.svg")
    assert status == 0
    assert "the backward pass starts with ones" in out
    status, out, _ = graph("f", *args("1.0", "2.0", "0.0"))
    assert "ones" not in out


def test_where_nothing_floats_there_is_no_gradient(graph):
    status, out, _ = graph("shift", *args("i32[3]"))
    assert status == 0
    assert "no result is floating-point: no gradient flows" in out
    assert "multiplications" not in out


def test_keywords_with_arrays_are_inputs_and_settings_are_fixed(graph):
    status, out, _ = graph("scaled", *args("f32[2,3]", "W=f32[3,4]", "power=3", "mode='plain'"))
    assert status == 0
    found = rows(out)
    assert found["x"][:2] == ["input", "f32[2,3]"]
    assert found["W"][:2] == ["input", "f32[3,4]"]
    assert not {"power", "mode", "mul"} & set(found)
    assert found["integer_pow"][0] == "x³"


def test_arguments_come_from_the_module_or_from_annotations(graph):
    _, out, _ = graph("listed")
    assert rows(out)["x"][:2] == ["input", "f32[3]"]
    _, out, _ = graph("annotated")
    assert rows(out)["x"][:2] == ["input", "f32[3,4]"]
    assert graph("f") == (
        2,
        "",
        "jaxbackprop: error: gates_of_the_test:f needs --arg: it is not in CHECK_ARGUMENTS, "
        "and parameter x has no annotation and no default\n",
    )


def test_wide_arguments_and_methods(graph):
    _, out, _ = graph("annotated", *args("f64[2,2]"))
    assert rows(out)["x"][1] == "f64[2,2]"
    status, out, _ = graph("Model.loss", *args("3.0"))
    assert status == 0
    assert rows(out)["x"] == ["input", "f32[]", "3", "6"]


def test_the_seed_changes_what_is_drawn(graph):
    first, again, other = (
        graph("annotated", *args("f32[2,2]"), "--seed", seed)[1] for seed in ("0", "0", "1")
    )
    assert first == again != other
    assert graph("annotated", "--seed", "-1")[2] == "jaxbackprop: error: --seed must be at least 0, not -1\n"


def test_a_function_that_fails_gives_what_came_before(graph, tmp_path):
    status, out, err = graph("broken", *args("f32[3]"), "--json", "b.json", "--svg", "b.svg")
    assert status == 2
    assert out.splitlines() == ["wrote b.svg: 2 nodes", "wrote b.json: 2 nodes"]
    assert err == (
        "jaxbackprop: error: gates_of_the_test:broken failed while it was traced, and its graph ends there: "
        "ValueError: no more\n"
    )
    figures = json.loads((tmp_path / "b.json").read_text())
    assert figures["error"] == "ValueError: no more"
    assert len(figures["edges"][0]["value"]) == 3
    status, out, err = graph("broken", *args("f32[3]"))
    assert status == 2
    assert list(rows(out)) == ["node", "x", "sin"]


def test_without_a_rule_there_are_values_but_no_gradients(graph, tmp_path):
    status, out, err = graph("doubled", *args("f32[3]>1"), "--json", "d.json")
    assert (status, out) == (2, "wrote d.json: 3 nodes\n")
    assert err.count("\n") == 1
    assert "no rule for the gradient of 'while'" in err
    assert "gates_of_the_test.py:" in err
    edge = json.loads((tmp_path / "d.json").read_text())["edges"][0]
    assert "value" in edge
    assert "gradient" not in edge
    status, out, _ = graph("doubled", *args("f32[3]>1"))
    assert status == 2
    assert "reduce_sum" in rows(out)
    assert "multiplications" not in out


def test_what_a_forward_pass_raises_is_told(graph, tmp_path):
    status, _, err = graph("called", *args("f32[]"), "--dot", "c.dot")
    assert status == 2
    assert "gates_of_the_test:called failed in its forward pass" in err
    assert err.count("\n") == 1
    assert "pure_callback" in (tmp_path / "c.dot").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing", *args("1.0")], "gates_of_the_test has no nothing"),
        (
            ["greeting", *args("1.0"), "--svg", "g.svg"],
            "gates_of_the_test:greeting cannot be traced: TypeError",
        ),
        (["f", *args("f32[")], "--arg f32["),
        (["f", *args("1.0"), "--svg", "a", "--dot", "./a"], "--svg and --dot name the same file, ./a"),
        (["f", *args("1.0"), "--svg", "no/f.svg"], "--svg no/f.svg: its folder does not exist"),
        (["f", *args("1.0"), "--dot", "."], "--dot .: it is a folder"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(graph, tmp_path, arguments, said):
    status, out, err = graph(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("jaxbackprop: error: ")
    assert said in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["gates_of_the_test.py"]


def test_a_file_is_written_whole_or_not_at_all(graph, tmp_path, monkeypatch):
    (tmp_path / "f.svg").write_text("older")
    monkeypatch.setattr(
        "os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    status, _, err = graph("f", *args("1.0", "2.0", "0.0"), "--svg", "f.svg")
    assert (status, err) == (2, "jaxbackprop: error: --svg f.svg: No space left on device\n")
    assert (tmp_path / "f.svg").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "f.svg",
        "gates_of_the_test.py",
    ]


# Pages


def page_data(path):
    """What a page holds for its script."""
    page = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="graph">(.*?)</script>', page)[1])


def test_a_page_of_a_function(graph, tmp_path):
    said = graph("f", *args("1.0", "2.0", "0.0"), "--html", "f.html")
    assert said == (0, "wrote f.html: 7 nodes\n", "")
    found = page_data(tmp_path / "f.html")
    assert [node["name"] for node in found["nodes"]] == ["x", "y", "copy", "z", "add", "max", "mul"]
    assert len(found["steps"]) == 15


def test_a_page_of_a_wrong_rule_opens_there(graph, tmp_path):
    assert graph("wrong", *args("f32[3]"), "--html", "f.html")[0] == 0
    found = page_data(tmp_path / "f.html")
    backward, node = found["steps"][found["opens"] - 1]
    assert (backward, found["nodes"][node]["name"]) == (1, "cube")


def test_what_is_known_of_a_function_that_fails_is_on_its_page(graph, tmp_path):
    status, _, err = graph("broken", *args("1.0"), "--html", "f.html")
    assert (status, err.count("\n")) == (2, 1)
    assert "no more" in (tmp_path / "f.html").read_text(encoding="utf-8")


def test_what_cannot_be_written_is_refused_beforehand(cli, write, tmp_path):
    write(gates_of_the_test=GATES)
    target = "gates_of_the_test:f"
    for arguments in (
        (target, "--html", "missing/f.html"),
        (target, "--html", "."),
        (target, "--html", "f.x", "--svg", "f.x"),
        ("--examples", "gates_of_the_test.py"),
        ("--examples", "out", "--html", "f.html"),
        (target, "--examples", "out"),
        (),
    ):
        status, out, err = cli("graph", *arguments)
        assert (status, out, err.count("\n")) == (2, "", 1), arguments
        assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == [
        "gates_of_the_test.py"
    ]


def test_the_examples_are_three_pages(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = cli("graph", "--examples", "some/pages")
    assert (status, err) == (0, "")
    names = ["rnn.html", "scorer.html", "window_ner.html"]
    assert sorted(path.name for path in (tmp_path / "some" / "pages").iterdir()) == names
    assert len(out.splitlines()) == 3
    assert all(page_data(path)["opens"] == 0 for path in (tmp_path / "some" / "pages").iterdir())


def test_the_examples_are_what_they_are_called():
    scorer = scorer_graph()
    assert [node.name for node in scorer.inputs] == ["x", "W", "b", "u"]
    assert scorer.results[0].shape == ()
    assert {"window_lookup", "linear", "tanh", "softmax_cross_entropy", "l2"} <= {
        node.label for node in window_ner_graph().nodes
    }
    scopes = {node.scope[0] for node in rnn_graph().nodes if node.scope}
    assert scopes == {"step 1", "step 2", "step 3", "step 4", "loss"}


def test_help_names_the_target(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["graph", "--help"])
    assert "package.module:f" in capsys.readouterr().out

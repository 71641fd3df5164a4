"""From corpus to run folder and back, in one process, on a corpus of a few sentences."""

import hashlib
import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console

from jaxbackprop import ner
from jaxbackprop.data import DataError, Sentence
from jaxbackprop.ner import _fit, load_tagger
from jaxbackprop.train import Config, Diverged, RunError

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


def quiet():
    return Console(file=io.StringIO(), width=200)


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
    assert results["interrupted"] is False


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


@pytest.mark.parametrize("signal", [KeyboardInterrupt, BrokenPipeError])
def test_an_interruption_after_an_epoch_keeps_the_run(folder, tmp_path, monkeypatch, signal):
    shown = []

    def epoch(self, record, scores, *, best):
        shown.append(record)
        if record.epoch == 2:
            raise signal

    monkeypatch.setattr(_fit.Progress, "epoch", epoch)
    with pytest.raises(signal):
        ner.train(settings(folder, epochs=1000), tmp_path / "run", quiet())
    assert json.loads((tmp_path / "run" / "results.json").read_text())["interrupted"] is True
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == len(shown) == 2
    load_tagger(tmp_path / "run", refuse)


def test_an_interruption_before_an_epoch_leaves_nothing(folder, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_fit, "score", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ner.train(settings(folder), tmp_path / "run", quiet())
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_diverges_says_so_and_leaves_nothing(folder, tmp_path):
    config = settings(folder, optimizer="sgd", lr=1e30, schedule="constant")
    with pytest.raises((Diverged, FloatingPointError), match="lower --lr|not finite"):
        ner.train(config, tmp_path / "run", quiet())
    assert list(tmp_path.iterdir()) == []


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

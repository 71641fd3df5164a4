"""Several seeds in one folder: each a run as it would be alone, and what they come to together."""

import json
import statistics

import pytest

from jaxbackprop import ner
from jaxbackprop._errors import CannotRun
from jaxbackprop.data import DataError
from jaxbackprop.ner import load_tagger
from jaxbackprop.train import Config, Progress, RunError, read_settings
from tests.ner.test_train import quiet, refuse, settings, write_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


def small(folder, **changes):
    return settings(folder, vectors="random", word_dim=4, **{"epochs": 2, "seed": 5, **changes})


@pytest.fixture(scope="module")
def runs(folder):
    said = quiet()
    out = ner.train_seeds(small(folder), 3, folder / "runs", said)
    return out, said.console.file.getvalue()


def read(path):
    return json.loads(path.read_text())


def test_each_seed_has_its_run_as_it_would_be_alone(folder, runs, tmp_path):
    out, _ = runs
    assert {path.name for path in out.iterdir()} == {
        *("seed-5", "seed-6", "seed-7"),
        *("seeds.json", "status.json", "summary.json"),
    }
    alone = ner.train(small(folder, seed=6), tmp_path / "alone", quiet())
    assert (alone / "metrics.jsonl").read_bytes() == (out / "seed-6" / "metrics.jsonl").read_bytes()
    assert read(out / "seed-6" / "config.json")["settings"] == read(alone / "config.json")["settings"]
    assert load_tagger(out / "seed-6", refuse).tag([["Anna"]])
    assert [read(out / name / "status.json")["status"] for name in ("", "seed-5", "seed-7")] == [
        "finished"
    ] * 3


def test_the_table_and_the_summary_hold_each_score_their_mean_and_deviation(runs):
    out, said = runs
    found = read(out / "summary.json")
    for row in found["seeds"]:
        results = read(out / row["run"] / "results.json")
        assert (row["best_epoch"], row["test"]) == (results["best_epoch"], results["test"]["micro avg"]["f1"])
        records = [json.loads(line) for line in (out / row["run"] / "metrics.jsonl").read_text().splitlines()]
        assert row["dev"] == max(record["dev_f1"] for record in records)
    assert [row["seed"] for row in found["seeds"]] == [5, 6, 7]
    for name in ("dev", "test"):
        scores = [row[name] for row in found["seeds"]]
        assert found["mean"][name] == pytest.approx(sum(scores) / 3)
        assert found["deviation"][name] == pytest.approx(statistics.stdev(scores))
    lines = said[said.index("\nseed   ") + 1 :].splitlines()
    cells = [line.split() for line in lines[: lines.index("")]]
    assert cells[0] == ["seed", "epoch", "dev", "F1", "test", "F1"]
    assert [row[0] for row in cells[1:]] == ["5", "6", "7", "mean", "deviation"]
    shown = [f"{found[row][part]:.4f}" for row in ("mean", "deviation") for part in ("dev", "test")]
    assert [*cells[-2][1:], *cells[-1][1:]] == shown
    assert max(map(len, lines[: len(cells)])) <= 40


def test_where_one_run_is_wanted_the_runs_of_seeds_are_named(runs):
    out, _ = runs
    with pytest.raises(RunError, match="holds the runs of several seeds: name one of them, such as .*seed-5"):
        load_tagger(out, refuse)
    assert Config(**read_settings(out)) == Config(**read_settings(out / "seed-5"))


def stop_at(monkeypatch, seed, epoch, error):
    """Has an error end the run of a seed when an epoch is shown."""
    shown = []

    def show(self, record, figures):
        shown.append(record.epoch)
        if shown.count(1) == seed and record.epoch == epoch:
            raise error

    monkeypatch.setattr(Progress, "epoch", show)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()])
def test_runs_that_were_stopped_go_on_with_the_seeds_that_are_missing(
    folder, runs, tmp_path, monkeypatch, error
):
    whole, _ = runs
    out = tmp_path / "out"
    stop_at(monkeypatch, 2, 1, error)
    with pytest.raises(type(error)):
        ner.train_seeds(small(folder), 3, out, quiet())
    monkeypatch.undo()
    if isinstance(error, KeyboardInterrupt):
        assert error.args == (f"go on with: jaxbackprop train --resume {out}",)
    assert sorted(path.name for path in out.glob("seed-*")) == ["seed-5", "seed-6"]
    # What a process leaves that is killed before its first step.
    (out / "seed-7").mkdir()
    (out / "seed-7" / "status.json").write_text("")
    first = (out / "seed-5" / "results.json").read_bytes()
    with pytest.raises(RunError, match="--hidden is 9, but it began with 8"):
        ner.resume(out, {"hidden": 9}, quiet())
    assert ner.resume(out, {"keep": 1}, quiet(warn=refuse)) == out
    assert (out / "seed-5" / "results.json").read_bytes() == first
    for seed in (5, 6, 7):
        ours, theirs = (path / f"seed-{seed}" / "metrics.jsonl" for path in (out, whole))
        assert ours.read_bytes() == theirs.read_bytes()
    ours, theirs = (read(path / "summary.json") for path in (out, whole))
    assert (ours["mean"], ours["deviation"]) == (theirs["mean"], theirs["deviation"])
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    ner.resume(out, {}, quiet(warn=refuse))
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_without_a_manifest_is_never_begun_anew_over_its_checkpoints(
    runs, folder, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    stop_at(monkeypatch, 1, 1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        ner.train_seeds(small(folder), 2, out, quiet())
    monkeypatch.undo()
    (out / "seed-5" / "manifest.json").unlink()
    with pytest.raises(RunError, match="it has no manifest.json"):
        ner.resume(out, {}, quiet())
    assert list((out / "seed-5" / "checkpoints").iterdir())


def test_where_a_loss_diverges_the_other_seeds_are_trained(folder, tmp_path, monkeypatch):
    from jaxbackprop.ner import _seeds
    from jaxbackprop.train import Diverged

    class Second(_seeds.Prepared):
        def run(self, run, *, resume):
            if self.config.seed == 6:
                raise Diverged(float("nan"), 3)
            super().run(run, resume=resume)

    monkeypatch.setattr(_seeds, "Prepared", Second)
    told, said = [], quiet(warn=lambda text: told.append(text))
    with pytest.raises(RunError, match="1 of 3 runs in .* failed: seed 6"):
        ner.train_seeds(small(folder, epochs=1), 3, tmp_path / "out", said)
    assert told == ["seed 6: the loss is nan at step 3: a lower learning rate may help"]
    found = read(tmp_path / "out" / "summary.json")
    assert [row["status"] for row in found["seeds"]] == ["finished", "failed", "finished"]
    assert found["mean"]["test"] == pytest.approx((found["seeds"][0]["test"] + found["seeds"][2]["test"]) / 2)
    assert "\n6          failed       -        -\n" in said.console.file.getvalue()
    assert read(tmp_path / "out" / "status.json")["status"] == "failed"


def test_one_seed_has_no_deviation(folder, tmp_path):
    out = ner.train_seeds(small(folder, epochs=1, test=None), 1, tmp_path / "out", quiet())
    found = read(out / "summary.json")
    assert found["deviation"] == {"dev": None, "test": None}
    assert found["mean"]["dev"] == found["seeds"][0]["dev"]


def test_what_is_wrong_leaves_nothing_behind(folder, tmp_path):
    with pytest.raises(DataError, match="nothing.conll"):
        ner.train_seeds(small(folder, train=str(tmp_path / "nothing.conll")), 2, tmp_path / "out", quiet())
    for count, changes, message in (
        (0, {}, "--seeds must be from 1 to 1000, not 0"),
        (2, {"seed": 2**31 - 1}, "--seeds 2: --seed must be at most 2147483647, not 2147483648"),
    ):
        with pytest.raises(CannotRun, match=message):
            ner.train_seeds(small(folder, **changes), count, tmp_path / "out", quiet())
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_seeds_that_is_none_is_refused(tmp_path):
    for text in ("{}", '{"seeds": [], "settings": {}}', '{"seeds": ["a"], "settings": {}}', "x"):
        (tmp_path / "seeds.json").write_text(text)
        (tmp_path / "status.json").write_text("{}")
        with pytest.raises(RunError, match="seeds.json"):
            ner.resume(tmp_path, {}, quiet())

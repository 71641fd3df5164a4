"""What a run has come to, read at any time of it."""

import json

import pytest

from jaxbackprop.train import RunError, read_outcome
from tests.train.runs import make_run, write_manifest_anew


def test_a_finished_run_has_all_its_figures(tmp_path):
    found = read_outcome(make_run(tmp_path / "run"))
    assert (found.status, found.why, len(found.epochs)) == ("finished", None, 3)
    assert (found.best["epoch"], found.dev, found.test, found.steps_per_second) == (2, 0.3, 0.25, 100.0)
    assert json.loads(json.dumps(found.to_dict()))["best_epoch"] == 2


def test_of_equal_epochs_the_latest_is_the_best_as_in_training(tmp_path):
    assert read_outcome(make_run(tmp_path / "run", (0.3, 0.3, 0.1))).best["epoch"] == 2


def test_tags_are_judged_by_accuracy_and_test_sentences_may_be_missing(tmp_path):
    files = {"train": "a", "dev": "b", "task": "tags"}
    found = read_outcome(make_run(tmp_path / "tags", (0.8, 0.9), **files))
    assert (found.score, found.dev, found.test) == ("accuracy", 0.9, 0.25)
    assert read_outcome(make_run(tmp_path / "none", test=None)).test is None


def test_a_run_in_progress_is_read_up_to_its_last_whole_line(tmp_path):
    folder = make_run(tmp_path / "run", ends="running", epochs=9)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')
    found = read_outcome(tmp_path / "run")
    assert (found.status, len(found.epochs), found.dev, found.test) == ("running", 3, 0.3, None)
    # The process is gone, and its lock with it.
    folder.release()
    assert read_outcome(tmp_path / "run").status == "killed"


@pytest.mark.parametrize(("ends", "why"), [("interrupted", None), ("failed", "the loss is nan at step 7")])
def test_how_a_run_ended_is_told(tmp_path, ends, why):
    found = read_outcome(make_run(tmp_path / "run", (), ends=ends, epochs=4))
    assert (found.status, found.why, found.epochs, found.best, found.dev) == (ends, why, (), None, None)


def test_an_older_run_has_neither_status_nor_all_settings(tmp_path):
    path = make_run(tmp_path / "run")
    (path / "status.json").unlink()
    assert read_outcome(path).status == "finished"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("metrics.jsonl", "nonsense\n", "metrics.jsonl:1 is no epoch's record with dev_f1"),
        ("metrics.jsonl", '{"epoch": 1, "loss": 1.0}\n', "metrics.jsonl:1 is no epoch's record with dev_f1"),
        ("metrics.jsonl", '{"epoch": 1, "loss": "x", "dev_f1": 1}\n', "metrics.jsonl:1 is no epoch's"),
        ("results.json", '{"test": {}}', "results.json holds no f1 of the test sentences"),
        ("results.json", '{"test": {"micro avg": {"f1": "x"}}}', "results.json holds no f1"),
        ("status.json", "[]", "status.json holds no JSON object"),
        ("config.json", "{}", "config.json has changed"),
    ],
)
def test_a_damaged_run_is_named_with_its_file(tmp_path, file, text, message):
    path = make_run(tmp_path / "run")
    (path / file).write_text(text)
    with pytest.raises(RunError, match=message):
        read_outcome(path)


def test_settings_of_another_version_are_named(tmp_path):
    path = make_run(tmp_path / "run")
    write_manifest_anew(path, depth=3)
    with pytest.raises(RunError, match="the configuration of .* is not usable: .*unknown depth"):
        read_outcome(path)

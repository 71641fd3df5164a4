"""The run folder: taken by one process, it says at any time how the run stands."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from jaxbackprop.train import Diverged, RunError, RunFolder, _run, read_run, read_status


def status(path):
    return json.loads((path / "status.json").read_text())


def test_it_is_there_from_the_start_and_says_how_it_ended(tmp_path):
    with RunFolder.take(tmp_path / "new" / "deep" / "run") as folder:
        assert status(folder.path)["status"] == "running"
        assert status(folder.path)["pid"] == os.getpid()
        folder.say(epoch=3, step=40)
        assert (status(folder.path)["epoch"], status(folder.path)["step"]) == (3, 40)
    assert status(folder.path)["status"] == read_status(folder.path) == "finished"
    assert folder.finished


@pytest.mark.parametrize(
    ("error", "how", "why"),
    [
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (SystemExit(143), "interrupted", "SystemExit"),
        (GeneratorExit(), "interrupted", "GeneratorExit"),
        (RunError("no space left"), "failed", "no space left"),
        (Diverged(float("nan"), 7), "failed", "the loss is nan at step 7: a lower learning rate may help"),
        (ZeroDivisionError("a\nb"), "failed", "ZeroDivisionError: a"),
    ],
)
def test_what_ended_it_is_said(tmp_path, error, how, why):
    def end():
        with RunFolder.take(tmp_path / "run"):
            raise error

    with pytest.raises(type(error)):
        end()
    assert (status(tmp_path / "run")["status"], status(tmp_path / "run")["why"]) == (how, why)
    assert not RunFolder.resume(tmp_path / "run").finished


def test_an_empty_folder_may_be_there_already(tmp_path):
    (tmp_path / "run").mkdir()
    assert RunFolder.take(tmp_path / "run").path == tmp_path / "run"


def test_a_run_folder_has_the_permissions_of_any_folder(tmp_path):
    (tmp_path / "plain").mkdir()
    run = RunFolder.take(tmp_path / "run").path
    assert stat.S_IMODE(run.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_name_that_is_taken_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    os.symlink("nowhere", tmp_path / "link")
    os.symlink("full", tmp_path / "other link")
    before = sorted(tmp_path.rglob("*"))
    new = "must be the name of a new folder"
    refused = {
        "file": "not a folder",
        "full": "not empty",
        "link": new,
        "other link": new,
        "full/..": "not empty",
    }
    for name, message in refused.items():
        with pytest.raises(RunError, match=message):
            RunFolder.take(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_working_folder_is_no_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="must be the name of a new folder"):
        RunFolder.take(".")


def test_a_path_through_a_folder_that_is_missing_is_tidied(tmp_path):
    assert RunFolder.take(tmp_path / "missing" / ".." / "run").path == tmp_path / "run"
    assert not (tmp_path / "missing").exists()


def test_a_parent_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        RunFolder.take(tmp_path / "file" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_runs_of_one_second_get_a_folder_each(tmp_path):
    started = datetime(2026, 12, 1, 11, 22, 33)
    with ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(RunFolder.take_dated, tmp_path / "runs", started) for _ in range(8)]
    names = sorted(future.result().path.name for future in taken)
    assert names == ["20261201-112233", *(f"20261201-112233-{n}" for n in range(2, 9))]


def test_what_it_holds_from_the_start_is_sealed(tmp_path):
    folder = RunFolder.take(tmp_path / "run", {"config.json": {"a": 1}, "vocabulary.json": {}})
    assert read_run(folder.path, begun=True) == ({"a": 1}, {})
    assert read_status(folder.path) == "running"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_of_two_that_take_a_name_one_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(_run, "refuse_taken", lambda path: None)
    RunFolder.take(tmp_path / "run", {"config.json": {"a": 1}})
    with pytest.raises(RunError, match="run has just been taken by another run"):
        RunFolder.take(tmp_path / "run", {"config.json": {"a": 2}})
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_in_progress_is_not_resumed_twice(tmp_path):
    folder = RunFolder.take(tmp_path / "run")
    with pytest.raises(RunError, match="run is being trained by another process"):
        RunFolder.resume(tmp_path / "run")
    folder.release()
    RunFolder.resume(tmp_path / "run").release()


def test_what_is_no_run_is_not_resumed(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        RunFolder.resume(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is no run folder: it has no status.json"):
        RunFolder.resume(tmp_path)


def test_metrics_are_appended_and_can_be_taken_back(tmp_path):
    folder = RunFolder.take(tmp_path / "run")
    for epoch in (1, 2, 3):
        folder.append_metrics({"epoch": epoch, "loss": 0.5})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    folder.write_metrics([{"epoch": 1, "loss": 0.5}])
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == lines[0] + "\n"


def test_json_holds_no_nan_and_a_file_is_whole_or_as_it_was(tmp_path):
    folder = RunFolder.take(tmp_path / "run")
    folder.write_json("config.json", {"lr": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        folder.write_json("config.json", {"lr": float("nan")})
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == {"lr": 1.0}

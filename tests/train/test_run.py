"""The run folder appears whole or not at all, and says when it is not what was written."""

import json
import os
import stat

import pytest

from jaxbackprop.train import RunError, RunWriter, read_run


def write(out):
    with RunWriter(out) as writer:
        writer.write_json("config.json", {"a": 1})
        writer.write_json("vocabulary.json", {"words": ["é", "b"]})
        (writer.path / "checkpoint" / "d").mkdir(parents=True)
        (writer.path / "checkpoint" / "d" / "0").write_bytes(b"0123456789")
        (writer.path / "metrics.jsonl").write_text("{}\n")
        writer.commit()
    return out


def test_what_was_written_is_read(tmp_path):
    assert read_run(write(tmp_path / "run")) == ({"a": 1}, {"words": ["é", "b"]})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_nothing_is_there_before_the_end(tmp_path):
    with RunWriter(tmp_path / "run") as writer:
        assert writer.path.parent == tmp_path
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_nothing_not_even_new_parents(tmp_path, error):
    def fail():
        with RunWriter(tmp_path / "new" / "deep" / "run") as writer:
            writer.write_json("config.json", {})
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_be_there_already(tmp_path):
    (tmp_path / "run").mkdir()
    assert read_run(write(tmp_path / "run"))[0] == {"a": 1}


def test_a_run_folder_has_the_permissions_of_any_folder(tmp_path):
    (tmp_path / "plain").mkdir()
    run = write(tmp_path / "run")
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
            RunWriter(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_working_folder_is_no_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="must be the name of a new folder"):
        RunWriter(".")


def test_a_path_through_a_folder_that_is_missing_is_tidied(tmp_path):
    write(tmp_path / "missing" / ".." / "run")
    assert read_run(tmp_path / "run")[0] == {"a": 1}
    assert not (tmp_path / "missing").exists()


def test_a_name_that_was_taken_meanwhile_is_left_alone(tmp_path):
    out = tmp_path / "run"

    def race():
        with RunWriter(out) as writer:
            writer.write_json("config.json", {})
            out.mkdir()
            (out / "theirs").write_text("kept")
            writer.commit()

    with pytest.raises(RunError, match="cannot write"):
        race()
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "theirs"]


def test_a_parent_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        RunWriter(tmp_path / "file" / "run")


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"), RunWriter(tmp_path / "run") as writer:
        writer.write_json("config.json", {"lr": float("nan")})


def test_a_changed_byte_is_noticed_in_every_guarded_file(tmp_path):
    run = write(tmp_path / "run")
    for name in ("config.json", "vocabulary.json", "checkpoint/d/0"):
        path = run / name
        right = path.read_bytes()
        path.write_bytes(right[:-2] + bytes([right[-2] ^ 1]) + right[-1:])
        with pytest.raises(RunError, match=f"{name} has changed since it was written: its sha256"):
            read_run(run)
        path.write_bytes(right[:-1])
        with pytest.raises(RunError, match=f"{name} has changed"):
            read_run(run)
        path.unlink()
        with pytest.raises(RunError, match=f"{name} is missing"):
            read_run(run)
        path.write_bytes(right)
    read_run(run)


def test_a_file_that_was_added_to_the_checkpoint_is_noticed(tmp_path):
    run = write(tmp_path / "run")
    (run / "checkpoint" / "more").write_text("")
    with pytest.raises(RunError, match="checkpoint/more is not listed"):
        read_run(run)


def test_notes_of_ones_own_do_no_harm(tmp_path):
    run = write(tmp_path / "run")
    (run / "notes.txt").write_text("good one")
    (run / "metrics.jsonl").unlink()
    read_run(run)


def test_what_is_no_run_is_said_to_be_none(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"is no run folder: it has no manifest.json"):
        read_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is no folder"):
        read_run(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"sha256": NaN}', "NaN is no JSON"),
        ("[]", "holds no JSON object"),
        ("{}", "lists no checksums"),
        ('{"sha256": {"config.json": 3}}', "lists no checksums"),
        ('{"sha256": {}}', "is not listed"),
        ("\xff", "is no JSON"),
    ],
)
def test_a_broken_manifest_is_said_to_be_broken(tmp_path, text, message):
    run = write(tmp_path / "run")
    (run / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=message):
        read_run(run)


def test_a_manifest_that_names_files_elsewhere_opens_none(tmp_path):
    run = write(tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["sha256"]["../../etc/passwd"] = "0" * 64
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="passwd is missing"):
        read_run(run)

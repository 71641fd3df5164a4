"""A run folder's checksums: what was written is read, and what has changed since is named."""

import json

import pytest

from jaxbackprop.train import RunError, RunFolder, read_run


def write(out):
    with RunFolder.take(out) as folder:
        folder.write_json("config.json", {"a": 1})
        folder.write_json("vocabulary.json", {"words": ["é", "b"]})
        (folder.path / "checkpoint" / "d").mkdir(parents=True)
        (folder.path / "checkpoint" / "d" / "0").write_bytes(b"0123456789")
        folder.write_metrics([])
        folder.seal()
    return out


def test_what_was_written_is_read(tmp_path):
    assert read_run(write(tmp_path / "run")) == ({"a": 1}, {"words": ["é", "b"]})


def test_a_run_that_has_begun_is_read_without_its_checkpoint(tmp_path):
    run = write(tmp_path / "run")
    (run / "checkpoint" / "d" / "0").unlink()
    assert read_run(run, begun=True)[0] == {"a": 1}
    (run / "config.json").write_text("{}")
    with pytest.raises(RunError, match="config.json has changed"):
        read_run(run, begun=True)


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

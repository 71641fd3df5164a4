"""`jaxbackprop advise`: the evidence, the verdict and a command that runs; bad requests in one line."""

import json
from pathlib import Path

import pytest

from tests.commands.process import assert_one_line_error, command, files
from tests.transfer.test_advice import TUNED_BETTER
from tests.transfer.text import write


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write(tmp_path / "here")
    return ("--train", "train.conll", "--vectors", "vectors.txt")


def test_the_evidence_the_verdict_and_the_command(cli, text, monkeypatch):
    monkeypatch.setattr("jaxbackprop.transfer._advice.probe", lambda *args, **how: TUNED_BETTER)
    status, stdout, stderr = cli("advise", *text, "--json", "advice.json")
    assert (status, stderr) == (0, "")
    labels = [line[:15].strip() for line in stdout.splitlines() if line[:15].strip()]
    assert labels == [
        *(
            "text",
            "size",
            "known words",
            "similarity",
            "rule of thumb",
            "probe",
            "verdict",
            "regime",
            "note",
            "command",
        )
    ]
    expected = "jaxbackprop train --train train.conll --dev DEV --vectors vectors.txt --tune-vectors"
    assert stdout.splitlines()[-1] == f"{'command':15}{expected}"
    assert "contradicts the rule of thumb" in " ".join(stdout.split())
    record = json.loads(Path("advice.json").read_text())
    assert record["command"] == expected
    assert (record["similarity"]["words"], record["similarity"]["known_words"]) == (180, 1)
    assert record["size"].startswith("small")


@pytest.mark.exhaustive
def test_end_to_end_and_the_command_runs(cli, text, tmp_path):
    status, stdout, stderr = cli("advise", *text, "--dev", "dev.conll")
    assert (status, stderr) == (0, "")
    assert "5-fold cross-validation on 30 sentences" in " ".join(stdout.split())
    program, *arguments = stdout.splitlines()[-1].split()[1:]
    assert program == "jaxbackprop"
    status, _, stderr = cli(*arguments, "--epochs", 2, "--out", "run")
    assert (status, stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--train", "missing.conll"), "missing.conll"),
        (("--vectors", "random"), "--vectors must be glove or a file of pretrained vectors, not random"),
        (("--scheme", "BIO"), "--scheme needs --train"),
        (("--json", "."), "--json .: it is a folder"),
        (("--train", "few.conll"), "few.conll: 5 folds need 10 sentences or more, got 2"),
        (("--train", "table.tsv"), "table.tsv holds sentences and labels, not words and tags: .* finetune"),
        (("--train", "plain.conll"), "plain.conll: the training sentences hold no entity"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(cli, text, arguments, said):
    Path("few.conll").write_text("anna B-person\nmet O\n\n" * 2)
    Path("plain.conll").write_text("anna O\nmet O\n\n" * 20)
    Path("table.tsv").write_text("id\tdocument\tlabel\n" + "1\tanna met otto\t0\n" * 20)
    before = files(Path("."))
    vectors = () if "--vectors" in arguments else text[-2:]
    assert_one_line_error(cli("advise", *arguments, *vectors), said)
    assert files(Path(".")) == before


def test_help_has_the_quadrant_and_the_regimes():
    _, stdout, _ = command("advise", "--help")
    for said in (
        "new classifier only",
        "augment the data",
        "train from scratch",
        "it overfits",
        "fine-tuning ",
    ):
        assert said in stdout

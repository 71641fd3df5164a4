"""`jaxbackprop pitfall`: tables, verdicts, two figures and all figures as JSON; bad requests in one line."""

import json
from functools import partial
from pathlib import Path

import matplotlib.image
import pytest

from jaxbackprop.transfer import measure_pitfall, measure_synonyms
from tests.commands.process import assert_one_line_error, command, files
from tests.transfer.test_pitfall import made
from tests.transfer.text import write

GROUPS = (("anna", "otto", "ida"),)


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write(tmp_path / "here")
    return ("--train", "train.conll", "--dev", "dev.conll", "--vectors", "vectors.txt")


@pytest.fixture
def measured(monkeypatch):
    """The scores are there, and no group of near-synonyms can be measured."""

    def measure(name, train, judged, vectors, *, config, seeds, begin, say):
        begin(1)
        say("a run")
        return made(unseen=(0.0, -0.1), over_all=(-0.1, 0.05), seeds=seeds)

    monkeypatch.setattr("jaxbackprop.transfer.measure_pitfall", measure)


def test_tables_verdict_and_files(cli, text, measured):
    status, stdout, stderr = cli("pitfall", *text, "--seeds", 3, "--out", "new/figures", "--json", "all.json")
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    at = lines.index("token F1 on words not seen in training")
    assert lines[at + 1].split() == [
        "sentences",
        "words",
        "random",
        "frozen",
        "tuned",
        "tuned",
        "-",
        *"frozen, 95%".split(),
    ]
    assert lines[at + 3].split()[:6] == ["200", "2,000", "0.510", "0.510", "0.411", "-0.099"]
    assert "Tuning starts to hurt words not seen at 200 training sentences." in lines
    assert "television: not measured: no vector for tv, telly, television" in lines
    # No group could be measured, so there is nothing to draw of them.
    assert files(Path("new")) == ["figures", "figures/pitfall.png"]
    assert matplotlib.image.imread("new/figures/pitfall.png").shape[2] == 4
    record = json.loads(Path("all.json").read_text())
    assert record["seeds"] == 3
    assert record["verdict"] == [line for line in lines if line in record["verdict"]]
    assert set(record["near-synonyms"]["not measured"]) == {"television", "mother", "children", "telephone"}


@pytest.mark.exhaustive
def test_end_to_end(cli, text, monkeypatch):
    monkeypatch.setattr("jaxbackprop.transfer.measure_pitfall", partial(measure_pitfall, updates=20))
    monkeypatch.setattr("jaxbackprop.transfer.measure_synonyms", partial(measure_synonyms, groups=GROUPS))
    status, stdout, stderr = cli("pitfall", *text, "--seeds", 2, "--out", "figures", "--json", "all.json")
    assert (status, stderr) == (0, "")
    assert files(Path("figures")) == ["pitfall.png", "synonyms.png"]
    record = json.loads(Path("all.json").read_text())
    assert {row["sentences"] for row in record["scores"]} == {30}
    (group,) = record["near-synonyms"]["measured"]
    assert group["moved"]["ida"] == 0 < group["moved"]["anna"]
    assert "anna, otto | ida" in stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seeds", "1"), "--seeds must be at least 2.*not 1"),
        (("--seeds", "some"), "--seeds.*some"),
        (("--vectors", "random"), "--vectors must be glove or a file of pretrained vectors, not random"),
        (("--vectors", "missing.txt"), "missing.txt"),
        (("--train", "train.conll"), "--train needs --dev"),
        (("--train", "missing.conll", "--dev", "dev.conll"), "missing.conll"),
        (("--dev", "dev.conll"), "--dev needs --train"),
        (("--out", "dev.conll"), "--out dev.conll: it is a file"),
        (("--json", "no/such/folder.json"), "--json .*: its folder does not exist"),
        (("now",), "now"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(cli, text, arguments, said):
    before = files(Path("."))
    vectors = () if "--vectors" in arguments else text[-2:]
    assert_one_line_error(cli("pitfall", *arguments, *vectors), said)
    assert files(Path(".")) == before


def test_a_text_without_entities_is_named(cli, text):
    Path("train.conll").write_text("anna O\nmet O\n\n" * 20)
    before = files(Path())
    result = cli("pitfall", *text, "--out", "figures")
    assert_one_line_error(result, "train.conll: the training sentences hold no entity")
    assert files(Path()) == before


def test_help_defines_the_three_regimes():
    _, stdout, _ = command("pitfall", "--help")
    for regime in ("pre-trained ", "fine-tuning ", "retraining "):
        assert f"\n  {regime}" in stdout

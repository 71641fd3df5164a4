"""What docstrings and the catalogue cite of the lecture is there: the headings of its slides."""

import re
from pathlib import Path

import pytest

from jaxbackprop.lecture import CLAIMS, Claim
from jaxbackprop.ops import catalogue

ROOT = Path(__file__).parents[1]

HEADINGS = {
    1: {
        "Derivative wrt a weight matrix",
        "Deriving Gradients : Tips",
        "Deriving gradient wrt words",
        "A pitfall when retraining word vectors",
    },
    2: {"Backpropagation", "Gradient Flow", "Efficiency", "Computation Graph", "Numerical Gradient"},
    3: {
        "Vanishing Gradients on Sigmoid",
        "Dying ReLU",
        "Exploding Gradients in vanilla RNNs",
        "Too slow",
        "Overfitting",
        "Regularization",
        "Vectorization",
        "Activation Function",
        "Weight Initialization",
        "Optimizer",
        "Learning Rate",
    },
}

# "unit 1 "A" (aside) and "B"": the headings that follow the number, with a comma or without.
CITATION = re.compile(r'unit ([123]),? ((?:"[^"]*"(?: \([^)]*\))?(?:,| and)? ?)+)')


def citations(text: str) -> list[tuple[int, str]]:
    found = CITATION.findall(re.sub(r"\s+", " ", text))
    return [(int(unit), heading) for unit, cited in found for heading in re.findall('"([^"]*)"', cited)]


SOURCES = {
    str(path.relative_to(ROOT)): path.read_text()
    for room in ("reference", "jaxbackprop")
    for path in sorted((ROOT / room).rglob("*.py"))
}


def test_citations_are_found() -> None:
    text = 'Source: lecture, unit 1 "A" (aside) and\n        "B"; unit 3, "C"; the "D" of others.'
    assert citations(text) == [(1, "A"), (1, "B"), (3, "C")]


def test_the_lecture_has_what_is_cited() -> None:
    cited = [(path, unit, heading) for path, text in SOURCES.items() for unit, heading in citations(text)]
    assert len(cited) > 50
    assert [each for each in cited if each[2] not in HEADINGS[each[1]]] == []


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_claim_stands_on_a_slide_of_its_unit(claim: Claim) -> None:
    assert claim.slide in HEADINGS[claim.unit]


def test_who_names_the_lecture_as_source_says_where() -> None:
    for path, text in SOURCES.items():
        for source in re.findall(r'Source: lecture.*?(?:\n\s*\n|""")', text, re.DOTALL):
            assert citations(source), f"{path}: {source}"


@pytest.mark.parametrize("row", catalogue.CATALOGUE, ids=lambda row: row.name)
def test_an_operator_cites_what_its_row_cites(row: catalogue.Operator) -> None:
    assert row.op.__doc__
    assert set(citations(row.source)) <= set(citations(row.op.__doc__))

"""The harness on a part of the corpus: no false alarm, every mistake caught, most of them named.

Every label once, where its program is small, and every twelfth right rule (exhaustively: every sixth).
"""

import pytest

from jaxbackprop.diagnose import Mistake
from tests.check.checked import checked
from tests.check.corpus import MISTAKES, RIGHT, WRONG
from tests.parts import a_part

SMALL_FIRST = ("elementwise", "reductions", "dense", "maxima", "losses", "embedding", "normalisation")


def size(case):
    family = case.name.split("/")[0]
    return SMALL_FIRST.index(family) if family in SMALL_FIRST else len(SMALL_FIRST)


CHOSEN = [min((case for case in WRONG if case.mistakes[0] == label), key=size) for label in MISTAKES]
HARD = a_part(RIGHT[::6], 2, lambda case: case.name)


@pytest.mark.parametrize("case", HARD)
def test_no_false_alarm(case):
    report = checked(case)
    assert report.ok, report


def labels(report):
    """What the report takes the mistake for, likeliest first."""
    return list(dict.fromkeys(mistake for found in report.findings for mistake in found.mistakes))


def test_every_mistake_is_caught_and_most_are_named():
    reports = [(case, checked(case)) for case in CHOSEN]
    faults = {case.name: n for case, r in reports for n in r.notes if "could not be looked into" in n}
    assert not faults
    missed = [case.name for case, report in reports if report.ok]
    assert not missed
    elsewhere = {
        case.name: r.wrong_arguments for case, r in reports if r.wrong_arguments != case.wrong_arguments
    }
    assert len(elsewhere) <= 0.05 * len(reports), elsewhere
    said = {case.name: labels(report) for case, report in reports}
    fits = {case.name: {*case.mistakes, *Mistake(case.mistakes[0]).neighbours} for case in CHOSEN}
    first = [name for name, found in said.items() if fits[name].intersection(found[:1])]
    three = [name for name, found in said.items() if fits[name].intersection(found[:3])]
    assert len(first) >= 0.6 * len(said), {name: found for name, found in said.items() if name not in first}
    assert len(three) >= 0.85 * len(said), {name: found for name, found in said.items() if name not in three}

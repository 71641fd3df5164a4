"""A check that may take so long and no longer."""

import itertools
import math
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import CannotCheck, _budget, check_pair, check_vjp
from tests.check.rules import normal, product

WRONG = product(lambda r, dy: (2 * r[1] * dy, r[0] * dy))


@pytest.fixture
def spent_after(monkeypatch):
    """A clock on which a budget of a second is spent once it has been looked at so often."""

    def set_to(looks):
        clock = itertools.chain([0.0] * (looks + 1), itertools.repeat(2.0))
        monkeypatch.setattr(_budget, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    return set_to


def test_without_a_budget_all_is_looked_at():
    assert not any(
        "budget" in note for note in check_vjp(product(), normal(3), normal(3), effort="quick").notes
    )


def test_enough_changes_nothing():
    given = product(), normal(3), normal(3, seed=1)
    assert str(check_vjp(*given, effort="quick", budget=1e6)) == str(check_vjp(*given, effort="quick"))


@pytest.mark.parametrize("looks", [0, 1])
def test_nothing_judged_is_no_verdict(spent_after, looks):
    spent_after(looks)
    with pytest.raises(CannotCheck, match="the budget of 1 s ended before a gradient of .* had been judged"):
        check_vjp(WRONG, normal(3), normal(3, seed=1), budget=1)


def test_what_is_known_is_said_wherever_it_ends(spent_after):
    """From the first gradient compared on a wrong rule is found wrong; before, nothing is said of it."""
    notes = []
    for looks in range(2, 30):
        spent_after(looks)
        try:
            report = check_vjp(WRONG, normal(3), normal(3, seed=1), effort="quick", budget=1)
        except CannotCheck:
            assert not notes
            continue
        notes += [note for note in report.notes if "budget" in note]
        assert report.ok == any("values" in note for note in report.notes)
    assert any("not looked at: vmap" in note for note in notes)
    assert "the budget is spent; not looked at: which mistake it is" in notes


def test_differences_of_a_slow_function_in_numpy_end_too(spent_after):
    spent_after(40)
    with pytest.raises(CannotCheck, match="budget of 1 s"):
        check_pair(np.sin, lambda x, dy: dy * np.cos(x), np.linspace(-1, 1, 5), budget=1)


@pytest.mark.parametrize("budget", [0, -1.0, math.nan, "5"])
def test_no_budget(budget):
    with pytest.raises(CannotCheck, match="budget must be a number of seconds above 0, got"):
        check_vjp(product(), jnp.ones(2), jnp.ones(2), budget=budget)

"""Calls of code that may raise anything."""

import pytest

from jaxbackprop.check._attempt import attempt


def test_what_a_call_gives():
    outcome = attempt(lambda: 3)
    assert outcome.error is None
    assert outcome.value == 3
    assert attempt(lambda: None).value is None


def test_what_a_call_raises_is_kept_and_raised_again_for_who_needs_the_value():
    outcome = attempt(lambda: {}["missing"])
    assert isinstance(outcome.error, KeyError)
    with pytest.raises(KeyError, match="missing"):
        outcome.value  # noqa: B018


def test_what_stops_a_program_is_not_held_back():
    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(stopped)

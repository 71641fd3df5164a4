"""From arguments to a report, and what stays of it where something fails on the way."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import CannotCheck, _examine, _session, check_vjp, examine
from tests.check.rules import elementwise, normal, product, sine


def test_a_fault_in_naming_a_mistake_does_not_lose_the_verdict(monkeypatch):
    def fails(*args):
        raise IndexError("of ours")

    monkeypatch.setattr(_examine, "diagnosed", fails)
    report = check_vjp(sine(1.1), normal(3), effort="quick")
    assert report.wrong_arguments == (0,)
    assert report.findings[0].message == "dx is wrong"
    assert "the mistake could not be looked into: IndexError: of ours" in report.notes


def test_a_fault_of_ours_elsewhere_leaves_nothing_called_right(monkeypatch):
    def fails(*args):
        raise IndexError("of ours")

    monkeypatch.setattr(_examine, "PROPERTIES", (fails,))
    with pytest.raises(CannotCheck, match="sin cannot be judged: IndexError: of ours") as raised:
        check_vjp(sine(), normal(3), effort="quick")
    assert isinstance(raised.value.__context__, IndexError)


def test_what_is_found_before_a_fault_of_ours_stays(monkeypatch):
    def fails(*args):
        raise IndexError("of ours")

    monkeypatch.setattr(_examine, "PROPERTIES", (*_examine.PROPERTIES[:2], fails))
    report = check_vjp(sine(1.1), normal(3), effort="quick")
    assert report.wrong_arguments == (0,)
    assert "not everything was looked at: IndexError: of ours" in report.notes


def test_large_arguments_are_noted(monkeypatch):
    monkeypatch.setattr(_session, "LARGE", 2)
    report = check_vjp(sine(), normal(3), effort="quick")
    assert report.ok, report
    assert report.points == 2
    assert report.notes[0] == "the arguments are large: looked at few points"


def test_a_function_that_is_not_finite_is_noted_only_where_the_given_arguments_are_meant():
    """Those with simple numbers, at which a mistake is to be shown, are ours."""
    log = elementwise(jnp.log, lambda x: 2 / x)
    note = "the function is not finite at the given arguments: judged at redrawn ones"
    assert note not in check_vjp(log, jnp.asarray([0.5, 2.0], jnp.float32), effort="quick").notes
    assert note in check_vjp(log, jnp.asarray([-0.5, 2.0], jnp.float32)).notes


def test_what_is_finite_nowhere_is_not_called_right():
    log = elementwise(jnp.log, lambda x: 2 / x)
    with pytest.raises(CannotCheck, match="finite neither at the given arguments nor at redrawn ones"):
        check_vjp(log, jnp.asarray([-0.5, 2.0], jnp.float32), effort="quick")


def test_the_numbers_behind_a_verdict():
    x, y = normal(3), normal(3, seed=1)
    found = examine(product(), x, y, effort="quick")
    assert found.report.ok
    assert found.arguments == (0, 1)
    assert found.kinks == (False, False)
    assert found.kept == (24, 24)
    assert {compared.how for compared in found.compared} >= {
        "float64",
        "native",
        "differences",
        "jit",
        "vmap",
    }
    np.testing.assert_array_equal(found.base.point.leaves[0], np.asarray(x, float))
    np.testing.assert_allclose(found.base.got.value[0], np.asarray(x, float) * np.asarray(y, float))


@pytest.mark.parametrize(
    ("options", "says"),
    [({"effort": "hard"}, "effort must be"), ({"seed": -1}, "seed must be"), ({"seed": 0.5}, "seed must be")],
)
def test_what_is_refused(options, says):
    with pytest.raises(CannotCheck, match=says):
        check_vjp(sine(), normal(3), **options)

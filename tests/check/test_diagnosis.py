"""From findings to mistakes: what evidence is gathered, and how suspicions become labels and sentences."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from jaxbackprop.check import Finding, _session, check_pair, check_vjp
from jaxbackprop.check import _diagnosis as diagnosis
from jaxbackprop.diagnose import Mistake, Suspicion
from tests.check.rules import elementwise, normal, product, rule

SESSION = SimpleNamespace(
    layout=SimpleNamespace(arguments=(0, 1, 1), paths=("", "['a']", "['b']")), large=False
)


def value(argument, path="", mistakes=()):
    return Finding("value", "is wrong", argument=argument, path=path, mistakes=mistakes)


def suspicion(label, leaf, cost=0.1, stage="numbers"):
    return Suspicion(label, f"{label} of {leaf}", leaf, cost, stage)


def test_a_finding_gets_the_mistakes_of_its_leaf_in_their_order():
    suspicions = [
        suspicion(Mistake.SIGN, 2, stage="rule"),
        suspicion(Mistake.PADDING, 1),
        suspicion(Mistake.DETACHED, None),
        suspicion(Mistake.SIGN, None),
    ]
    (found,) = diagnosis.named(SESSION, [value(1, "['b']")], suspicions)
    assert found.mistakes == ("sign", "detached")
    assert (found.message, found.named_by) == ("sign of 2", "rule")
    assert all(type(label) is str for label in found.mistakes)


def test_a_finding_has_at_most_five_labels():
    (found,) = diagnosis.named(SESSION, [value(0)], [suspicion(mistake, 0) for mistake in Mistake])
    assert len(found.mistakes) == 5


def test_what_is_known_already_or_not_suspected_stays_as_it_is():
    findings = [value(0, mistakes=("batch of one",)), value(1, "['a']"), Finding("jit", "differs")]
    found = diagnosis.named(SESSION, findings, [suspicion(Mistake.SIGN, 0)])
    assert sorted(found, key=findings.index) == findings


def test_the_leaf_whose_mistake_is_plainest_comes_first():
    suspicions = [suspicion(Mistake.PADDING, 0, 0.3), suspicion(Mistake.SIGN, 1, 0.0)]
    findings = [value(0), value(1, "['a']"), value(1, "['b']")]
    found = diagnosis.named(SESSION, findings, suspicions)
    assert [f.path for f in found] == ["['a']", "", "['b']"]


def test_settings_explain_a_factor():
    scaled = rule(lambda x, keep: jnp.sin(x) * keep, lambda keep, x, dy: (jnp.cos(x[0]) * dy,), static=(1,))
    scaled.defvjp(lambda x, keep: (jnp.sin(x) * keep, (x,)), lambda keep, r, dy: (jnp.cos(r[0]) * dy,))
    (found,) = check_vjp(scaled, normal(5), 0.8).findings
    assert found.mistakes[0] == "constant factor"
    assert "1/keep" in found.message


def test_a_gradient_that_is_wrong_only_where_it_is_not_finite_is_unstable():
    square = elementwise(lambda x: x * x, lambda x: 2 * x * x / x)
    (found,) = check_vjp(square, jnp.asarray([0.0, 1.0, 2.0])).findings
    assert found.mistakes == ("numerically unstable", "partly wrong")
    assert found.message == "dx is not finite where it should be, at x = 0"


def test_nan_where_autodiff_has_it_too_is_said_to_be_that():
    for f, x, at in (
        (jnp.linalg.norm, jnp.zeros(3), "x = 0"),
        (lambda x: jnp.sqrt(jnp.sum(x**2, -1)), jnp.zeros((2, 3)), "x = 0"),
        (lambda p: jnp.where(p["w"] > 1, jnp.sqrt(p["w"] - 1), 0.0), {"w": jnp.asarray([0.5, 3])}, "= 0.5"),
    ):
        report = check_vjp(f, x, effort="quick")
        (found,) = report.findings
        assert "is not finite where it should be" in found.message
        assert found.message.endswith(at)
        assert found.mistakes[0] == "numerically unstable"


def test_a_rule_in_numpy_judged_by_differences_is_named():
    report = check_pair(np.sin, lambda x, dy: (-np.cos(x) * dy,), np.asarray(normal(4), np.float64))
    assert [found.mistakes[0] for found in report.findings] == ["sign"]


def test_too_few_points_are_no_evidence():
    assert diagnosis.gather(SESSION, (), {}) is None


def test_a_fault_in_naming_keeps_the_verdict(monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("broken")

    monkeypatch.setattr(diagnosis, "diagnose", broken)
    report = check_vjp(product(lambda r, dy: (r[1] * dy, 2 * r[0] * dy)), normal(3), normal(3, seed=1))
    assert report.wrong_arguments == (1,)
    assert any("could not be looked into: ValueError: broken" in note for note in report.notes)


def test_of_large_arguments_two_points_are_evidence_enough(monkeypatch):
    monkeypatch.setattr(_session, "LARGE", 2)
    doubled = product(lambda r, dy: (2 * r[1] * dy, r[0] * dy))
    report = check_vjp(doubled, normal(3), normal(3, seed=1), effort="quick")
    assert report.points == 2
    assert report.findings[0].mistakes[0] == "constant factor"

"""The search through all detectors: which label comes first, and what it does with strange input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.diagnose import Evidence, Mistake, Sample, Suspicion
from jaxbackprop.diagnose.by_values import _search, ranked, search
from tests.diagnose.by_values.rules import (
    LINEAR,
    MISTAKES,
    evidence,
    labels,
    linear_evidence,
    linear_vjp,
    normal,
    recurrence_evidence,
    suspicions,
)


@pytest.mark.parametrize("label", LINEAR)
def test_a_mistake_in_a_linear_layer_is_named_first(label):
    assert labels(suspicions(linear_evidence(LINEAR[label])))[0] == label


def test_only_the_wrong_leaf_is_suspected():
    found = suspicions(linear_evidence(LINEAR["transposed result"]))
    assert {s.leaf for s in found} == {1}
    assert found[0].message == "dW is the transpose of what it should be"
    assert all(s.stage == "numbers" for s in found)


def test_a_message_names_the_place():
    message = suspicions(linear_evidence(LINEAR["partly wrong"]))[0].message
    assert message == "dW is wrong in the last column only"


def test_a_right_rule_is_not_suspected():
    assert suspicions(linear_evidence(linear_vjp)) == []


def test_a_label_is_suspected_once_for_each_leaf():
    def rule(x, W, b, dy):
        return dy @ W.T + x, dy.T @ x[::-1] * 2, dy[0]

    found = suspicions(linear_evidence(rule))
    assert len({(s.label, s.leaf) for s in found}) == len(found)
    assert {s.leaf for s in found} == {0, 1, 2}


@pytest.mark.parametrize("label", MISTAKES)
def test_a_mistake_in_an_operator_is_named_first(label):
    assert labels(suspicions(evidence(*MISTAKES[label])))[0] == label


def test_a_place_that_moves_with_the_numbers_is_said_by_the_argument():
    found = suspicions(evidence(np.abs, lambda x, dy: (np.sign(x) * dy,), lambda x, dy: (dy,), normal(9)))
    assert {"wrong mask", "partly wrong"} <= set(labels(found)[:3])
    assert found[0].message == "dx is wrong where x < 0"


@pytest.mark.parametrize(
    ("label", "changed"),
    [
        ("time shift", {"state": "after"}),
        ("path forgotten", {"through": False}),
        ("missing transpose", {"transpose": False}),
    ],
)
def test_a_mistake_in_a_recurrence_is_among_the_first_three(label, changed):
    found = suspicions(recurrence_evidence(**changed))
    equal = {"path forgotten": {"path forgotten", "missing term"}}.get(label, {label})
    assert equal & set(labels(found)[:3])


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (1, 1), (2, 1, 3)])
@pytest.mark.parametrize(
    "rule", [lambda x, dy: (2 * dy + x,), lambda x, dy: (dy * np.inf,), lambda x, dy: (dy * dy,)]
)
def test_strange_shapes_and_values_do_not_raise(shape, rule):
    found = suspicions(evidence(np.sin, lambda x, dy: (np.cos(x) * dy,), rule, normal(*shape)))
    assert all(s.leaf == 0 for s in found)


def test_a_rule_that_refuses_other_points_is_judged_by_its_samples():
    case = evidence(np.sin, lambda x, dy: (np.cos(x) * dy,), lambda x, dy: (-np.cos(x) * dy,), normal(4))

    def refuses(leaves, dy):
        raise RuntimeError("not here")

    refused = Evidence(case.names, case.slots, case.wrong, case.samples, refuses, refuses)
    assert suspicions(refused)[0].label == "sign"


def test_one_sample_out_of_line_does_not_hide_a_pattern():
    def rule(x, dy):
        return (2 * np.cos(x) * dy if x[0] < 100 else np.cos(x),)

    case = evidence(np.sin, lambda x, dy: (np.cos(x) * dy,), rule, normal(4), points=6)
    last = case.samples[-1]
    far = (last.leaves[0] + 200,)
    got, want = case.rule(far, last.dy), case.truth(far, last.dy)
    samples = (*case.samples[:-1], Sample(far, last.dy, last.y, got, want, last.noise))
    found = suspicions(Evidence(case.names, case.slots, case.wrong, samples, case.rule, case.truth))
    assert found[0].label == "constant factor"


@given(st.sampled_from(sorted(LINEAR)), st.integers(2, 5))
def test_the_right_label_is_among_the_first_three_for_any_batch(label, n):
    if label in ("wrong axis", "order reversed", "off by one"):
        n = 4
    found = suspicions(linear_evidence(LINEAR[label], n))
    assert label in labels(found)[:3]
    assert all(0 <= s.cost <= 1 for s in found)


def suspicion(label, leaf, cost):
    return Suspicion(label, "", leaf, cost, "numbers")


def test_the_cheapest_suspicion_of_a_label_and_a_leaf_is_kept():
    found = [suspicion(Mistake.SIGN, 0, cost) for cost in (0.3, 0.1, 0.2)]
    assert ranked(found, 1) == [found[1]]


def test_a_mistake_that_explains_more_leaves_comes_first():
    both = [suspicion(Mistake.SIGN, leaf, 0.1) for leaf in (0, 1)]
    one = suspicion(Mistake.PADDING, 0, 0.05)
    assert ranked([one, *both], 2) == [*both, one]
    assert ranked([one, both[0]], 1) == [one, both[0]]


def test_without_time_the_commonest_mistakes_are_said():
    found = search(linear_evidence(LINEAR["transposed result"]), budget_s=0.0)
    assert {s.found_by for s in found} == {"by_prior"}


def test_a_fault_in_a_detector_is_not_hidden(monkeypatch):
    def broken(probe, leaf):
        raise ValueError("broken")

    monkeypatch.setitem(_search.DETECTORS, _search.Reads.VALUES, (broken,))
    with pytest.raises(ValueError, match="broken"):
        search(linear_evidence(LINEAR["sign"]))

"""The table of detectors: each finds its mistake in an example."""

import numpy as np
import pytest

from jaxbackprop.diagnose import Mistake
from jaxbackprop.diagnose.by_mutation._search import ROUNDS
from jaxbackprop.diagnose.by_values import DETECTORS, search
from tests.diagnose.by_values.rules import (
    LINEAR,
    LOG_SUM_EXP,
    MISTAKES,
    evidence,
    linear_evidence,
    normal,
    recurrence_evidence,
)

TIES = np.array([[1.0, 3.0, 3.0], [2.0, 0.5, 1.0], [0.0, 0.2, -1.0]])
ROWS = normal(3, 4)


def ties_vjp(x, dy):
    winners = x == x.max(-1, keepdims=True)
    return (winners / winners.sum(-1, keepdims=True) * dy[:, None],)


# For each detector evidence in which it finds a mistake.
EXAMPLES = {
    "zero_everywhere": (linear_evidence(LINEAR["detached"]), Mistake.DETACHED),
    "not_linear": (linear_evidence(LINEAR["upstream squared"]), Mistake.UPSTREAM_SQUARED),
    "one_factor": (linear_evidence(LINEAR["sign"]), Mistake.SIGN),
    "small_error": (linear_evidence(LINEAR["small constant"]), Mistake.SMALL_CONSTANT),
    "known_factor": (evidence(*MISTAKES["missing factor"]), Mistake.MISSING_FACTOR),
    "along_another_axis": (evidence(*LOG_SUM_EXP, normal(3, 5)), Mistake.WRONG_AXIS),
    "unnormalised_rows": (evidence(*MISTAKES["unnormalised"]), Mistake.UNNORMALISED),
    "transposed_gradient": (linear_evidence(LINEAR["transposed result"]), Mistake.TRANSPOSED_RESULT),
    "reversed_gradient": (linear_evidence(LINEAR["order reversed"]), Mistake.ORDER_REVERSED),
    "shifted_gradient": (
        evidence(
            np.sin, lambda x, dy: (np.cos(x) * dy,), lambda x, dy: (np.roll(np.cos(x) * dy, 1),), normal(5)
        ),
        Mistake.OFF_BY_ONE,
    ),
    "summed_gradient": (linear_evidence(LINEAR["extra sum"]), Mistake.EXTRA_SUM),
    "another_arguments": (evidence(*MISTAKES["arguments swapped"]), Mistake.ARGUMENTS_SWAPPED),
    "where_zero_is_due": (evidence(*MISTAKES["padding"]), Mistake.PADDING),
    "always_the_same": (linear_evidence(LINEAR["partly wrong"]), Mistake.PARTLY_WRONG),
    "beyond_a_value": (
        evidence(np.abs, lambda x, dy: (np.sign(x) * dy,), lambda x, dy: (dy,), normal(9)),
        Mistake.WRONG_MASK,
    ),
    "constant_along_an_axis": (
        evidence(
            lambda x: x - x.mean(-1, keepdims=True),
            lambda x, dy: (dy - dy.mean(-1, keepdims=True),),
            lambda x, dy: (dy,),
            normal(3, 4),
        ),
        Mistake.MISSING_TERM,
    ),
    "label_smoothing": (evidence(*MISTAKES["smoothing forgotten"]), Mistake.SMOOTHING_FORGOTTEN),
    "linear_in_an_argument": (
        evidence(
            lambda x, t: x * x / 2 - x * (0.9 * t + 0.05),
            lambda x, t, dy: ((x - 0.9 * t - 0.05) * dy, -0.9 * x * dy),
            lambda x, t, dy: ((x - t) * dy, -0.9 * x * dy),
            normal(5),
            normal(5, seed=1),
        ),
        Mistake.SMOOTHING_FORGOTTEN,
    ),
    "reversed_axes": (
        evidence(
            np.cumsum, lambda x, dy: (dy[::-1].cumsum()[::-1],), lambda x, dy: (dy.cumsum(),), normal(5)
        ),
        Mistake.ORDER_REVERSED,
    ),
    "reversed_dependence": (
        evidence(
            np.cumprod,
            lambda x, dy: ((dy * np.cumprod(x))[::-1].cumsum()[::-1] / x,),
            lambda x, dy: ((dy * np.cumprod(x)).cumsum() / x,),
            normal(5),
        ),
        Mistake.ORDER_REVERSED,
    ),
    "exchanged_axes": (linear_evidence(LINEAR["missing transpose"]), Mistake.MISSING_TRANSPOSE),
    "transposed_factor": (linear_evidence(LINEAR["missing transpose"]), Mistake.MISSING_TRANSPOSE),
    "lost": (evidence(*MISTAKES["diagonal only"]), Mistake.DIAGONAL_ONLY),
    "one_slice_counts": (
        evidence(
            lambda b: ROWS * b,
            lambda b, dy: ((dy * ROWS).sum(0),),
            lambda b, dy: (2 * dy[-1] * ROWS[-1],),
            normal(4),
        ),
        Mistake.MISSING_SUM,
    ),
    "moved": (evidence(*MISTAKES["wrong winner"]), Mistake.WRONG_WINNER),
    "not_due": (evidence(*MISTAKES["wrong mask"]), Mistake.WRONG_MASK),
    "share_of_winners": (
        evidence(
            lambda x: x.max(-1),
            ties_vjp,
            lambda x, dy: ((x == x.max(-1, keepdims=True)) * dy[:, None],),
            TIES,
            fixed=(0,),
        ),
        Mistake.WRONG_WINNER,
    ),
    "another_slope": (evidence(*MISTAKES["wrong derivative formula"]), Mistake.WRONG_DERIVATIVE),
    "coupled_axes": (linear_evidence(LINEAR["extra sum"]), Mistake.EXTRA_SUM),
    "simple_difference": (evidence(*MISTAKES["path forgotten"]), Mistake.PATH_FORGOTTEN),
    "result_for_state": (recurrence_evidence(state="after"), Mistake.TIME_SHIFT),
    "by_prior": (linear_evidence(LINEAR["wrong axis"]), Mistake.MISSING_TERM),
    "truth_at_changed_input": (evidence(*MISTAKES["output for input"]), Mistake.OUTPUT_FOR_INPUT),
    "rule_at_changed_input": (evidence(*MISTAKES["stale residual"]), Mistake.STALE_RESIDUAL),
    "mixed_examples": (evidence(*MISTAKES["batch of one"]), Mistake.BATCH_OF_ONE),
}


NAMES = [find.__name__ for finds in DETECTORS.values() for find in finds]


def test_every_detector_has_an_example_and_a_name_of_its_own():
    assert sorted(EXAMPLES) == sorted(NAMES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_detector_finds_its_mistake(name):
    case, mistake = EXAMPLES[name]
    assert mistake in {s.label for s in search(case) if s.found_by == name}


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_suspicion_is_of_a_wrong_leaf_and_says_so(example):
    case = EXAMPLES[example][0]
    for suspicion in search(case):
        assert suspicion.found_by in NAMES
        assert suspicion.leaf in case.wrong
        assert suspicion.message.startswith(f"{case.names[suspicion.leaf]} ")
        assert 0 <= suspicion.cost <= 1


def test_no_mutation_has_the_name_of_a_detector():
    mutations = {mutation.name for round_ in ROUNDS for mutation in round_.mutations}
    assert mutations.isdisjoint(NAMES)

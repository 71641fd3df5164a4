"""The table of detectors: what each is given, and which mistakes it can name."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Set
from typing import NamedTuple

from .._evidence import Suspicion
from ..mistakes import Mistake as M
from ._cotangent import not_linear, zero_everywhere
from ._coupling import coupled_axes, coupled_by_exponentials, simple_difference
from ._entries import (
    always_the_same,
    at_repeated_indices,
    beyond_a_value,
    one_or_two,
    some,
    where_zero_is_due,
)
from ._entry_factor import known_factor, unnormalised_rows
from ._factor import one_factor, small_error
from ._guess import by_prior
from ._jacobian_axes import exchanged_axes, reversed_axes, reversed_dependence, transposed_factor
from ._jacobian_factor import (
    another_slope,
    factor_of_upstream,
    share_of_winners,
    wrong_signs,
)
from ._lacking_term import constant_along_an_axis, label_smoothing, linear_in_an_argument
from ._lost_contributions import lost, one_slice_counts
from ._moved_contributions import moved, not_due, shared
from ._placement import (
    another_arguments,
    reversed_gradient,
    shifted_gradient,
    summed_gradient,
    transposed_gradient,
)
from ._recurrence import first_step, result_for_state, through_time
from ._rule_at_changed_input import mixed_examples, rule_at_changed_input
from ._truth_at_changed_input import truth_at_changed_input


class Reads(enum.Enum):
    """What a detector is given beside the probe."""

    FIRST = "a leaf; what the first such detector finds is all that is said of the leaf"
    VALUES = "a leaf, whose gradients it reads at all samples"
    JACOBIANS = "a leaf and its Jacobians at two points"
    LAST = "a leaf, after all that read it"
    EVERYTHING = "nothing; it asks the rule or the truth at changed input, of all leaves"


class Detector(NamedTuple):
    """A row of the table.

    Attributes:
        find: called with the probe and what `reads` says.
        reads: the kind of its input.
        mistakes: those that it can name.
    """

    find: Callable[..., Iterator[Suspicion]]
    reads: Reads
    mistakes: Set[M]

    @property
    def name(self) -> str:
        """What `Suspicion.found_by` says."""
        return self.find.__name__

    @property
    def purpose(self) -> str:
        """What it looks for, in a sentence."""
        return (self.find.__doc__ or "").partition("\n")[0]


# In the order in which they run: where time runs out, the rest is not asked.
DETECTORS: tuple[Detector, ...] = (
    Detector(zero_everywhere, Reads.FIRST, {M.DETACHED}),
    Detector(one_or_two, Reads.FIRST, {M.PARTLY_WRONG}),
    Detector(not_linear, Reads.FIRST, {M.UPSTREAM_IGNORED, M.UPSTREAM_SQUARED, M.NON_LINEAR}),
    Detector(
        one_factor,
        Reads.VALUES,
        {M.SIGN, M.CONSTANT_FACTOR, M.SMALL_CONSTANT, M.MISSING_FACTOR, M.BATCH_OF_ONE},
    ),
    Detector(small_error, Reads.VALUES, {M.SMALL_CONSTANT}),
    Detector(
        known_factor,
        Reads.VALUES,
        {
            M.MISSING_FACTOR,
            M.WRONG_DERIVATIVE,
            M.TIME_SHIFT,
            M.OUTPUT_FOR_INPUT,
            M.INPUT_FOR_OUTPUT,
            M.STALE_RESIDUAL,
        },
    ),
    Detector(unnormalised_rows, Reads.VALUES, {M.UNNORMALISED, M.MISSING_TERM, M.WRONG_DERIVATIVE}),
    Detector(transposed_gradient, Reads.VALUES, {M.TRANSPOSED_RESULT, M.WRONG_AXIS}),
    Detector(reversed_gradient, Reads.VALUES, {M.ORDER_REVERSED}),
    Detector(shifted_gradient, Reads.VALUES, {M.OFF_BY_ONE, M.TIME_SHIFT}),
    Detector(summed_gradient, Reads.VALUES, {M.EXTRA_SUM}),
    Detector(another_arguments, Reads.VALUES, {M.ARGUMENTS_SWAPPED}),
    Detector(at_repeated_indices, Reads.VALUES, {M.SET_NOT_ADD}),
    Detector(where_zero_is_due, Reads.VALUES, {M.PADDING, M.WRONG_MASK, M.MISSING_FACTOR}),
    Detector(always_the_same, Reads.VALUES, {M.PARTLY_WRONG, M.PADDING, M.OFF_BY_ONE, M.TIME_SHIFT}),
    Detector(beyond_a_value, Reads.VALUES, {M.PARTLY_WRONG, M.WRONG_MASK, M.WRONG_DERIVATIVE}),
    Detector(some, Reads.VALUES, {M.PARTLY_WRONG}),
    Detector(constant_along_an_axis, Reads.VALUES, {M.MISSING_TERM}),
    Detector(label_smoothing, Reads.VALUES, {M.SMOOTHING_FORGOTTEN}),
    Detector(linear_in_an_argument, Reads.VALUES, {M.SMOOTHING_FORGOTTEN, M.MISSING_TERM}),
    Detector(reversed_axes, Reads.JACOBIANS, {M.ORDER_REVERSED}),
    Detector(exchanged_axes, Reads.JACOBIANS, {M.WRONG_AXIS, M.MISSING_TRANSPOSE}),
    Detector(reversed_dependence, Reads.JACOBIANS, {M.ORDER_REVERSED, M.MISSING_TRANSPOSE}),
    Detector(transposed_factor, Reads.JACOBIANS, {M.MISSING_TRANSPOSE}),
    Detector(
        lost,
        Reads.JACOBIANS,
        {
            M.DIAGONAL_ONLY,
            M.MISSING_TERM,
            M.OFF_BY_ONE,
            M.SET_NOT_ADD,
            M.MISSING_SUM,
            M.BATCH_OF_ONE,
            M.TIME_SHIFT,
            M.PARTLY_WRONG,
            M.WRONG_MASK,
        },
    ),
    Detector(one_slice_counts, Reads.JACOBIANS, {M.MISSING_SUM, M.TIME_SHIFT}),
    Detector(
        moved, Reads.JACOBIANS, {M.OFF_BY_ONE, M.WRONG_WINNER, M.WRONG_MASK, M.WRONG_AXIS, M.ORDER_REVERSED}
    ),
    Detector(shared, Reads.JACOBIANS, {M.WRONG_WINNER}),
    Detector(not_due, Reads.JACOBIANS, {M.WRONG_WINNER, M.WRONG_MASK, M.PADDING, M.EXTRA_SUM}),
    Detector(share_of_winners, Reads.JACOBIANS, {M.WRONG_WINNER}),
    Detector(wrong_signs, Reads.JACOBIANS, {M.SIGN, M.WRONG_MASK}),
    Detector(another_slope, Reads.JACOBIANS, {M.WRONG_DERIVATIVE, M.MISSING_TERM, M.MISSING_FACTOR}),
    Detector(
        factor_of_upstream,
        Reads.JACOBIANS,
        {
            M.WRONG_DERIVATIVE,
            M.MISSING_FACTOR,
            M.TIME_SHIFT,
            M.OUTPUT_FOR_INPUT,
            M.INPUT_FOR_OUTPUT,
            M.STALE_RESIDUAL,
        },
    ),
    Detector(
        coupled_axes,
        Reads.JACOBIANS,
        {M.MISSING_TERM, M.DIAGONAL_ONLY, M.EXTRA_SUM, M.BATCH_OF_ONE, M.WRONG_AXIS},
    ),
    Detector(coupled_by_exponentials, Reads.JACOBIANS, {M.UNNORMALISED}),
    Detector(
        simple_difference,
        Reads.JACOBIANS,
        {M.PATH_FORGOTTEN, M.SIGN, M.MISSING_TERM, M.WRONG_MASK, M.STALE_RESIDUAL},
    ),
    Detector(first_step, Reads.JACOBIANS, {M.TIME_SHIFT, M.OFF_BY_ONE}),
    Detector(
        through_time,
        Reads.JACOBIANS,
        {M.ORDER_REVERSED, M.PATH_FORGOTTEN, M.TIME_SHIFT, M.WRONG_DERIVATIVE, M.MISSING_FACTOR},
    ),
    Detector(result_for_state, Reads.JACOBIANS, {M.TIME_SHIFT, M.OUTPUT_FOR_INPUT, M.STALE_RESIDUAL}),
    Detector(
        by_prior,
        Reads.LAST,
        {M.MISSING_TERM, M.MISSING_FACTOR, M.WRONG_DERIVATIVE, M.WRONG_MASK, M.TIME_SHIFT},
    ),
    Detector(
        truth_at_changed_input,
        Reads.EVERYTHING,
        {
            M.OUTPUT_FOR_INPUT,
            M.MISSING_TRANSPOSE,
            M.ORDER_REVERSED,
            M.OFF_BY_ONE,
            M.TIME_SHIFT,
            M.CONSTANT_FACTOR,
            M.MISSING_FACTOR,
            M.SMOOTHING_FORGOTTEN,
            M.MISSING_TERM,
            M.PATH_FORGOTTEN,
            M.SIGN,
            M.ARGUMENTS_SWAPPED,
            M.STALE_RESIDUAL,
            M.PADDING,
            M.WRONG_MASK,
            M.WRONG_AXIS,
            M.EXTRA_SUM,
            M.MISSING_SUM,
            M.BATCH_OF_ONE,
            M.PARTLY_WRONG,
            M.OUTPUT_IGNORED,
        },
    ),
    Detector(
        rule_at_changed_input,
        Reads.EVERYTHING,
        {M.INPUT_FOR_OUTPUT, M.STALE_RESIDUAL, M.MISSING_TRANSPOSE, M.ORDER_REVERSED},
    ),
    Detector(mixed_examples, Reads.EVERYTHING, {M.BATCH_OF_ONE, M.EXTRA_SUM, M.WRONG_AXIS}),
)

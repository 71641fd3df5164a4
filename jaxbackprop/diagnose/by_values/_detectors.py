"""The table of detectors, by what they are given."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

from .._evidence import Suspicion
from ._cotangent import not_linear, zero_everywhere
from ._coupling import coupled_axes, simple_difference
from ._entries import (
    always_the_same,
    beyond_a_value,
    where_zero_is_due,
)
from ._entry_factor import known_factor, unnormalised_rows
from ._factor import one_factor, small_error
from ._guess import by_prior
from ._jacobian_axes import exchanged_axes, reversed_axes, reversed_dependence, transposed_factor
from ._jacobian_factor import (
    another_slope,
    share_of_winners,
)
from ._lacking_term import constant_along_an_axis, label_smoothing, linear_in_an_argument
from ._lost_contributions import lost, one_slice_counts
from ._moved_contributions import moved, not_due
from ._placement import (
    another_arguments,
    reversed_gradient,
    shifted_gradient,
    summed_gradient,
    transposed_gradient,
)
from ._recurrence import result_for_state
from ._rule_at_changed_input import mixed_examples, rule_at_changed_input
from ._truth_at_changed_input import truth_at_changed_input


class Reads(enum.Enum):
    """What a detector, a function, is given beside the probe; `Suspicion.found_by` is its name."""

    FIRST = "a leaf; what the first such detector finds is all that is said of the leaf"
    VALUES = "a leaf, whose gradients it reads at all samples"
    JACOBIANS = "a leaf and its Jacobians at two points"
    LAST = "a leaf, after all that read it"
    EVERYTHING = "nothing; it asks the rule or the truth at changed input, of all leaves"


# In the order in which they run: where time runs out, the rest is not asked.
DETECTORS: dict[Reads, tuple[Callable[..., Iterator[Suspicion]], ...]] = {
    Reads.FIRST: (zero_everywhere, not_linear),
    Reads.VALUES: (
        *(one_factor, small_error, known_factor, unnormalised_rows),
        *(transposed_gradient, reversed_gradient, shifted_gradient, summed_gradient, another_arguments),
        *(where_zero_is_due, always_the_same, beyond_a_value),
        *(constant_along_an_axis, label_smoothing, linear_in_an_argument),
    ),
    Reads.JACOBIANS: (
        *(reversed_axes, exchanged_axes, reversed_dependence, transposed_factor),
        *(lost, one_slice_counts, moved, not_due),
        *(share_of_winners, another_slope, coupled_axes, simple_difference, result_for_state),
    ),
    Reads.LAST: (by_prior,),
    Reads.EVERYTHING: (truth_at_changed_input, rule_at_changed_input, mixed_examples),
}

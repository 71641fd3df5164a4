"""Every mutation that is tried: what it applies to, what it means, how likely it is, and in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

from ..mistakes import Mistake as M
from ._arithmetic import products, signs, terms
from ._combined import combined, combined_with_sums
from ._context import Change, Context, of_equations
from ._evaluator import Edit
from ._masks import cases, comparisons, conditions, extremes, indices, winners
from ._replaced import columns, replaced
from ._solved import other_constants, other_factors
from ._sums import accumulated, one_entry, other_axes, overwritten, unset, unsummed
from ._values import (
    another_function,
    flipped_sign,
    left_out,
    lost_edge,
    normalised,
    reversed_order,
    shifted,
    summed,
    taken_as_one,
    transposed,
)


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One kind of edit.

    Attributes:
        name: of the function behind it.
        edits: all edits of this kind in a program.
        cost: of the likeliest; an edit says how much more it costs itself.
        labels: the mistake, likeliest first, where its edits name none; else all that they may name.
    """

    name: str
    edits: Callable[[Context], Iterator[Edit]]
    cost: float
    labels: tuple[M, ...]


@dataclasses.dataclass(frozen=True)
class Round:
    """Mutations that share their time.

    Attributes:
        share: of the time that is left, beside the shares of the rounds to come.
        mutations: in the order in which they are tried.
        last_resort: whether it is not tried where something simple explains the evidence already.
    """

    share: float
    mutations: tuple[Mutation, ...]
    last_resort: bool = False


def _values(edits: Callable[[Context], Iterator[Edit]], cost: float, *labels: M) -> Mutation:
    """A mutation of values."""
    return Mutation(edits.__name__, edits, cost, labels)


def _equations(
    primitives: str, changes: Callable[[Context, int, str], Iterator[Change]], cost: float, *labels: M
) -> Mutation:
    """A mutation of the equations of some primitives."""
    edits = partial(of_equations, changes, frozenset(primitives.split()))
    return Mutation(changes.__name__, edits, cost, labels)


# What one value may mean in the place of another.
_RELATIONS = (
    *(
        M.STALE_RESIDUAL,
        M.INPUT_FOR_OUTPUT,
        M.OUTPUT_FOR_INPUT,
        M.TIME_SHIFT,
        M.MISSING_FACTOR,
        M.MISSING_TERM,
    ),
    *(M.PATH_FORGOTTEN, M.WRONG_DERIVATIVE, M.CONSTANT_FACTOR, M.SMALL_CONSTANT, M.SMOOTHING_FORGOTTEN),
    *(M.UNNORMALISED, M.MISSING_TRANSPOSE, M.TRANSPOSED_RESULT, M.ORDER_REVERSED, M.OFF_BY_ONE, M.EXTRA_SUM),
    *(M.MISSING_SUM, M.DIAGONAL_ONLY, M.WRONG_MASK, M.PADDING, M.UPSTREAM_IGNORED, M.NON_LINEAR),
    M.ARGUMENTS_SWAPPED,
)
# What it may mean that something is left out: a value, a factor, a term.
_WITHOUT_VALUE = (
    *(M.PATH_FORGOTTEN, M.MISSING_TERM, M.OUTPUT_IGNORED, M.DETACHED, M.WRONG_DERIVATIVE, M.PADDING),
    M.OFF_BY_ONE,
)
_WITHOUT_FACTOR = (
    *(M.MISSING_FACTOR, M.CONSTANT_FACTOR, M.WRONG_DERIVATIVE, M.WRONG_MASK, M.PADDING, M.UNNORMALISED),
    *(M.UPSTREAM_IGNORED, M.UPSTREAM_SQUARED, M.NON_LINEAR, M.WRONG_WINNER, M.PATH_FORGOTTEN, M.MISSING_TERM),
)
_WITHOUT_TERM = (M.PATH_FORGOTTEN, M.MISSING_TERM, M.WRONG_DERIVATIVE, M.SMALL_CONSTANT)
# What it may mean that something must be brought in, or that a number must be another.
_WITH_VALUE = (
    *(M.MISSING_TERM, M.PATH_FORGOTTEN, M.MISSING_FACTOR, M.WRONG_DERIVATIVE, M.WRONG_MASK, M.PADDING),
    *(M.UPSTREAM_IGNORED, M.UPSTREAM_SQUARED),
)
_OTHER_NUMBER = (
    *(
        M.SMALL_CONSTANT,
        M.CONSTANT_FACTOR,
        M.WRONG_DERIVATIVE,
        M.WRONG_MASK,
        M.PARTLY_WRONG,
        M.PATH_FORGOTTEN,
    ),
    M.MISSING_TERM,
)

_ONE_PLACE = (
    _values(flipped_sign, 1.0, M.SIGN),
    _values(transposed, 0.9, M.MISSING_TRANSPOSE, M.TRANSPOSED_RESULT, M.WRONG_AXIS),
    _values(left_out, 1.15, *_WITHOUT_VALUE),
    _values(taken_as_one, 1.2, M.UPSTREAM_IGNORED, M.MISSING_FACTOR),
    _equations("mul div", products, 1.0, *_WITHOUT_FACTOR),
    _equations("add sub add_any", terms, 1.0, *_WITHOUT_TERM),
    _equations("add sub add_any", signs, 1.05, M.SIGN),
    _equations("select_n", cases, 1.0, M.WRONG_MASK, M.PADDING, M.WRONG_WINNER, M.STALE_RESIDUAL),
    _equations("gt ge lt le eq", comparisons, 1.0, M.WRONG_MASK),
    _equations("eq", winners, 1.0, M.WRONG_WINNER, M.WRONG_MASK),
    _equations("reduce_max reduce_min argmax argmin", extremes, 1.0, M.WRONG_WINNER),
    _equations("reduce_sum", other_axes, 0.95, M.WRONG_AXIS),
    _equations("reduce_sum", one_entry, 1.0, M.MISSING_SUM),
    _equations("scatter-add scatter_add", overwritten, 0.9, M.SET_NOT_ADD),
    _equations("scatter", accumulated, 0.9, M.SET_NOT_ADD, M.PARTLY_WRONG),
    _equations("scatter", unset, 1.1, M.PARTLY_WRONG),
    _values(indices, 1.0, M.OFF_BY_ONE, M.WRONG_WINNER),
    _values(conditions, 1.0, M.WRONG_MASK, M.PADDING, M.MISSING_FACTOR),
    _values(unsummed, 1.0, M.DIAGONAL_ONLY, M.MISSING_SUM, M.EXTRA_SUM, M.WRONG_DERIVATIVE),
)
_ONE_VALUE_MOVED = (
    _values(reversed_order, 1.1, M.ORDER_REVERSED),
    _values(shifted, 1.2, M.OFF_BY_ONE, M.TIME_SHIFT),
    _values(summed, 1.25, M.EXTRA_SUM, M.MISSING_SUM),
    _values(lost_edge, 1.35, M.PARTLY_WRONG, M.TIME_SHIFT, M.PADDING, M.OFF_BY_ONE),
    _values(normalised, 0.95, M.UNNORMALISED, M.MISSING_FACTOR, M.WRONG_WINNER),
    _values(another_function, 1.25, M.WRONG_DERIVATIVE),
)
_ONE_NUMBER = (
    _values(other_constants, 0.9, *_OTHER_NUMBER),
    _values(other_factors, 1.05, M.CONSTANT_FACTOR, M.SIGN, M.SMALL_CONSTANT, M.PARTLY_WRONG),
)

ROUNDS = (
    Round(6.0, _ONE_PLACE),
    Round(2.0, (_values(columns, 1.0, *_RELATIONS),)),
    Round(3.0, (_values(replaced, 1.0, *_RELATIONS),)),
    Round(2.0, _ONE_VALUE_MOVED),
    Round(1.0, _ONE_NUMBER),
    Round(2.0, (_values(combined, 1.2, *_WITH_VALUE),)),
    Round(1.5, (_values(combined_with_sums, 1.3, *_WITH_VALUE),), last_resort=True),
)

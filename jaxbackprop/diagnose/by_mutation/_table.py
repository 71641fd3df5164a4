"""Every mutation that is tried: what it applies to, what it means, how likely it is, and in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

from ..mistakes import Mistake as M
from ._arithmetic import products, terms
from ._constants import other_constants
from ._context import Change, Context, of_equations
from ._evaluator import Edit
from ._masks import cases, comparisons, conditions, extremes, indices, winners
from ._replaced import columns, replaced
from ._sums import accumulated, one_entry, other_axes, overwritten, unset, unsummed
from ._values import (
    flipped_sign,
    left_out,
    lost_edge,
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
        labels: the mistake, likeliest first, where its edits name none.
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
    """

    share: float
    mutations: tuple[Mutation, ...]


def _values(edits: Callable[[Context], Iterator[Edit]], cost: float, *labels: M) -> Mutation:
    """A mutation of values."""
    return Mutation(edits.__name__, edits, cost, labels)


def _equations(
    primitives: str, changes: Callable[[Context, int, str], Iterator[Change]], cost: float, *labels: M
) -> Mutation:
    """A mutation of the equations of some primitives."""
    edits = partial(of_equations, changes, frozenset(primitives.split()))
    return Mutation(changes.__name__, edits, cost, labels)


_ONE_PLACE = (
    _values(flipped_sign, 1.0, M.SIGN),
    _values(transposed, 0.9),
    _values(left_out, 1.15),
    _values(taken_as_one, 1.2),
    _equations("mul div", products, 1.0),
    _equations("add sub add_any", terms, 1.0),
    _equations("select_n", cases, 1.0),
    _equations("gt ge lt le eq", comparisons, 1.0, M.WRONG_MASK),
    _equations("eq", winners, 1.0, M.WRONG_WINNER, M.WRONG_MASK),
    _equations("reduce_max reduce_min argmax argmin", extremes, 1.0, M.WRONG_WINNER),
    _equations("reduce_sum", other_axes, 0.95, M.WRONG_AXIS),
    _equations("reduce_sum", one_entry, 1.0, M.MISSING_SUM),
    _equations("scatter-add scatter_add", overwritten, 0.9, M.SET_NOT_ADD),
    _equations("scatter", accumulated, 0.9),
    _equations("scatter", unset, 1.1, M.PARTLY_WRONG),
    _values(indices, 1.0),
    _values(conditions, 1.0),
    _values(unsummed, 1.0),
)
_ONE_VALUE_MOVED = (
    _values(reversed_order, 1.1, M.ORDER_REVERSED),
    _values(shifted, 1.2),
    _values(summed, 1.25),
    _values(lost_edge, 1.35),
)

ROUNDS = (
    Round(6.0, _ONE_PLACE),
    Round(2.0, (_values(columns, 1.0),)),
    Round(3.0, (_values(replaced, 1.0),)),
    Round(2.0, _ONE_VALUE_MOVED),
    Round(1.0, (_values(other_constants, 0.9),)),
)

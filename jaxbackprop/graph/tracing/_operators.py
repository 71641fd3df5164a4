"""This package's own operators, as graphs name them."""

from __future__ import annotations

from collections.abc import Sequence

from jaxbackprop.ops.catalogue import CATALOGUE, Operator

_OPERATORS = {row.name: row for row in CATALOGUE}


def operator_called(callers: Sequence[str]) -> Operator | None:
    """The operator that a hand-written VJP belongs to; None where it is none of this package's.

    Args:
        callers: the functions of this package that call it, innermost first.
    """
    return next((_OPERATORS[name] for name in callers if name in _OPERATORS), None)

"""This package's own operators, as graphs name them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from jaxbackprop.ops.catalogue import Operator


def operator_called(callers: Sequence[str]) -> Operator | None:
    """The operator that a hand-written VJP belongs to; None where it is none of this package's.

    Args:
        callers: the functions of this package that call it, innermost first.
    """
    known = _operators()
    return next((known[name] for name in callers if name in known), None)


@functools.cache
def _operators() -> dict[str, Operator]:
    from jaxbackprop.ops.catalogue import CATALOGUE

    return {row.name: row for row in CATALOGUE}

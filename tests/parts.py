"""Parameters of which a plain run takes a part; CI runs the others too, as exhaustive."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def a_part(values: Iterable[Any], every: int, ids: Callable[[Any], str] | None = None) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`: one of every few in a plain run, from the first on.

    Args:
        values: parameters, or what `pytest.param` made of them.
        every: one of so many is in a plain run.
        ids: names a value.
    """
    found = []
    for n, value in enumerate(values):
        marks = () if n % every == 0 else pytest.mark.exhaustive
        if hasattr(value, "values") and hasattr(value, "marks"):
            found.append(pytest.param(*value.values, marks=marks, id=value.id))
        else:
            found.append(pytest.param(value, marks=marks, id=None if ids is None else ids(value)))
    return found

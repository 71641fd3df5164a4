"""How findings are made, and of which leaf they tell."""

from __future__ import annotations

from typing import Any

from jaxbackprop._errors import first_line

from ._comparison import Violation
from ._report import Finding
from ._session import CheckSession


def finding(
    session: CheckSession, leaf: int, what: str, message: str, worst: Violation | None = None, **more: Any
) -> Finding:
    """A finding about a differentiable leaf; `more` are further fields of it."""
    numbers = {} if worst is None else vars(worst)
    argument, path = session.layout.arguments[leaf], session.layout.paths[leaf]
    return Finding(what, message, argument=argument, path=path, **{**numbers, **more})


def leaf_of(session: CheckSession, found: Finding) -> int | None:
    """The differentiable leaf of which a finding tells; None where of none in particular."""
    places = list(zip(session.layout.arguments, session.layout.paths, strict=True))
    place = (found.argument, found.path)
    return places.index(place) if place in places else None


def raised(error: Exception, when: str = "", mistakes: tuple[str, ...] = ()) -> Finding:
    """The finding that a rule raises."""
    said = f"the rule raises {when + ': ' if when else ''}{first_line(error)}"
    return Finding("structure", said, mistakes=mistakes)

"""The kinds of points."""

from __future__ import annotations

import enum

_GIVEN, _USUAL, _QUICK = 1, 2, 4


class Kind(enum.StrEnum):
    """How a point comes about; its value is what messages call it.

    Redraws stand in the order in which they are drawn.
    """

    given: bool  # whether the arguments are the caller's, under one or another cotangent
    usual: bool  # whether gradients have their usual size: nothing is extreme, tied or scaled
    quick: bool  # whether it is a redraw that a quick check makes
    plainness: int | None  # of a redraw: the lower, the plainer a mistake shows; None for all else

    def __new__(cls, word: str, traits: int, plainness: int | None = None) -> Kind:
        """Takes the word, which of the first three attributes hold, and the fourth."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.given, member.usual, member.quick = (bool(traits & t) for t in (_GIVEN, _USUAL, _QUICK))
        member.plainness = plainness
        return member

    # The caller's arguments: under two cotangents, and under those that show whether the rule is linear.
    BASE = "base", _GIVEN | _USUAL
    FRESH = "fresh", _GIVEN | _USUAL
    SUM = "sum", _GIVEN
    MINUS_TWICE = "minus twice", _GIVEN
    ZERO = "zero", _GIVEN
    LARGE_SCALE = "much", _GIVEN
    SMALL_SCALE = "little", _GIVEN
    ONE_RESULT = "alone", _GIVEN
    # Arguments drawn anew.
    GENERIC = "generic", _USUAL | _QUICK, 1
    OTHER = "other", _USUAL, 0
    FLIPPED = "flipped", _USUAL | _QUICK, 3
    SMALL = "small", 0, 7
    LARGE = "large", 0, 8
    SATURATED = "saturated", _QUICK, 9
    TIED = "tied", _QUICK, 5
    REPEATED = "repeated", 0, 6
    POSITIVE = "positive", _USUAL, 2
    NEGATIVE = "negative", _USUAL, 4
    # The same in other shapes.
    LARGER_GENERIC = "batch of three, generic", 0
    LARGER_FLIPPED = "batch of three, flipped", 0


REDRAWS = tuple(kind for kind in Kind if kind.plainness is not None)
# Where a function may be at its limits.
FAR_OUT = (Kind.SMALL, Kind.LARGE, Kind.SATURATED)
QUICK_REDRAWS = tuple(kind for kind in REDRAWS if kind.quick)

"""The points at which a rule is judged."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from jaxbackprop._float64 import Arrays

from .._evaluator import Point
from .._layout import Layout
from ._kind import Kind
from ._redraws import cotangents, redraws

_EXAMPLES = 3


class Sampled(NamedTuple):
    """A point, and how it came about."""

    kind: Kind
    point: Point


@dataclasses.dataclass(frozen=True)
class Sample:
    """All that is drawn for one check.

    Attributes:
        points: the caller's arguments under several cotangents, then arguments drawn anew.
        batch: the cotangents of three examples, for a batch of them.
    """

    points: tuple[Sampled, ...]
    batch: tuple[Arrays, ...]


def sample(
    layout: Layout, base: Point, domains: Any, seed: int, *, quick: bool, few: bool, scale: float
) -> Sample:
    """Draws the points of a check.

    Args:
        layout: of the arguments.
        base: the caller's arguments, under the first cotangents of this seed.
        domains: see `check_vjp`.
        seed: see `check_vjp`.
        quick: a few kinds of redraws alone.
        few: fewer still: the arguments are large.
        scale: by how much cotangents are scaled.
    """
    leaves, dy = base.leaves, base.dy
    shapes = [d.shape for d in dy]
    rng = np.random.default_rng(seed)
    # Those of the base point come first.
    cotangents(shapes, rng)
    fresh = cotangents(shapes, rng)

    def under(kind: Kind, dy: Arrays) -> Sampled:
        return Sampled(kind, Point(leaves, dy))

    points = [
        Sampled(Kind.BASE, base),
        under(Kind.FRESH, fresh),
        under(Kind.SUM, tuple(a + b for a, b in zip(dy, fresh, strict=True))),
        under(Kind.MINUS_TWICE, tuple(-2 * d for d in dy)),
    ]
    if not few:
        points += [
            under(Kind.ZERO, tuple(0 * d for d in dy)),
            under(Kind.LARGE_SCALE, tuple(scale * d for d in dy)),
            under(Kind.SMALL_SCALE, tuple(d / scale for d in dy)),
        ]
        if len(dy) > 1:
            for k in range(len(dy)):
                points.append(under(Kind.ONE_RESULT, tuple(d if i == k else 0 * d for i, d in enumerate(dy))))
    for drawn in redraws(layout, domains, rng, quick=quick or few):
        if not few or drawn.kind in (Kind.GENERIC, Kind.TIED):
            points.append(Sampled(drawn.kind, Point(drawn.leaves, cotangents(shapes, rng))))
    return Sample(tuple(points), tuple(cotangents(shapes, rng) for _ in range(_EXAMPLES)))

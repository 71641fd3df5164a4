"""Arguments and cotangents drawn anew, and the points of a check."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxbackprop._float64 import Arrays, is_float

from .._evaluator import Point
from .._layout import Layout, is_key
from ._domains import domains_of_leaves
from ._kind import QUICK_REDRAWS, REDRAWS, Kind
from ._leaf import Draw, is_binary, is_permutation, is_simplex, is_sorted

Shapes = Sequence[tuple[int, ...]]
# In a batch, where many are to be had.
EXAMPLES = 3


class Redraw(NamedTuple):
    """Array leaves drawn anew, floats in float64 but with values of their own dtypes, and of which kind."""

    kind: Kind
    leaves: tuple[Any, ...]


def redraws(
    layout: Layout,
    domains: Any,
    rng: np.random.Generator,
    kinds: Collection[Kind],
    shapes: Shapes | None = None,
) -> Iterator[Redraw]:
    """Arguments drawn anew, of each of these kinds; in other shapes where a batch of one is to be three."""
    limits = domains_of_leaves(layout, domains)
    scalars_alone = all(layout.ndim(i) == 0 for i in layout.all_floats)
    # Knots stand beside what is looked up among them; a vector on its own is ascending by chance.
    lone = sum(layout.ndim(i) > 0 for i in layout.all_floats) == 1
    for kind in REDRAWS:
        if kind not in kinds:
            continue
        leaves = []
        for i, (leaf, domain) in enumerate(zip(layout.leaves, limits, strict=True)):
            shape = np.shape(leaf) if shapes is None else shapes[i]
            # Beside arrays a scalar is a rate, a bound or a width: it stays in its neighbourhood.
            hyperparameter = layout.ndim(i) == 0 and not scalars_alone
            draw = Draw(None if hyperparameter else kind, shape, rng, lone)
            leaves.append((draw.pairs if i in layout.complexes else draw.leaf)(leaf, domain))
        if kind is Kind.TIED:
            _tie(layout, domains, leaves)
        yield Redraw(kind, _with_inverses(layout, limits, leaves))


def _with_inverses(layout: Layout, limits: Sequence[Any], leaves: list[Any]) -> tuple[Any, ...]:
    """Redrawn leaves in which a permutation that was another's inverse is its inverse again."""
    at = [i for i, x in enumerate(layout.leaves) if limits[i] is None and _permutes(x)]
    for n, j in enumerate(at):
        for i in at[:n]:
            inverse = np.argsort(np.asarray(layout.leaves[i]), axis=-1)
            if np.array_equal(inverse, np.asarray(layout.leaves[j])):
                drawn = np.argsort(np.asarray(leaves[i]), axis=-1)
                leaves[j] = drawn.astype(np.asarray(leaves[j]).dtype)
    return tuple(leaves)


def _permutes(leaf: Any) -> bool:
    return not is_key(leaf) and is_permutation(np.asarray(leaf))


def _tie(layout: Layout, domains: Any, leaves: list[Any]) -> None:
    """Makes first entries of free arrays equal one another, and last ones the scalars beside them."""
    free = free_leaves(layout, domains)
    scalars_alone = all(layout.ndim(i) == 0 for i in layout.all_floats)
    every = [i for i in layout.all_floats if i not in layout.complexes and np.size(leaves[i])]
    moving = [i for i in every if scalars_alone or (free[i] and layout.ndim(i) > 0)]
    bounds = [i for i in every if layout.ndim(i) == 0 and i not in moving]
    for i in moving:
        x = np.array(leaves[i])
        if layout.leaves[i].dtype != layout.leaves[moving[0]].dtype:
            continue
        x.flat[0] = np.ravel(leaves[moving[0]])[0]
        # The first entry and one more stay as they were drawn.
        for place, bound in zip(range(x.size - 1, 1, -1), bounds, strict=False):
            x.flat[place] = leaves[bound].astype(layout.leaves[i].dtype)
        leaves[i] = x


def free_leaves(layout: Layout, domains: Any) -> list[bool]:
    """For every array leaf, whether any float would do in it: not beside arrays a scalar, nor a mask."""
    alone = len(layout.all_floats) == 1
    return [
        is_float(leaf)
        and domain is None
        and (
            alone or layout.ndim(i) > 0
            if i in layout.complexes
            else _is_free(np.asarray(leaf).astype(np.float64), alone)
        )
        for i, (leaf, domain) in enumerate(
            zip(layout.leaves, domains_of_leaves(layout, domains), strict=True)
        )
    ]


def _is_free(values: np.ndarray, alone: bool) -> bool:
    if values.ndim == 0 and not alone:
        return False
    return not (is_sorted(values) or is_simplex(values) or is_binary(values))


def cotangents(shapes: Shapes, rng: np.random.Generator) -> Arrays:
    """Fresh cotangents: away from zero, of both signs, with short fractions so that bfloat16 holds them."""
    return tuple(
        np.asarray(rng.integers(9, 41, shape) / 16.0 * rng.choice([-1.0, 1.0], shape), np.float64)
        for shape in shapes
    )


def larger_shapes(layout: Layout, size: int = 3) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Shapes in which axes of length one are longer: leading ones of all leaves, all of them, of one leaf."""
    shapes = [np.shape(leaf) for leaf in layout.leaves]
    # No size that another axis has: a parameter of one entry must not come to fit along it.
    size = next(n for n in range(size, size + 99) if all(n not in shape for shape in shapes))
    ones = {
        (i, axis)
        for i, (leaf, shape) in enumerate(zip(layout.leaves, shapes, strict=True))
        for axis, n in enumerate(shape)
        if n == 1 and not is_key(leaf)
    }
    leaves = range(len(shapes))
    tries = [{one for one in ones if one[1] == 0}, ones]
    tries += [{one for one in ones if one == (leaf, 0)} for leaf in leaves]
    tries += [{one for one in ones if one[0] == leaf} for leaf in leaves]
    tries += [{one for one in ones if one[1] == axis} for axis in (1, 2)]
    seen: list[set[tuple[int, int]]] = [set()]
    for longer in tries:
        if longer not in seen:
            seen.append(longer)
            yield tuple(
                tuple(size if (i, axis) in longer else n for axis, n in enumerate(shape))
                for i, shape in enumerate(shapes)
            )


class Sampled(NamedTuple):
    """A point, and how it came about."""

    kind: Kind
    point: Point


@dataclasses.dataclass(frozen=True)
class Sample:
    """All that is drawn for one check."""

    points: tuple[Sampled, ...]  # the caller's arguments under several cotangents, then arguments drawn anew
    batch: tuple[Arrays, ...]  # the cotangents of a few examples, for a batch of them


def sample(
    layout: Layout, base: Point, domains: Any, seed: int, *, quick: bool, few: bool, scale: float
) -> Sample:
    """Draws the points of a check: a few kinds of redraws where `quick`, fewer still where only a `few` fit.

    The base point holds the first cotangents of this seed; `scale` makes them large and small.
    """
    leaves, dy = base.leaves, base.dy
    shapes = [d.shape for d in dy]
    rng = np.random.default_rng(seed)
    # Those of the base point come first.
    cotangents(shapes, rng)

    def under(kind: Kind, dy: Arrays) -> Sampled:
        return Sampled(kind, Point(leaves, dy))

    points = [Sampled(Kind.BASE, base)]
    if not few:
        fresh = cotangents(shapes, rng)
        points += [
            under(Kind.FRESH, fresh),
            under(Kind.SUM, tuple(a + b for a, b in zip(dy, fresh, strict=True))),
        ]
    if not (few and quick):
        points.append(under(Kind.MINUS_TWICE, tuple(-2 * d for d in dy)))
    if not few:
        points += [
            under(Kind.ZERO, tuple(0 * d for d in dy)),
            under(Kind.LARGE_SCALE, tuple(scale * d for d in dy)),
            under(Kind.SMALL_SCALE, tuple(d / scale for d in dy)),
        ]
        if len(dy) > 1:
            for k in range(len(dy)):
                points.append(under(Kind.ONE_RESULT, tuple(d if i == k else 0 * d for i, d in enumerate(dy))))
    kinds = QUICK_REDRAWS if quick else REDRAWS
    if few:
        kinds = (Kind.GENERIC,) if quick else (Kind.GENERIC, Kind.TIED)
    for drawn in redraws(layout, domains, rng, kinds):
        points.append(Sampled(drawn.kind, Point(drawn.leaves, cotangents(shapes, rng))))
    # A quick check of large arguments does not look at a batch.
    examples = EXAMPLES if not few else 0 if quick else 2
    return Sample(tuple(points), tuple(cotangents(shapes, rng) for _ in range(examples)))

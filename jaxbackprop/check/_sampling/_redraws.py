"""Arguments and cotangents drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxbackprop._float64 import Arrays, is_float

from .._layout import Layout, is_key
from ._domains import domains_of_leaves
from ._floats import is_binary, is_simplex, is_sorted
from ._kind import REDRAWS, Kind
from ._leaf import draw

Shapes = Sequence[tuple[int, ...]]


class Redraw(NamedTuple):
    """Array leaves drawn anew, floats in float64 but with values of their own dtypes, and of which kind."""

    kind: Kind
    leaves: tuple[Any, ...]


def redraws(
    layout: Layout, domains: Any, rng: np.random.Generator, *, quick: bool, shapes: Shapes | None = None
) -> Iterator[Redraw]:
    """Arguments drawn anew, a kind after another.

    Args:
        layout: of the arguments, which show what to stay within.
        domains: see `check_vjp`.
        rng: draws.
        quick: a few kinds alone.
        shapes: other shapes for the leaves, where a batch of one is to be three.
    """
    limits = domains_of_leaves(layout, domains)
    scalars_alone = all(np.ndim(layout.leaves[i]) == 0 for i in layout.floats)
    # Knots stand beside what is looked up among them; a vector on its own is ascending by chance.
    lone = sum(np.ndim(layout.leaves[i]) > 0 for i in layout.floats) == 1
    for kind in REDRAWS:
        if quick and not kind.quick:
            continue
        leaves = []
        for i, (leaf, domain) in enumerate(zip(layout.leaves, limits, strict=True)):
            shape = np.shape(leaf) if shapes is None else shapes[i]
            # Beside arrays a scalar is a rate, a bound or a width: it stays in its neighbourhood.
            hyperparameter = np.ndim(leaf) == 0 and not scalars_alone
            leaves.append(draw(leaf, domain, None if hyperparameter else kind, shape, rng, lone))
        yield Redraw(kind, tuple(leaves))


def free_leaves(layout: Layout, domains: Any) -> list[bool]:
    """For every array leaf, whether any float would do in it: not beside arrays a scalar, nor a mask."""
    alone = len(layout.floats) == 1
    return [
        is_float(leaf) and domain is None and _is_free(np.asarray(leaf).astype(np.float64), alone)
        for leaf, domain in zip(layout.leaves, domains_of_leaves(layout, domains), strict=True)
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

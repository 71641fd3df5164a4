"""A point with round numbers at which a mistake still shows, and the code that shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays

from .._around import kink
from .._evaluator import Spot
from .._findings import leaf_of
from .._report import Finding
from .._sampling import free_leaves
from .._session import Look, Trial
from ..properties._values import mismatch
from ._snippet import snippet

# Beyond so many numbers no point is simple.
_MOST_NUMBERS = 1024


def simplest(trial: Trial, look: Look, leaf: int) -> Look:
    """The look with the roundest numbers at which a leaf is wrong; the given one where none is.

    Args:
        trial: of the rule.
        look: at which the leaf is wrong.
        leaf: the differentiable leaf.
    """
    if trial.truth is None or sum(np.size(look.spot.leaves[i]) for i in trial.layout.floats) > _MOST_NUMBERS:
        return look
    spots = [(look.kind, spot) for spot in _rounder(trial, look.spot)]
    for found in trial.looks(spots):
        if not all(np.all(np.isfinite(v)) for v in (*found.y, *found.want)):
            continue
        worst = mismatch(found, leaf)
        # A mistake that is nearly lost in rounding shows nothing.
        if worst is None or not worst.error > 1e-4 * (abs(worst.want) + 1e-30):
            continue
        if kink(trial, found, leaf) is None:
            return found
    return look


def _rounder(trial: Trial, spot: Spot) -> Iterator[Spot]:
    """The simplest first: small integers, then halves, then a digit behind the point; cotangents alike."""
    slots = trial.layout.floats
    at: Arrays = tuple(np.asarray(spot.leaves[i], np.float64) for i in slots)
    free = free_leaves(trial.layout, trial.domains)
    rng = np.random.default_rng(0)
    whole = [rng.integers(1, 4, x.shape) * rng.choice([-1.0, 1.0], x.shape) for x in at]
    scales = [
        tuple(whole),
        tuple(np.abs(w) for w in whole),
        tuple(np.round(x) for x in at),
        tuple(np.round(2 * x) / 2 for x in at),
        tuple(np.round(x, 1) for x in at),
    ]
    ones: Arrays = tuple(np.ones_like(d) for d in spot.dy)
    count = tuple(np.arange(1.0, d.size + 1).reshape(d.shape) for d in spot.dy)
    for dy in (ones, count):
        for floats in scales:
            moved = tuple(f if free[i] else x for i, x, f in zip(slots, at, floats, strict=True))
            yield Spot(trial.layout.with_floats(spot.leaves, moved), dy)
    yield Spot(spot.leaves, ones)


def simplified(trial: Trial, found: Finding, shown: dict[int, Look]) -> Finding:
    """A finding of a wrong value, at the simplest point that shows it."""
    leaf = leaf_of(trial, found)
    if found.property != "value" or leaf not in shown:
        return found
    look = simplest(trial, shown[leaf], leaf)
    worst = mismatch(look, leaf)
    if worst is None:
        return found
    at = {"point": point(trial, look.spot), "cotangent": _cotangent(trial, look.spot)}
    return dataclasses.replace(found, **vars(worst), **at)


def point(trial: Trial, spot: Spot) -> tuple[Any, ...]:
    """The arguments of a spot, floats in their own dtypes."""
    layout = trial.layout
    leaves = list(spot.leaves)
    with trial.own_setting():
        for i in layout.floats:
            like = layout.leaves[i]
            in_jax = isinstance(like, jax.Array)
            leaves[i] = (
                jnp.asarray(leaves[i], like.dtype) if in_jax else np.asarray(leaves[i]).astype(like.dtype)
            )
    return layout.args(tuple(leaves))


def _cotangent(trial: Trial, spot: Spot) -> Any:
    """The cotangents of a spot with the structure of the results; None where one is not float."""
    y = trial.result
    if any(not jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(y)):
        return None
    in_jax = any(isinstance(leaf, jax.Array) for leaf in trial.layout.leaves) or trial.subject.rule is None
    dy = iter(spot.dy)
    with trial.own_setting():
        return jax.tree.map(lambda leaf: (jnp.asarray if in_jax else np.asarray)(next(dy), leaf.dtype), y)


def shown_by(trial: Trial, findings: Sequence[Finding]) -> str:
    """Code that shows the first finding of a wrong value; "" where none can be shown in a few lines."""
    for found in findings:
        if (
            found.property != "value"
            or found.cotangent is None
            or found.point is None
            or found.argument is None
        ):
            continue
        op, rule, kwargs = trial.subject.given
        says = f"got {found.got:.7g}, want {found.want:.7g}"
        code = snippet(
            op,
            rule,
            kwargs,
            found.point,
            found.cotangent,
            names=trial.parameters(len(found.point)),
            argument=found.argument,
            path=found.path,
            index=found.index or (),
            says=says,
        )
        if code:
            return code
    return ""

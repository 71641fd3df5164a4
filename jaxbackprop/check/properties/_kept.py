"""What redraws kept of the arguments is noted, and whether the rule is right without it."""

from __future__ import annotations

import functools

import numpy as np

from .._attempt import attempt
from .._comparison import Comparison, compare
from .._evaluator import Point
from .._kinks import kink
from .._record import Observations, Record, as_seen
from .._report import Finding
from .._sampling import Kept, Kind, Sampled, broken, kept
from .._session import VERY_MANY, CheckSession


def kept_structure(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Notes alone: a rule may rely on what its arguments always are."""
    for one in kept(session.layout, session.domains):
        name = session.parameters(session.layout.owners[one.slot] + 1)[-1]
        what, lack = one.structure.value
        said = f"redraws keep {name} {what}"
        looks = not record.wrong and not (session.quick and session.numbers > VERY_MANY)
        without = _without(session, one) if looks else None
        if without:
            wrong = next((found for found in (_wrong(session, point) for point in without) if found), None)
            other = wrong or "the rule is right"
            only = "" if wrong is None else " and the rule holds for such arguments alone"
            said += f"{only}: where it is {lack}, {other}"
        record.note(said)
    return []


def _without(session: CheckSession, one: Kept) -> list[Comparison]:
    """The rule beside the truth at the caller's arguments, but for this structure; empty where it raises."""
    base, dy = session.base, session.sample.batch[0]
    leaf = np.asarray(base.leaves[one.slot])
    points = [
        Sampled(Kind.OTHER, Point((*base.leaves[: one.slot], other, *base.leaves[one.slot + 1 :]), dy))
        for other in broken(leaf, one.structure, np.random.default_rng(7))
    ]
    ran = attempt(functools.partial(compare, session, points))
    return [] if ran.error is not None else ran.value


def _wrong(session: CheckSession, one: Comparison) -> str | None:
    """What is wrong there, where function and differences still agree; None where nothing is."""
    for leaf, name in enumerate(session.names):
        worst = one.violation(leaf)
        if worst is None or kink(session, one, leaf) is not None:
            continue
        if session.truth is not None and not _agrees(session, one, leaf):
            continue
        worst = as_seen(session, leaf, worst)
        at = f" at {list(worst.index)}" if worst.index else ""
        return f"{name} is {worst.got:.6g} instead of {worst.want:.6g}{at}"
    return None


def _agrees(session: CheckSession, one: Comparison, leaf: int) -> bool:
    """Whether autodiff gives the slopes of the function."""
    ran = attempt(functools.partial(session.differences.anywhere, one.point))
    if ran.error is not None:
        return False
    directions, estimate = ran.value
    ends = np.cumsum([0, *(want.size for want in one.want)])
    ways = directions.ways[:, ends[leaf] : ends[leaf + 1]]
    # Along ways that move this leaf alone.
    alone = np.all(np.delete(directions.ways, slice(ends[leaf], ends[leaf + 1]), axis=1) == 0, axis=1)
    value, error = estimate.value[alone], estimate.error[alone]
    due = ways[alone] @ one.want[leaf].reshape(-1)
    sure = error <= 1e-4 * (np.abs(value) + 1e-2 * np.max(np.abs(due), initial=0.0))
    off = np.abs(due - value) > 20 * error + 1e-6 * np.max(np.abs(due), initial=0.0)
    return bool(np.any(sure) and not np.any(sure & off))

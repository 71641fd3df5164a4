"""Autodiff of the oracle agrees with differences of it: two opinions that fail separately."""

from __future__ import annotations

import functools

import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import Arrays

from .._attempt import attempt
from .._comparison import Comparison
from .._differences import Directions, Estimate
from .._findings import finding
from .._kinks import kink
from .._record import Observations, Record
from .._report import Finding
from .._rounding import all_finite, backward_error
from .._sampling import Kind
from .._session import VERY_MANY, CheckSession
from .._strip import stops_gradients
from ._values import is_setting


def differences(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """The first leaf whose gradient is autodiff's and yet no slope of the function."""
    if session.truth is None or session.subject.intended is not None:
        return []
    if session.quick and (session.subject.oracle is None or session.numbers > VERY_MANY):
        return []
    kinds = (Kind.BASE,) if session.quick else (Kind.BASE, Kind.OTHER)
    for one in observed.comparisons:
        if one.kind not in kinds or not all_finite(one.want):
            continue
        floats: Arrays = tuple(np.asarray(x, np.float64) for x in session.layout.floats_of(one.point.leaves))
        directions = Directions.of(floats, np.random.default_rng(0))
        ran = attempt(functools.partial(session.differences.along, one.point, directions))
        if ran.error is not None:
            record.note(f"differences cannot be taken: {first_line(ran.error)}")
            return []
        ends = np.cumsum([0, *(leaf.size for leaf in floats)])
        for leaf in range(len(floats)):
            ways = directions.ways[:, ends[leaf] : ends[leaf + 1]]
            moved = np.any(ways != 0, axis=1)
            got = ways @ one.gradient(leaf).reshape(-1)
            estimate = ran.value
            record.compare("differences", leaf, got[moved], estimate.value[moved], estimate.error[moved])
            if leaf in record.wrong or is_setting(session, observed.comparisons, leaf):
                continue
            noise = _noise(session, one, leaf, estimate, ways, got)
            off = moved & _is_sure(estimate, got) & ~(np.abs(got - estimate.value) <= noise)
            if not np.any(off) or kink(session, one, leaf) is not None:
                continue
            if session.truth.jaxpr is not None and stops_gradients(session.truth.jaxpr):
                record.note("the oracle stops gradients: autodiff of it is meant, not differences")
                return []
            row = int(np.argmax(np.where(off, np.abs(got - estimate.value), -1)))
            return [
                finding(
                    session,
                    leaf,
                    "value",
                    f"{session.names[leaf]} differs from differences of the function, though autodiff of the "
                    "oracle agrees with it",
                    got=float(got[row]),
                    want=float(estimate.value[row]),
                    error=float(abs(got[row] - estimate.value[row])),
                    noise=float(noise[row]),
                    point=session.layout.args(one.point.leaves),
                )
            ]
    return []


def _is_sure(estimate: Estimate, got: np.ndarray) -> np.ndarray:
    scale = float(np.max(np.abs(got), initial=0.0))
    return estimate.error <= 1e-4 * (np.abs(estimate.value) + 1e-2 * scale)


def _noise(
    session: CheckSession, one: Comparison, leaf: int, estimate: Estimate, ways: np.ndarray, got: np.ndarray
) -> np.ndarray:
    scale = float(np.max(np.abs(got), initial=0.0))
    backward = backward_error(one.point, one.y, session.layout.floats[leaf])
    known = np.abs(ways) @ np.nan_to_num(one.noise[leaf]).reshape(-1)
    return 20 * estimate.error + known + 1e-7 * scale + 1e-9 * backward + 1e-40

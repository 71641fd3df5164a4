"""Two calls give the same bits."""

from __future__ import annotations

import numpy as np

from jaxbackprop._float64 import to_numpy64

from .._findings import finding
from .._record import Observations, Record
from .._report import Finding
from .._session import CheckSession


def determinism(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """The first leaf that changes from call to call."""
    again = session.rule_native.run([session.base])[0]
    for leaf, (a, b) in enumerate(zip(observed.base.gradient, again.gradient, strict=True)):
        if a.tobytes() != b.tobytes() and not np.array_equal(to_numpy64(a), to_numpy64(b), equal_nan=True):
            message = f"{session.names[leaf]} changes from call to call"
            return [finding(session, leaf, "determinism", message)]
    return []

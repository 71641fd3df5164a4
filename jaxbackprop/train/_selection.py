"""Which epoch was the best, and when to give up on a better one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Record = dict[str, Any]


class Selection:
    """The best epoch so far; of equal ones the latest.

    Args:
        monitor: which of an epoch's figures decides; None takes the latest epoch.
        mode: ``max`` or ``min``, what is better.
        patience: epochs without a better figure after which training stops; None never stops it.

    Attributes:
        best: the record of the best epoch, or None.
    """

    def __init__(self, monitor: str | None, mode: str, patience: int | None) -> None:
        if mode not in ("max", "min"):
            raise ValueError(f"mode must be max or min, not {mode!r}")
        if patience is not None and patience < 1:
            raise ValueError(f"patience must be at least 1, not {patience}")
        if patience is not None and monitor is None:
            raise ValueError("patience needs monitor: which figure is to get better")
        self._monitor, self._sign, self._patience = monitor, 1 if mode == "max" else -1, patience
        self.best: Record | None = None
        self._stale = 0

    @property
    def exhausted(self) -> bool:
        """Whether patience is at its end."""
        return self._patience is not None and self._stale >= self._patience

    def judge(self, record: Record) -> bool:
        """Whether an epoch is the best so far, which it then is.

        Raises:
            KeyError: the record has no such figure.
        """
        if self._monitor is None:
            self.best = record
            return True
        now, before = self._figure(record), self._figure(self.best)
        self._stale = 0 if now > before else self._stale + 1
        is_best = self.best is None or now >= before
        if is_best:
            self.best = record
        return is_best

    def position(self) -> dict[str, Any]:
        """What `restore` needs, as JSON holds it."""
        return {"best": self.best, "stale": self._stale}

    def restore(self, position: Mapping[str, Any]) -> None:
        """Goes on from a position."""
        self.best, self._stale = position["best"], position["stale"]

    def _figure(self, record: Record | None) -> float:
        if record is None:
            return -math.inf
        if self._monitor not in record:
            raise KeyError(f"monitor is {self._monitor!r}, but an epoch's figures are {', '.join(record)}")
        # None: it was nan or infinite.
        figure = record[self._monitor]
        return -math.inf if figure is None or math.isnan(figure) else self._sign * float(figure)

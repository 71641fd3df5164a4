"""How long a search has taken, however busy the machine is."""

from __future__ import annotations

import time


class Clock:
    """Seconds of this thread's work, or half of those on the wall where others take the machine."""

    def __init__(self) -> None:
        """Starts the clock."""
        self._work, self._wall = time.thread_time(), time.perf_counter()

    def spent(self) -> float:
        """Seconds since the clock was made."""
        return max(time.thread_time() - self._work, 0.5 * (time.perf_counter() - self._wall))

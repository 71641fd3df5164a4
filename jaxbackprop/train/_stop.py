"""Signals that wait for the end of a step."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from jaxbackprop._signals import ASKING, Stopped

from ._agreed_stop import AgreedStop


class Deferred:
    """While it is entered, a first signal that asks the process to end is only noted; a second acts at once.

    Where a step does not end within `seconds` (its data does not come, say), the first acts too.

    A signal that the process ignores (under nohup, say) stays ignored. Outside the main thread, where no
    handler can be set, signals are left as they are.

    Args:
        agreed: by which several processes that train together stop at the same step; None for one alone.
        seconds: see above.

    Attributes:
        signal: the signal that has come, or None.
    """

    def __init__(self, agreed: AgreedStop | None = None, seconds: float = 20.0) -> None:
        self._agreed, self._seconds = agreed, seconds
        self._timer: threading.Timer | None = None
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Deferred:
        try:
            for number in ASKING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        except ValueError:  # not in the main thread
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def due(self, step: int) -> bool:
        """Whether to stop after so many steps."""
        if self._agreed is None:
            return self.signal is not None
        if not self._agreed.due(step, self.signal):
            return False
        self.signal = self._agreed.signal
        return True

    def act(self) -> None:
        """Lets the signal that was noted do what it would have done."""
        self._restore()
        if self.signal is not None:
            signal.raise_signal(self.signal)
            if self._agreed is not None:
                # It came to another process, and this one ignores it.
                raise Stopped

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self.signal = self.signal is not None, number
        if again:
            self.act()
        self._timer = threading.Timer(self._seconds, os.kill, (os.getpid(), number))
        self._timer.daemon = True
        self._timer.start()

    def _restore(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        while self._before:
            signal.signal(*self._before.popitem())

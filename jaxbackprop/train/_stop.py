"""Signals that wait for the end of a step."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from jaxbackprop._signals import ASKING


class Deferred:
    """While it is entered, a first signal that asks the process to end is only noted; a second acts at once.

    Where a step does not end within `seconds` (its data does not come, say), the first acts too.

    A signal that the process ignores (under nohup, say) stays ignored. Outside the main thread, where no
    handler can be set, signals are left as they are.

    Attributes:
        signal: the signal that has come, or None.
    """

    def __init__(self, seconds: float = 20.0) -> None:
        self._seconds = seconds
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

    def act(self) -> None:
        """Lets the signal that was noted do what it would have done."""
        self._restore()
        if self.signal is not None:
            signal.raise_signal(self.signal)

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

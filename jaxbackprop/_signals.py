"""Signals that ask the process to end, answered in one line and with the exit status that shells expect."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

# Windows lacks the last.
ASKING = {
    getattr(signal, name): said
    for name, said in (("SIGINT", "interrupted"), ("SIGTERM", "terminated"), ("SIGHUP", "hung up"))
    if hasattr(signal, name)
}
"""The signals that ask a process to end, and how that is said."""


class Stopped(KeyboardInterrupt):
    """A signal has asked the process to end. An argument, where there is one, says how to go on.

    Attributes:
        number: of the signal.
    """

    number: int = signal.SIGINT


def run_stoppable(run: Callable[[], int]) -> int:
    """Runs a command; a signal unwinds its stack, so that what was begun is tidied up.

    A signal that the process ignores (under nohup, say) stays ignored.

    Args:
        run: the command, to its exit status.

    Returns:
        The exit status: the command's own, or 128 and the number of the signal that ended it.
    """
    received: list[int] = []
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        stopped = Stopped()
        stopped.number = number
        raise stopped

    hook = sys.unraisablehook

    def again(unraisable: sys.UnraisableHookArgs) -> None:
        # Raised in a callback of the garbage collector, which Python cannot unwind: it would be lost.
        if received and isinstance(unraisable.exc_value, Stopped):
            later = threading.Timer(0.01, os.kill, (os.getpid(), received[0]))
            later.daemon = True
            later.start()
        else:
            hook(unraisable)

    sys.unraisablehook = again
    try:
        # Where a signal comes in the midst of an import, what arrives here need not be what was raised.
        with contextlib.suppress(ValueError):  # not in the main thread
            for number in ASKING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, stop)
        return run()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not received:
            received.append(signal.SIGINT)
        if not received:
            raise
        hint = "".join(f": {text}" for text in error.args) if isinstance(error, KeyboardInterrupt) else ""
        print(f"jaxbackprop: {ASKING[received[0]]}{hint}", file=sys.stderr)
        return 128 + received[0]
    finally:
        received.clear()
        if sys.unraisablehook is again:
            sys.unraisablehook = hook
        while before:
            signal.signal(*before.popitem())

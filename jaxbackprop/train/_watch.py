"""What ends a process when another of those that train with it has died or failed."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from jaxbackprop._errors import CannotRun

# A process that jax has not heard of for so many seconds is dead. It is heard from a thread of its own, which
# neither compilation nor Python holds up.
HEARTBEAT = 30
# Milliseconds. Whoever has died or failed is noticed meanwhile, so that this is as good as forever.
DAY = 24 * 60 * 60 * 1000
_ERROR = 2
_LEFT = "jaxbackprop-left"
_HEARD = "jaxbackprop-heard/{}"
# For what is being written to be completed, and for the others to hear why process 0 leaves.
_TIDYING, _HEARING = 15.0, 5.0


# In what XLA says where other processes, or the coordination service, are not there.
_OF_COLLECTIVES = ("Gloo", "NCCL", "ollective", "oordination", "UNAVAILABLE", "DEADLINE_EXCEEDED")
# What a process that has joined others ends with, should nobody say; None before it has.
_status: int | None = None


class HostsError(CannotRun):
    """The processes that were to train together do not."""


class Watch:
    """Looks after the other processes, and ends this one when one of them has ended.

    Args:
        client: of jax's coordination service.
        index: of this process.
        count: of processes.

    Attributes:
        tidy: called, one after another, before this process is ended so, with the reason and exit status.
        hint: how to go on, to be said then.
    """

    def __init__(self, client: Any, index: int, count: int) -> None:
        self._client, self._index, self._count = client, index, count
        self.tidy: list[Callable[[str, int], None]] = []
        self.hint = ""
        # Taken by whoever ends this process, and never let go.
        self._ending = threading.Lock()
        self._stood_down = False
        for watch in (self._watch_deaths, self._watch_failures):
            threading.Thread(target=watch, daemon=True).start()

    def coordinator_lost(self) -> None:
        """Ends this process because process 0, which holds the coordination service, cannot be reached."""
        if self._stood_down:
            _exit(0)  # at the end of all, process 0 was faster
        if self._index == 0:
            self.end("the coordination service in this process has failed", _ERROR)
        self.end("process 0, which coordinates, has died or cannot be reached", _ERROR)

    def stand_down(self) -> None:
        """Lets the other processes end without consequences, for this one has come to its end, too."""
        self._ending.acquire()
        self._stood_down = True

    def leave(self, said: str, status: int) -> None:
        """Tells the others that this process ends, and why; they end, too.

        Args:
            said: the reason, in one line.
            status: the exit status, theirs too.
        """
        if self._stood_down:
            return
        self._ending.acquire()
        self._tell(said, status, ())

    def end(self, said: str, status: int, dead: Collection[int] = ()) -> NoReturn:
        """Ends this process: completes what is being written, says why, exits.

        Args:
            said: why, in one line.
            status: the exit status.
            dead: processes that have died.
        """
        self._ending.acquire()
        go_on = f"; {self.hint}" if self.hint else ""
        kind = "error: " if status == _ERROR else ""
        tidying = threading.Thread(target=self._tidy, args=(said, status), daemon=True)
        tidying.start()
        tidying.join(_TIDYING)
        with suppress(Exception):
            print(f"jaxbackprop: {kind}" + " ".join(f"{said}{go_on}".split()), file=sys.stderr)
        if self._index == 0:
            self._tell(said, status, dead)
        _exit(status)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Where a collective fails within, ends this process with the reason.

        Raises:
            HostsError: no other process has ended, so that one was late.
        """
        try:
            yield
        except Exception as error:
            if not _is_of_collectives(error):
                raise
            late = any(word in str(error) for word in ("imeout", "imed out", "DEADLINE"))
            # The reason comes to another thread, which ends the process.
            time.sleep(10 if late else HEARTBEAT + 10)
            raise HostsError(_described(error, late)) from None

    def _tell(self, said: str, status: int, dead: Collection[int]) -> None:
        with suppress(Exception):  # another process was faster
            notice = json.dumps({"process": self._index, "said": said, "status": status})
            self._client.key_value_set(_LEFT, notice)
        if self._index == 0:
            # The service is in this process, which stays until the others know.
            until = time.monotonic() + _HEARING
            for index in set(range(1, self._count)) - set(dead):
                with suppress(Exception):
                    left = max(1, int(1000 * (until - time.monotonic())))
                    self._client.blocking_key_value_get(_HEARD.format(index), left)

    def _tidy(self, said: str, status: int) -> None:
        for tidy in self.tidy:
            with suppress(Exception):
                tidy(said, status)

    def _watch_deaths(self) -> None:
        everyone = list(range(self._count))
        while True:
            try:
                alive = self._client.get_live_nodes(everyone)
            except Exception:
                return  # the service has gone: `coordinator_lost` is called, or this is the end
            if dead := sorted(set(everyone) - set(alive)):
                named = ("process " if len(dead) == 1 else "processes ") + ", ".join(map(str, dead))
                have = "has" if len(dead) == 1 else "have"
                self.end(f"{named} {have} died: nothing was heard for {HEARTBEAT} s", _ERROR, dead)
            time.sleep(1)

    def _watch_failures(self) -> None:
        try:
            left = json.loads(self._client.blocking_key_value_get(_LEFT, DAY))
            if left["process"] == self._index:
                return
            self._client.key_value_set(_HEARD.format(self._index), "")
        except Exception:
            return  # as above
        self.end(left["said"], left["status"], {left["process"]})


def note_joined(status: int) -> None:
    """Says that this process has joined others, and ends with this status should nobody say another."""
    global _status
    if _status is None:
        # Before what jax has registered: at the end of Python it waits for what the others were to send.
        atexit.register(exit_joined)
    _status = status


def exit_joined(status: int | None = None) -> None:
    """Ends this process at once, if it has joined others; else does nothing.

    Args:
        status: the exit status; None for that of an exception that nobody has caught.
    """
    if _status is not None:
        _exit(_status if status is None else status)


def _exit(status: int) -> NoReturn:
    # Not sys.exit: collectives that wait for the dead would not be left.
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status)


def _is_of_collectives(error: Exception) -> bool:
    # Which type an error of XLA has depends on where it is noticed.
    return any(word in str(error) for word in _OF_COLLECTIVES)


def _described(error: Exception, late: bool) -> str:
    said = str(error).split("\n")[0]
    if not late:
        return f"the processes have lost touch: {said}"
    return (
        "the other processes were not there in time: on CPUs, gloo waits 30 s for them, so all need hosts"
        f" that are equally fast and none may be paused ({said})"
    )

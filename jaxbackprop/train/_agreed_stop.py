"""At which step several processes stop, when a signal has come to one of them."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from ._watch import DAY

# Milliseconds that a training's end may wait.
_MOMENT = 300


class AgreedStop:
    """What the processes agree by: each says how far it is bound to go, and all go as far as the first.

    A process may be as many steps ahead as its device lets it. It makes no further one while it has said its
    number and does not know the others'; these come from threads, so that none waits for a step of another.

    Args:
        client: of jax's coordination service.
        name: of what is agreed, the same in all processes.
        index: of this process.
        count: of processes.
        step: steps made so far.

    Attributes:
        signal: what has come to one of the processes, once all know where to stop; else None.
    """

    def __init__(self, client: Any, name: str, index: int, count: int, step: int) -> None:
        self._client, self._name, self._index, self._count = client, name, index, count
        self._lock = threading.Lock()
        self._bound, self._last = step + 1, 0
        self._told = self._closed = False
        self.signal: int | None = None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def due(self, step: int, signal: int | None) -> bool:
        """Whether to stop after a step; if not, this process is bound to make one more.

        Args:
            step: steps made.
            signal: that this process has received, or None.
        """
        if signal is not None and not self._told:
            self._told = True
            with suppress(Exception):  # another process was faster
                self._client.key_value_set(f"{self._name}/signal", str(signal))
        with self._lock:
            if self.signal is not None:
                return step >= self._last
            self._bound = step + 1
            return False

    def close(self) -> None:
        """Listens no longer. A thread that is in C++ when Python ends would abort the process."""
        self._closed = True
        self._listener.join(10)

    def _listen(self) -> None:
        # The end of the service, too, ends the wait.
        with suppress(Exception):
            signal = self._await_signal()
            if signal is None:
                return
            with self._lock:
                self._client.key_value_set(f"{self._name}/{self._index}", str(self._bound))
                self._last = max(self._wait(str(index)) for index in range(self._count))
                self.signal = signal

    def _await_signal(self) -> int | None:
        while not self._closed:
            try:
                return self._wait("signal", _MOMENT)
            except Exception as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise
        return None

    def _wait(self, key: str, milliseconds: int = DAY) -> int:
        return int(self._client.blocking_key_value_get(f"{self._name}/{key}", milliseconds))

"""Several processes that train one model: where they meet, and what they tell one another.

It goes through the coordination service of jax.distributed, which has barriers and a store of keys.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TypeVar

from ._agreed_stop import AgreedStop
from ._watch import DAY, HostsError, Watch

T = TypeVar("T")


class Hosts:
    """This process among those that train together.

    All of them call the same methods in the same order, from their main threads.

    Args:
        client: of jax's coordination service; None for a process that is alone.
        index: of this process, from 0.
        count: of processes.
        watch: what looks after the others, if anything does.
    """

    def __init__(self, client: Any, index: int, count: int, watch: Watch | None = None) -> None:
        self.index, self.count, self.watch = index, count, watch
        self._client = client
        self._calls = 0

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.index == 0

    def meet(self, what: str, seconds: int = DAY // 1000) -> None:
        """Waits until all have come to this place.

        Collectives on CPUs wait for one another for 30 s at most, so processes meet where one may be slower.

        Args:
            what: the place, for messages.
            seconds: to wait at most; whoever has died or failed is noticed sooner.
        """
        if self.count > 1:
            name = self._next(what)
            interruptible(lambda: self._client.wait_at_barrier(name, 1000 * seconds))

    def gather(self, what: str, value: Any) -> list[Any]:
        """What each process has to say, in their order.

        Args:
            what: its name, for messages.
            value: of this process, as JSON holds it.
        """
        if self.count == 1:
            return [value]
        name = self._next(what)
        self._client.key_value_set(f"{name}/{self.index}", json.dumps(value))
        return [self._get(f"{name}/{index}") for index in range(self.count)]

    def share(self, what: str, value: Any) -> Any:
        """What process 0 has to say.

        Args:
            what: its name, for messages.
            value: as JSON holds it; of the other processes it is not looked at.
        """
        if self.count == 1:
            return value
        name = self._next(what)
        if self.leads:
            self._client.key_value_set(name, json.dumps(value))
            return value
        return self._get(name)

    def agree(self, what: Mapping[str, Any]) -> None:
        """Compares what must be the same in all processes.

        Args:
            what: by name, as JSON holds it.

        Raises:
            HostsError: it is not; all processes raise the same.
        """
        first, *others = self.gather("agree", dict(what))
        for index, other in enumerate(others, start=1):
            for name in sorted(first.keys() | other.keys()):
                if first.get(name) != other.get(name):
                    raise HostsError(
                        f"process {index} differs from process 0: {name} is {_shown(other.get(name))}"
                        f" and not {_shown(first.get(name))}; all must be started alike, or with"
                        " --num-processes 1 to train apart"
                    )

    def agreed_stop(self, step: int) -> AgreedStop:
        """How the processes, which have all made so many steps, stop at the same one."""
        return AgreedStop(self._client, self._next("stop"), self.index, self.count, step)

    def on_end(self, hint: str | None = None, tidy: Callable[[str, int], None] | None = None) -> None:
        """Says what is done where this process is ended because another has died or failed.

        Args:
            hint: how to go on, for the message.
            tidy: called with the reason and the exit status, after those given before.
        """
        if self.watch is not None:
            self.watch.hint = hint or self.watch.hint
            self.watch.tidy += [] if tidy is None else [tidy]

    def part(self) -> None:
        """Waits for all, whose ends are of no consequence to one another from then on."""
        self.meet("end")
        if self.watch is not None:
            self.watch.stand_down()
            # The coordination service ends with process 0, which none may then take for a failure.
            with suppress(Exception):
                self.meet("parted", seconds=10)

    def explained(self) -> AbstractContextManager[None]:
        """Where a collective fails within, ends this process with the reason; see `Watch.explained`."""
        return nullcontext() if self.watch is None else self.watch.explained()

    def _get(self, name: str) -> Any:
        return json.loads(interruptible(lambda: self._client.blocking_key_value_get(name, DAY)))

    def _next(self, what: str) -> str:
        # Names are used once; all processes count alike.
        self._calls += 1
        return f"jaxbackprop/{self._calls}/{what}"


ALONE = Hosts(None, 0, 1)
_current: Hosts | None = None


def current_hosts() -> Hosts:
    """The processes that train together, of which this is one; `ALONE` where there is no other."""
    global _current
    if _current is None:
        from jax._src.distributed import global_state

        if global_state.client is None or global_state.num_processes == 1:
            return ALONE
        _current = Hosts(global_state.client, global_state.process_id, global_state.num_processes)
    return _current


def set_current(hosts: Hosts | None) -> None:
    """Says which processes train together."""
    global _current
    _current = hosts


def interruptible(call: Callable[[], T]) -> T:
    """Calls what waits in C++, where Python would handle no signal, so that signals are handled."""
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True).start()
    done.wait()
    if errors:
        raise errors[0]
    return results[0]


def _shown(value: Any) -> str:
    return "absent" if value is None else f"{value!r:.80}"

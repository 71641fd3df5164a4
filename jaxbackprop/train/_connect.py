"""The way into jax.distributed, and what keeps jax from aborting the process or printing in its place."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from ._hosts import Hosts, interruptible, set_current
from ._watch import HEARTBEAT, HostsError, Watch, note_joined


def connect(
    coordinator: str | None, num_processes: int | None, process_id: int | None, timeout: int
) -> tuple[Hosts, Watch]:
    """Joins the processes that train together; see `jaxbackprop.train.joined`.

    Raises:
        HostsError: they have not come together in time, or the coordinator's address is no good.
    """
    quiet_xla()
    import jax
    from jax._src.distributed import global_state

    if coordinator is not None:
        host, _, port = coordinator.rpartition(":")
        if process_id == 0:
            _refuse_taken(int(port))
        else:
            timeout = max(1, timeout - _await_coordinator(host.strip("[]"), int(port), timeout))
    _keep_gloo_quiet()
    note_joined(1)
    # Its signals are ours to handle; and that a process dies is for `Watch` to see, which can say which.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_enable_recoverability", True)
    # Its warning of proxies is said where they may be the reason.
    jax.config.update("jax_check_proxy_envs", False)
    lost = _Lost()
    began = time.monotonic()
    with _told_of_loss(lost):
        try:
            interruptible(
                partial(
                    jax.distributed.initialize,
                    coordinator,
                    num_processes,
                    process_id,
                    initialization_timeout=timeout,
                    heartbeat_timeout_seconds=HEARTBEAT,
                )
            )
        except Exception as error:
            raise _not_joined(error, coordinator, num_processes, time.monotonic() - began < timeout) from None
    index, count = global_state.process_id, global_state.num_processes
    lost.watch = Watch(global_state.client, index, count)
    hosts = Hosts(global_state.client, index, count, lost.watch)
    set_current(hosts)
    return hosts, lost.watch


def quiet_xla() -> None:
    """Keeps XLA from logging of others what is said here in one line; it looks when jax is loaded."""
    # 1 is what jax makes it.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") in (None, "1"):
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def _not_joined(error: Exception, coordinator: str | None, count: int | None, at_once: bool) -> HostsError:
    where = coordinator or "the coordinator that the cluster names"
    if at_once:
        said = str(error).split("\n")[0].replace("std::bad_cast", "refused")
        return HostsError(
            f"cannot join the processes at {where}: {said}; each needs a --process-id of its own, and the"
            " same --num-processes"
        )
    every = "the" if count is None else f"the {count}"
    proxies = ", ".join(sorted(name for name in os.environ if "_proxy" in name.lower()))
    hint = f"; {proxies} may be in the way" if proxies else ""
    return HostsError(f"not all of {every} processes have come to {where} in time (--join-timeout){hint}")


def _await_coordinator(host: str, port: int, timeout: int) -> int:
    """Waits for process 0 to listen, and returns the seconds that it took: jax would abort in the end."""
    began = time.monotonic()
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
            return int(time.monotonic() - began)
        except OSError as error:
            if time.monotonic() - began > timeout:
                raise HostsError(
                    f"cannot reach --coordinator {host}:{port} within {timeout} s (--join-timeout):"
                    f" {error.strerror or error}; is process 0 running?"
                ) from None
        time.sleep(0.2)


def _refuse_taken(port: int) -> None:
    """Looks whether a port is free: jax's own server would share it with another's."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind(("", port))
            probe.listen(1)
        except OSError as error:
            raise HostsError(
                f"--coordinator: port {port} of this host cannot be used: {error.strerror}"
            ) from None


class _Lost:
    """What jax calls when it has lost the coordination service."""

    watch: Watch | None = None

    def called(self, *status: Any) -> None:
        """By the callback; before this process has joined, the exception arrives where it joins."""
        if self.watch is None:
            raise HostsError("refused")
        self.watch.coordinator_lost()

    def terminated(self) -> None:
        """By std::terminate; when this returns, the process is aborted."""
        if self.watch is not None:
            self.watch.coordinator_lost()


@contextlib.contextmanager
def _told_of_loss(lost: _Lost) -> Iterator[None]:
    """Has jax call `lost`, where by itself it aborts the process with a stack trace and a core dump.

    jaxlib has a callback for that. It cannot hand its argument to Python (nanobind lacks the type), which
    ends in std::terminate: so that is told, too.
    """
    from jax._src.lib import _jax  # type: ignore[attr-defined]

    create = _jax.get_distributed_runtime_client
    with contextlib.suppress(OSError, AttributeError):
        handler = ctypes.CFUNCTYPE(None)(lost.terminated)
        _handlers.append(handler)
        ctypes.CDLL("libstdc++.so.6")._ZSt13set_terminatePFvvE(handler)
    _jax.get_distributed_runtime_client = partial(create, missed_heartbeat_callback=lost.called)
    try:
        yield
    finally:
        _jax.get_distributed_runtime_client = create


# C++ holds them to the end.
_handlers: list[Any] = []


def _keep_gloo_quiet() -> None:
    """Gives standard output another number: gloo prints to 1 whom it is connected to."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stdout.fileno() != 1:
            return
        sys.stdout.flush()
        kept = os.dup(1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        before = sys.stdout
        sys.stdout = open(  # noqa: SIM115  for the rest of the process
            kept, "w", encoding=before.encoding, errors=before.errors, buffering=1 if before.isatty() else -1
        )

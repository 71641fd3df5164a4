"""The machine that a benchmark runs on: whether it is idle, and what it can do at most."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable

# Others may use so many cores of an idle machine, over a look of so many seconds.
_IDLE_CORES, _LOOK_SECONDS = 0.15, 0.5
# Beyond the caches of the machines at hand; 64 Mi float32.
_STREAMED, SIDE = 64 << 20, 2048


@dataclasses.dataclass(frozen=True)
class Limits:
    """What no program on this machine can beat, in float32.

    Attributes:
        bandwidth: bytes a second, read and written, streaming into an existing (donated) buffer.
        gemm: operations a second (a multiplication and an addition are two) in a product of two 2048 x 2048
            matrices.
    """

    bandwidth: float
    gemm: float


def limits(*, elements: int = _STREAMED, side: int = SIDE, repeats: int = 9) -> Limits:
    """Measures the machine's limits: the best of some runs.

    Args:
        elements: how many float32 numbers are streamed.
        side: of the matrices.
        repeats: runs of each.
    """
    import jax
    import jax.numpy as jnp

    stream = jax.jit(lambda x: x + 1, donate_argnums=0)
    product = jax.jit(jnp.matmul)
    x = jax.block_until_ready(jnp.zeros(elements, jnp.float32))
    A = jax.block_until_ready(jnp.full((side, side), 1 / side, jnp.float32))
    streaming, multiplying = [], []
    # The first run of each compiles.
    for _ in range(repeats + 1):
        began = time.perf_counter()
        x = jax.block_until_ready(stream(x))
        streamed = time.perf_counter()
        jax.block_until_ready(product(A, A))
        streaming.append(streamed - began)
        multiplying.append(time.perf_counter() - streamed)
    return Limits(2 * 4 * elements / min(streaming[1:]), 2 * side**3 / min(multiplying[1:]))


@dataclasses.dataclass(frozen=True)
class _Clock:
    """Seconds since some moment: by the wall, of all work on this process's cores, and of its own."""

    wall: float
    busy: float
    own: float


def _now() -> _Clock | None:
    """None where the system does not say how busy its cores are."""
    try:
        cores = os.sched_getaffinity(0)
        per_second = os.sysconf("SC_CLK_TCK")
        with open("/proc/stat", encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith("cpu")]
    except (AttributeError, OSError, ValueError):
        return None
    of_core = {name[3:]: numbers for name, *numbers in lines}
    ticks = 0
    for core in cores:
        user, nice, system, _idle, _waiting, irq, softirq, steal, *_ = map(
            int, of_core.get(str(core), [0] * 8)
        )
        ticks += user + nice + system + irq + softirq + steal
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return _Clock(time.perf_counter(), ticks / per_second, own)


class BackgroundLoad:
    """How many cores others use from now on: other processes, and other machines on the same cores."""

    def __init__(self) -> None:
        self._began = _now()

    def cores(self) -> float | None:
        """Cores that others have used on average; None where the system does not say, or too early to."""
        now = _now()
        if self._began is None or now is None or now.wall - self._began.wall < 0.1:
            return None
        others = (now.busy - self._began.busy) - (now.own - self._began.own)
        return max(0.0, others / (now.wall - self._began.wall))


def disturbs(cores: float | None) -> bool:
    """Whether a measurement is disturbed where others use so many cores; not where that is unknown."""
    return cores is not None and cores > _IDLE_CORES


def wait_until_idle(say: Callable[[str], None], *, patience: float = 60.0) -> bool:
    """Waits until nobody else uses the machine, or says that somebody does.

    Args:
        say: told what is amiss, in one line.
        patience: for how many seconds to wait at most.

    Returns:
        Whether the machine is idle. Where the system does not say what others do, its load average is told
        where that is higher than the number of cores.
    """
    if _now() is None:
        return _idle_by_load(say)
    end = time.monotonic() + patience
    while True:
        background = BackgroundLoad()
        time.sleep(_LOOK_SECONDS)
        cores = background.cores()
        if not disturbs(cores):
            return True
        if time.monotonic() >= end:
            waited = f", after waiting for {patience:.0f} s" if patience else ""
            say(
                f"the machine is not idle: others use {cores:.1f} of {len(os.sched_getaffinity(0))} cores"
                f"{waited}; times will scatter"
            )
            return False


def _idle_by_load(say: Callable[[str], None]) -> bool:
    try:
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
    except (AttributeError, OSError):
        say("this system does not say whether it is idle")
        return False
    if load > cores:
        say(f"the machine is not idle: load average {load:.1f} on {cores} cores; times will scatter")
        return False
    return True

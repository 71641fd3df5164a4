"""How a training step would scale over machines that are not at hand: an α-β model of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

# What part of a peak small products and updates reach; an assumption, for every machine alike.
_REACHED = 0.3
_HALF = 0.5


@dataclass(frozen=True)
class Machine:
    """Many equal devices.

    Attributes:
        name: of them.
        devices: how many there are; a power of two.
        rings: lengths of the rings that an operation goes around, one after another, over all of them.
        operations: floating-point operations a second of one, in bfloat16 products.
        memory: bytes a second from and to its memory.
        link: bytes a second that it sends into a ring.
        latency: seconds that a message takes from one to the next.
    """

    name: str
    devices: int
    rings: tuple[int, ...]
    operations: float
    memory: float
    link: float
    latency: float


# Peaks as their makers state them (NVIDIA H100 SXM data sheet; Google Cloud's page "TPU v5e"), the latencies
# as assumed: some microseconds for a step of NCCL's ring, one for a hop in a torus.
MACHINES = (
    Machine("8 H100 GPUs, NVLink", 8, (8,), 989e12, 3.35e12, 450e9, 3e-6),
    Machine("256 TPU v5e cores, 16 × 16 torus", 256, (16, 16), 197e12, 819e9, 100e9, 1e-6),
)


@dataclass(frozen=True)
class StepCost:
    """What a step costs, as the compiled programs say it.

    Attributes:
        operations: floating-point operations a word.
        fixed_memory: bytes that each device reads and writes to update what it holds whole.
        word_memory: bytes a word of the whole batch that each device reads and writes in tables by rows.
        moved: bytes by kind of operation (``all-reduce``, ``all-gather``) in a step: (fixed, a word of the
            whole batch).
    """

    operations: float
    fixed_memory: float
    word_memory: float
    moved: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Projected:
    """A step on some devices of a machine.

    Attributes:
        devices: how many.
        words: of the whole batch.
        seconds: of a step.
        efficiency: of one device's words a second, times the devices, what part is reached.
    """

    devices: int
    words: int
    seconds: float
    efficiency: float


def project(cost: StepCost, machine: Machine, words: int, *, each: bool) -> list[Projected]:
    """A step on 1, 2, 4, ... devices.

    Args:
        cost: of a step.
        machine: of the devices.
        words: of the batch, or of each device's part.
        each: whether `words` are each device's, so that the batch grows with them.
    """
    counts = [2**power for power in range(int(math.log2(machine.devices)) + 1)]
    alone = _seconds(cost, machine, words, 1) / words
    found = []
    for devices in counts:
        whole = words * devices if each else words
        seconds = _seconds(cost, machine, whole, devices)
        found.append(Projected(devices, whole, seconds, alone * whole / devices / seconds))
    return found


def stops(projected: list[Projected]) -> int | None:
    """The first number of devices of which less than half is used; None where there is none."""
    return next((one.devices for one in projected if one.efficiency < _HALF), None)


def _seconds(cost: StepCost, machine: Machine, words: int, devices: int) -> float:
    computed = cost.operations * words / devices / (_REACHED * machine.operations)
    updated = (cost.fixed_memory + cost.word_memory * words) / (_REACHED * machine.memory)
    told = 0.0
    for kind, (fixed, a_word) in cost.moved.items():
        told += _told(machine, kind, fixed + a_word * words, devices)
    return computed + updated + told


def _told(machine: Machine, kind: str, size: float, devices: int) -> float:
    """Seconds of one operation: rings, one after another; an all-reduce goes around each of them twice."""
    seconds, left = 0.0, devices
    for ring in machine.rings:
        length = min(ring, left)
        left //= length
        around = (2 if kind == "all-reduce" else 1) * (length - 1)
        seconds += around * (machine.latency + size / length / machine.link)
        if kind == "all-reduce":
            # The next ring adds up a part of what this one did.
            size /= length
    return seconds

"""`bench mesh`: a training step on 1 to 8 devices, what they tell each other, and how it would scale."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ._report import CannotBench
from ._scaling import MACHINES, Machine, Projected, StepCost, project, stops

DEVICES = 8
# One device without a mesh, and meshes.
MESHES = (None, "data=1", "data=2", "data=4", "data=8", "data=4,model=2")
_WORKER = "from jaxbackprop.bench._mesh_worker import main; main()"
_WORDS = 1024


@dataclass(frozen=True)
class Measured:
    """A mesh.

    Attributes:
        mesh: its axes, as `--mesh` says them; None is one device without a mesh.
        rates: steps a second, one a turn.
        moved: bytes a step that each device gets of the others, by kind of operation, at most: all branches.
        apart: how far the parameter that is furthest from that of one device is after all steps.
    """

    mesh: str | None
    rates: tuple[float, ...]
    moved: Mapping[str, int]
    apart: float

    @property
    def rate(self) -> float:
        """Steps a second: the median of the turns."""
        return statistics.median(self.rates)


@dataclass(frozen=True)
class Scaling:
    """All that was found.

    Attributes:
        cores: that the devices share.
        words: a batch.
        steps: made on each mesh.
        measured: meshes, the first of which is one device without a mesh.
        cost: of a step.
    """

    cores: int
    words: int
    steps: int
    measured: tuple[Measured, ...]
    cost: StepCost

    @property
    def met(self) -> bool:
        """True: what is promised of meshes is tested, and depends on no time."""
        return True

    def lines(self) -> list[str]:
        """What is printed."""
        alone = self.measured[0].rate
        said = [
            f"a step of the window classifier on {self.words:,} words, table of 100,000 words by rows",
            f"the devices are threads that share {self.cores} cores: what is seen is overhead, no speed",
            f"apart: the parameter that is furthest from one device's after {self.steps} steps",
            "",
            f"{'mesh':<16}{'steps/s':>8}{'spread':>14}{'time':>8}{'apart':>9}  bytes a step from the others",
        ]
        for one in self.measured:
            spread = f"{min(one.rates):.0f} to {max(one.rates):.0f}"
            told = ", ".join(f"{kind} {size:,}" for kind, size in one.moved.items()) or "none"
            said.append(
                f"{one.mesh or 'one device':<16}{one.rate:>8.0f}{spread:>14}{alone / one.rate:>7.2f}x"
                f"{one.apart:>9.1e}  {told}"
            )
        for machine in MACHINES:
            said += ["", *self._projected(machine)]
        return said

    def _projected(self, machine: Machine) -> list[str]:
        said = [
            f"projected, not measured: {machine.name} ({machine.link / 1e9:.0f} GB/s a link, "
            f"{1e6 * machine.latency:.0f} µs a message, 30 % of the peaks reached)"
        ]
        for each, what in ((False, "words in all"), (True, "words a device")):
            found = project(self.cost, machine, self.words, each=each)
            at = stops(found)
            end = f"less than half used from {at} devices on" if at else f"scales to all {machine.devices}"
            said.append(f"  {self.words:,} {what}: {end}")
            # Of many numbers of devices every other one is shown, the last among them.
            said += [f"    {_line(one)}" for one in found[:: 1 + (len(found) > 5)]]
        return said

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        projected = {
            machine.name: {
                "machine": asdict(machine),
                "fixed_batch": [asdict(one) for one in project(self.cost, machine, self.words, each=False)],
                "growing_batch": [asdict(one) for one in project(self.cost, machine, self.words, each=True)],
            }
            for machine in MACHINES
        }
        return {"benchmark": "mesh", **asdict(self), "projected": projected}


def mesh(say: Callable[[str], None]) -> Scaling:
    """Trains on meshes of forced devices of this machine's CPU, in turns, in a process of its own.

    Args:
        say: told what is being done.

    Raises:
        CannotBench: the process failed; with its last line.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags.strip()}
    say(f"training on {DEVICES} forced devices")
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, str(_WORDS)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise CannotBench(f"mesh: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
    return _read(json.loads(done.stdout.splitlines()[-1]))


def _read(found: Mapping[str, Any]) -> Scaling:
    measured = [
        Measured(one["mesh"], tuple(one["rates"]), one["moved"], one["apart"]) for one in found["measured"]
    ]
    small, large = found["programs"]
    words = large["words"] - small["words"]
    moved = {}
    for kind in small["moved"]:
        a_word = (large["moved"][kind] - small["moved"][kind]) / words
        moved[kind] = small["moved"][kind] - a_word * small["words"], a_word
    cost = StepCost(found["operations"], found["fixed_memory"], found["word_memory"], moved)
    return Scaling(found["cores"], found["words"], found["steps"], tuple(measured), cost)


def _line(one: Projected) -> str:
    devices = f"{one.devices:>4} device{'s' if one.devices > 1 else ' '}"
    rate = one.words / one.seconds / 1e6
    took = f"{1e6 * one.seconds:>10.0f} µs a step{rate:>10.1f} M words/s"
    return f"{devices}{took}{one.efficiency:>7.0%} used"

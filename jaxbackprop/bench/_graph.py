"""`jaxbackprop bench graph`: the graph's gradients beside jax.grad's, in time, memory and multiplications."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from jaxbackprop import graph as graphs
from jaxbackprop._output import refuse_unwritable, write_json

from ._graph_functions import FUNCTIONS, Function, Scale
from ._memory import temporary_bytes
from ._report import CannotBench

# A sample is so long that the clock does not matter, and there are so many of them.
_SAMPLE_SECONDS, _FEWEST, _MOST, _SECONDS = 0.002, 15, 101, 0.5


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What was measured on a function.

    Attributes:
        function: which.
        ours: milliseconds of a call of the graph's gradient, the median.
        peer: of jax.grad's.
        ratio: the peer's time over ours, of two calls one after the other: least, median, largest.
        ours_bytes: temporary memory of the graph's gradient, in bytes; None where XLA does not say.
        peer_bytes: of jax.grad's.
        multiplications: backward over forward; nan where the forward pass does not multiply.
    """

    function: Function
    ours: float
    peer: float
    ratio: tuple[float, float, float]
    ours_bytes: int | None
    peer_bytes: int | None
    multiplications: float

    @property
    def slow(self) -> bool:
        """Whether it takes longer than its bar."""
        return self.ratio[1] * self.function.bar < 1

    @property
    def large(self) -> bool:
        """Whether it takes more temporary memory than jax.grad; a number or two more do not count."""
        if self.ours_bytes is None or self.peer_bytes is None:
            return False
        return self.ours_bytes > self.peer_bytes * 1.01 + 1024


def graph(
    *, only: Sequence[str] = (), json_path: str | None = None, console: Console
) -> list[dict[str, Any]]:
    """Measures `jax.jit(graph.grad(f))` beside `jax.jit(jax.grad(f))` on each function of the list.

    Args:
        only: groups or names of functions. None: all.
        json_path: file for the figures, written whole or not at all.
        console: where progress and results are shown.

    Returns:
        A row a function: times in milliseconds, the ratio of times (above 1 the graph's is faster), bytes.

    Raises:
        CannotBench: where only names no group and no function.
        OSError: where json_path cannot be written.
    """
    if json_path is not None:
        refuse_unwritable(json_path)
    chosen = _chosen(only)
    load, cores = _load(), os.cpu_count() or 1
    if load is not None and load > cores:
        console.print(f"the machine is busy: load average {load:.1f} on {cores} cores; times will scatter\n")
    found = []
    for number, function in enumerate(chosen, 1):
        found.append(compare(function))
        console.print(f"{number:4d}/{len(chosen)}  {_line(found[-1])}", soft_wrap=True)
        # Compiled programs pile up otherwise.
        jax.clear_caches()
    console.print()
    console.print(_table(found))
    console.print(_summary(found))
    rows = [_row(comparison) for comparison in found]
    if json_path is not None:
        write_json(json_path, rows)
    return rows


def _chosen(only: Sequence[str]) -> list[Function]:
    groups = dict.fromkeys(function.group for function in FUNCTIONS)
    names = {function.name for function in FUNCTIONS}
    if unknown := [name for name in only if name not in groups and name not in names]:
        raise CannotBench(f"--only {unknown[0]}: the groups are {', '.join(groups)}")
    return [f for f in FUNCTIONS if not only or f.group in only or f.name in only]


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def compare(function: Function, scale: Scale = "bench", *, seconds: float = _SECONDS) -> Comparison:
    """Measures one function.

    Args:
        function: which.
        scale: see `Function`.
        seconds: about how long to measure.
    """
    f, args = function.build(scale)
    args = jax.tree.map(jax.numpy.asarray, args)
    ours, peer = (
        jax.jit(grad(f, function.argnums)).lower(*args).compile() for grad in (graphs.grad, jax.grad)
    )
    moving, differentiated = function.moving(f, args)
    times = _alternating(lambda: ours(*args), lambda: peer(*args), seconds)
    ratios = [theirs / us for us, theirs in times]
    us, theirs = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    return Comparison(
        function,
        us,
        theirs,
        (min(ratios), statistics.median(ratios), max(ratios)),
        temporary_bytes(ours),
        temporary_bytes(peer),
        graphs.trace(moving, *differentiated).cost().ratio,
    )


def _alternating(
    ours: Callable[[], object], peer: Callable[[], object], seconds: float
) -> list[tuple[float, float]]:
    """Seconds of a call of each, in pairs one right after the other; who comes first takes turns."""
    for run in (ours, peer):
        jax.block_until_ready(run())
    once = min(_seconds(ours, 1), _seconds(peer, 1), _seconds(ours, 1), _seconds(peer, 1))
    calls = max(1, round(_SAMPLE_SECONDS / once))
    count = min(_MOST, max(_FEWEST, int(seconds / (2 * calls * once))))
    pairs = []
    for number in range(count):
        if number % 2:
            theirs = _seconds(peer, calls)
            pairs.append((_seconds(ours, calls), theirs))
        else:
            pairs.append((_seconds(ours, calls), _seconds(peer, calls)))
    return pairs


def _seconds(run: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        jax.block_until_ready(run())
    return (time.perf_counter() - began) / calls


def _row(found: Comparison) -> dict[str, Any]:
    return {
        "benchmark": "graph",
        "case": found.function.name,
        "group": found.function.group,
        "peer": "jax.grad",
        "ours_ms": found.ours,
        "peer_ms": found.peer,
        "ratio": list(found.ratio),
        "bar": found.function.bar,
        "ours_bytes": found.ours_bytes,
        "peer_bytes": found.peer_bytes,
        "multiplications": found.multiplications,
    }


def _line(found: Comparison) -> str:
    said = [word for word, holds in (("SLOW", found.slow), ("LARGE", found.large)) if holds]
    return f"{1 / found.ratio[1]:5.2f} ×  {' '.join(said):<10}  {found.function.name}"


def _table(found: Sequence[Comparison]) -> Table:
    """Every function, the slowest beside jax.grad first."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("\nfunction", no_wrap=True)
    for name in (
        "ms\ngraph",
        "ms\njax.grad",
        "time over jax.grad's\nmedian (least to largest)",
        "\nbar",
        "bytes\ngraph",
        "bytes\njax.grad",
        "multiplications\nback / forward",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for one in sorted(found, key=lambda one: one.ratio[1] * one.function.bar):
        least, median, largest = (1 / ratio for ratio in reversed(one.ratio))
        table.add_row(
            one.function.name,
            f"{one.ours:.3f}",
            f"{one.peer:.3f}",
            f"{median:.2f} ({least:.2f} to {largest:.2f})" + (" slow" if one.slow else ""),
            f"{one.function.bar}",
            _bytes(one.ours_bytes) + (" more" if one.large else ""),
            _bytes(one.peer_bytes),
            f"{one.multiplications:.2f}",
        )
    return table


def _bytes(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _summary(found: Sequence[Comparison]) -> str:
    slow, large = sum(one.slow for one in found), sum(one.large for one in found)
    middle = statistics.median(1 / one.ratio[1] for one in found)
    return (
        f"{len(found)} functions: time {middle:.2f} of jax.grad's in the middle, {slow} beyond their bar; "
        f"{large} with more temporary memory"
    )

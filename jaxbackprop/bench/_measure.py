"""Side by side: ways to do the same work, taking turns in one process."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ._machine import BackgroundLoad, disturbs

# A sample is so long that the clock does not matter, and there are so many of them.
_SAMPLE_SECONDS, _FEWEST, _MOST = 0.05, 5, 101
# Calls shorter than this come after one that does not count: the last to run left caches and threads as it
# found best.
_WARM_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Peer:
    """One of several ways to do the same work.

    Attributes:
        name: "ours", or as the table names it: "optax dense", "jax.grad of lax.scan", "torch nn.RNN".
        call: does the work once and waits for its end; compiled and warmed up by whoever builds it.
        bar: on a peer: the smallest ratio of its time to ours that is asked for, or None.
    """

    name: str
    call: Callable[[], object]
    bar: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a benchmark's result: ours beside one peer.

    Attributes:
        benchmark: which.
        case: what was done.
        peer: who else did it.
        ours: how much we took, in `unit`; the median.
        other: how much the peer took.
        ratio: the peer's over ours, of runs one after the other: least, median, largest. Above 1 we are
            better.
        bar: the smallest median ratio that is asked for, or None.
        unit: "ms" or "bytes".
        bound: what the machine's own limit would need, in the same unit, or None.
        background: cores that others used meanwhile; None where that is unknown.
    """

    benchmark: str
    case: str
    peer: str
    ours: float
    other: float
    ratio: tuple[float, float, float]
    bar: float | None
    unit: Literal["ms", "bytes"] = "ms"
    bound: float | None = None
    background: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the bar; None where there is none."""
        return None if self.bar is None else self.ratio[1] >= self.bar

    @property
    def share(self) -> float | None:
        """How much of the machine's limit we reach: 1 is all of it; None where no bound is known."""
        return None if self.bound is None or not self.ours else self.bound / self.ours

    @property
    def disturbed(self) -> bool:
        """Whether others kept the machine busy meanwhile."""
        return disturbs(self.background)

    def as_json(self) -> dict[str, Any]:
        """As `bench --json` writes it."""
        return {
            "benchmark": self.benchmark,
            "case": self.case,
            "peer": self.peer,
            f"ours_{self.unit}": self.ours,
            f"peer_{self.unit}": self.other,
            "ratio": list(self.ratio),
            "bar": self.bar,
        }


@dataclasses.dataclass(frozen=True)
class Curve:
    """How times, or what else `y_label` says, grow with the size of a problem.

    Attributes:
        title: of the panel.
        x_label: what grows.
        x: its values, positive.
        values: by name, one each value of x, positive; "ours" is ours.
        y_label: what the values are.
    """

    title: str
    x_label: str
    x: Sequence[float]
    values: Mapping[str, Sequence[float]]
    y_label: str = "milliseconds"

    def __post_init__(self) -> None:
        if not self.x or min(self.x) <= 0:
            raise ValueError(f"x must hold positive values, got {list(self.x)}")
        for name, values in self.values.items():
            if len(values) != len(self.x):
                raise ValueError(f"{name} has {len(values)} values but x has {len(self.x)}")


def waiting(program: Callable[..., object], given: Sequence[object]) -> Callable[[], object]:
    """What a `Peer` calls to run a compiled program of JAX to its end; it has run once already."""
    import jax

    def call() -> object:
        return jax.block_until_ready(program(*given))

    call()
    return call


def side_by_side(
    benchmark: str,
    case: str,
    ours: Peer,
    peers: Sequence[Peer],
    *,
    seconds: float = 2.0,
    bound_ms: float | None = None,
) -> list[Row]:
    """Times ours and its peers in turns.

    In every round each runs once, one right after the other; who comes first takes turns. A ratio is that of
    two times of one round, so what disturbs the machine for longer than a round disturbs both. Short calls
    are repeated until a sample takes fifty milliseconds, after one that does not count.

    Args:
        benchmark: see `Row`.
        case: see `Row`.
        ours: what the others are held against.
        peers: the others.
        seconds: about how long to measure each of them; there are 5 rounds at least.
        bound_ms: what the machine's own limit would need.

    Returns:
        One row a peer, in their order.
    """
    runners = (ours, *peers)
    load = BackgroundLoad()
    samples = _rounds([runner.call for runner in runners], seconds)
    background = load.cores()
    mine, *theirs = zip(*samples, strict=True)
    rows = []
    for peer, times in zip(peers, theirs, strict=True):
        ratios = [their / my for my, their in zip(mine, times, strict=True)]
        rows.append(
            Row(
                benchmark,
                case,
                peer.name,
                1e3 * statistics.median(mine),
                1e3 * statistics.median(times),
                (min(ratios), statistics.median(ratios), max(ratios)),
                peer.bar,
                bound=bound_ms,
                background=background,
            )
        )
    return rows


def _rounds(calls: Sequence[Callable[[], object]], seconds: float) -> list[list[float]]:
    """Seconds of a call of each, a list a round."""
    once = [min(_seconds(call, 1), _seconds(call, 1)) for call in calls]
    repeats = [max(1, math.ceil(_SAMPLE_SECONDS / max(time, 1e-7))) for time in once]
    warm = [time < _WARM_SECONDS for time in once]
    round_seconds = sum(
        time * (repeat + first) for time, repeat, first in zip(once, repeats, warm, strict=True)
    )
    count = min(_MOST, max(_FEWEST, int(len(calls) * seconds / round_seconds)))
    rounds = []
    for number in range(count):
        times = [0.0] * len(calls)
        for place in range(len(calls)):
            i = (place + number) % len(calls)
            if warm[i]:
                calls[i]()
            times[i] = _seconds(calls[i], repeats[i])
        rounds.append(times)
    return rounds


def _seconds(call: Callable[[], object], repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def bytes_row(
    benchmark: str,
    case: str,
    peer: str,
    ours_bytes: int,
    peer_bytes: int,
    bar: float | None = None,
    *,
    bound: int | None = None,
) -> Row:
    """A row of memory. Nothing at all counts as one byte in the ratio, so that it is a number."""
    ratio = max(peer_bytes, 1) / max(ours_bytes, 1)
    return Row(benchmark, case, peer, ours_bytes, peer_bytes, (ratio,) * 3, bar, unit="bytes", bound=bound)

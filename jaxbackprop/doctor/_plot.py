"""The plots of a report: norms by depth and by time step, saturated and dead units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ._findings import Finding, number
from ._node_health import NodeHealth
from ._recurrence import Recurrence
from ._thresholds import threshold

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _RED, _GREY, _ORANGE = "#3b6ea8", "#c0504d", "#9a9a9a", "#d98a2b"
_BARS_AT_MOST = 24
_LABELS_AT_MOST = 24
_LEAST_SHOWN = 0.005


def draw(
    name: str,
    findings: Sequence[Finding],
    nodes: Sequence[NodeHealth],
    sequences: Sequence[Recurrence],
) -> Figure:
    """The plots of a report; see `Report.plot`.

    Args:
        name: of the function.
        findings: the most serious first; their nodes are red.
        nodes: what was measured of each.
        sequences: the recurrences.
    """
    # pyplot would keep global state and choose a backend that needs a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    red = {id(node) for finding in findings for node in finding.nodes}
    layers = [h for h in nodes if h.role != "parameter" and h.activation_norm is not None]
    layers = [h for h in layers if h.activation_norm_by_step is None] or layers
    looped = [h for h in nodes if h.role == "activation" and h.activation_norm_by_step is not None]
    idle = [h for h in nodes if h.saturated is not None or h.dead is not None]
    worst = [h for h in sorted(idle, key=lambda h: -_idle(h)) if _idle(h) >= _LEAST_SHOWN][:_BARS_AT_MOST]
    bars = [h for h in idle if any(h is each for each in worst)]
    panels: list[tuple[float, Callable[[Axes], None]]] = []
    if layers or not (sequences or looped or idle):
        panels.append((3.4, lambda axes: _depth(axes, layers, red)))
    if sequences or looped:
        panels.append((2.8, lambda axes: _time(axes, sequences, looped)))
    if idle:
        panels.append((1.0 + 0.24 * len(bars), lambda axes: _bars(axes, bars, len(idle), red)))
    heights = [height for height, _ in panels]
    figure = Figure(figsize=(8.2, sum(heights) + 0.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for (_, draw_panel), axes in zip(panels, grid, strict=True):
        draw_panel(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    verdict = f"{findings[0].kind}: {findings[0].name}" if findings else "healthy"
    figure.suptitle(f"{name}: {verdict}", fontsize=11.5, x=0.01, ha="left")
    return figure


def _depth(axes: Axes, layers: Sequence[NodeHealth], red: set[int]) -> None:
    """Norms in the order of the computation; 0, nan and missing ones are drawn at the bottom."""
    at = range(len(layers))
    series = (
        ("activation", [h.activation_norm for h in layers], _GREY, "s"),
        ("gradient", [h.gradient_norm for h in layers], _BLUE, "o"),
    )
    positive = [v for _, values, _, _ in series for v in values if v and math.isfinite(v) and v > 0]
    floor = min(positive, default=1.0) / 10
    for label, values, colour, marker in series:
        heights = [v if v and math.isfinite(v) and v > 0 else floor for v in values]
        axes.plot(at, heights, color=colour, marker=marker, markersize=4, linewidth=1.2, label=label)
        missing = [i for i, v in zip(at, values, strict=True) if not (v and math.isfinite(v) and v > 0)]
        axes.plot(missing, [floor] * len(missing), "x", color=_ORANGE, markersize=6, zorder=5)
        found = [i for i in at if id(layers[i].node) in red]
        axes.plot(found, [heights[i] for i in found], marker, color=_RED, markersize=7, zorder=6)
    axes.set_yscale("log")
    axes.set_ylabel("norm over the batch")
    _set_title(axes, "by depth: from the input (left) to the loss (red: a finding; cross: 0, nan or none)")
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.legend(frameon=False, ncols=2, fontsize=8.5)
    every = max(1, math.ceil(len(layers) / _LABELS_AT_MOST))
    ticks = list(at)[::every]
    axes.set_xticks(ticks, [_short(layers[i].name) for i in ticks], rotation=60, ha="right", fontsize=7.5)


def _time(axes: Axes, sequences: Sequence[Recurrence], looped: Sequence[NodeHealth]) -> None:
    """The gradient of the carried state after each step, and the norms of activations in loops."""
    for sequence, colour in zip(sequences, itertools.cycle((_BLUE, _ORANGE, _GREY, _RED)), strict=False):
        steps = [i for i, norm in enumerate(sequence.norms) if norm > 0 and math.isfinite(norm)]
        label = f"{_short(sequence.name)} ({sequence.carry}): × {number(sequence.rate)} a step"
        norms = [sequence.norms[i] for i in steps]
        axes.plot(steps, norms, color=colour, marker="o", markersize=3, linewidth=1.2, label=label)
    for h, line in zip(looped[:4], ("--", ":", "-.", (0, (5, 1, 1, 1))), strict=False):
        values = h.activation_norm_by_step or ()
        steps = [i for i, value in enumerate(values) if value > 0 and math.isfinite(value)]
        sizes = [values[i] for i in steps]
        axes.plot(
            steps, sizes, color="#555555", linestyle=line, linewidth=1, label=f"values of {_short(h.name)}"
        )
    axes.set_yscale("log")
    axes.set_xlabel("step (the gradient goes from right to left)", fontsize=9)
    axes.set_ylabel("norm over the batch")
    _set_title(axes, "by time step: the gradient of the carried state, and values in the loop (broken lines)")
    axes.grid(color="#e3e3e3", linewidth=0.8)
    axes.legend(frameon=False, fontsize=8)


def _bars(axes: Axes, shown: Sequence[NodeHealth], count: int, red: set[int]) -> None:
    """Shares of saturated and of dead units."""
    colours = [_RED if id(h.node) in red else _GREY if h.dead is None else _BLUE for h in shown]
    rows = range(len(shown))
    if not shown:
        axes.annotate("no unit is saturated or dead", (0.5, 0.5), xycoords="axes fraction", ha="center")
        axes.set_yticks([])
    axes.barh(rows, [100 * _idle(h) for h in shown], color=colours, height=0.7)
    for row, h in zip(rows, shown, strict=True):
        share = 100 * _idle(h)
        what = "dead" if h.dead is not None else "saturated"
        axes.annotate(f" {share:.0f}% {what}", (share, row), va="center", fontsize=7.5)
    axes.set_yticks(rows, [f"{_short(h.name)} ({h.kind})" for h in shown], fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 118)
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel("percent of the units", fontsize=9)
    axes.axvline(100 * threshold("saturated share"), color=_GREY, linewidth=0.8, linestyle=":")
    axes.axvline(100 * threshold("dead share"), color=_BLUE, linewidth=0.8, linestyle=":")
    said = f"{len(shown)} of {count} layers have any, " if 0 < len(shown) < count else ""
    said = f"the {len(shown)} worst of {count}, " if len(shown) == _BARS_AT_MOST < count else said
    _set_title(axes, f"idle units: {said}red where a finding; dotted: the bounds (saturated, dead)")
    axes.grid(axis="x", color="#e3e3e3", linewidth=0.8)


def _set_title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10.5)


def _idle(health: NodeHealth) -> float:
    share = health.dead if health.dead is not None else health.saturated
    return share if share is not None and math.isfinite(share) else 0.0


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"…{name[-27:]}"

"""The figure of `bench --plot`: how times grow; where nothing grows, how ratios scatter."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxbackprop._output import write_whole

from ._measure import Curve, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

OURS = "ours"
# Colours that the colour-blind tell apart (Okabe and Ito), a mark and a dash each: none relies on colour.
_STYLES: tuple[tuple[str, str, Any], ...] = (
    ("#0072b2", "s", "--"),
    ("#e69f00", "^", "-."),
    ("#009e73", "D", ":"),
    ("#cc79a7", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#56b4e9", "P", (0, (1, 1))),
    ("#666666", "X", (0, (8, 3))),
)
_RED, _GRID = "#d1350f", "#e3e3e3"
_OUR_STYLES: tuple[tuple[str, str, Any], ...] = (
    (_RED, "o", "-"),
    (_RED, "h", (0, (4, 1))),
    (_RED, "*", (0, (2, 1))),
)


def write_plot(path: str, curves: Sequence[Curve], rows: Sequence[Row], machine: str) -> None:
    """Draws a panel a curve on logarithmic axes; without curves, the ratios of the rows and their bars.

    Args:
        path: of the file; its suffix says which format.
        curves: growth of times.
        rows: what was measured.
        machine: on what, for the caption.

    Raises:
        OSError: the file cannot be written; an older one of that name is then as it was.
    """
    figure = _curves(curves) if curves else _ratios([row for row in rows if row.unit == "ms"] or rows)
    figure.supxlabel(machine, fontsize=8, color="#555555")
    write_whole(path, figure.savefig, "--plot")


def _figure(width: float, height: float) -> Figure:
    # Figure and canvas by hand: pyplot would keep global state, and pick a backend that wants a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _curves(curves: Sequence[Curve]) -> Figure:
    columns = min(2, len(curves))
    lines = -(-len(curves) // columns)
    figure = _figure(6.4 * columns, 4.6 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel, curve in zip(panels, curves, strict=False):
        _draw(panel, curve)
    for panel in panels[len(curves) :]:
        panel.set_visible(False)
    return figure


def _draw(panel: Axes, curve: Curve) -> None:
    others, ours = itertools.cycle(_STYLES), itertools.cycle(_OUR_STYLES)
    for name, values in curve.values.items():
        mine = name.startswith(OURS)
        color, marker, line = next(ours if mine else others)
        width, size, above = (2.8, 7, 5) if mine else (1.5, 5, 2)
        panel.plot(
            curve.x,
            values,
            label=name,
            color=color,
            marker=marker,
            linestyle=line,
            linewidth=width,
            markersize=size,
            zorder=above,
        )
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(curve.x_label)
    panel.set_ylabel(curve.y_label)
    panel.legend(frameon=False, fontsize=9)
    panel.set_title(curve.title, fontsize=10.5, loc="left")
    _tidy(panel)
    panel.grid(which="both", color=_GRID, linewidth=0.6)
    # Ticks at what was measured, in plain figures: 10,000 rather than 10^4.
    panel.set_xticks(list(curve.x), labels=[f"{x:,.0f}" for x in curve.x])
    _plain_figures(panel.yaxis)
    panel.minorticks_off()


def _ratios(rows: Sequence[Row]) -> Figure:
    figure = _figure(9.0, 1.6 + 0.3 * len(rows))
    panel = figure.subplots()
    labels = []
    for place, row in enumerate(rows):
        least, median, largest = row.ratio
        # Log axes have no place for nothing.
        least, median, largest = (max(value, 1e-9) for value in (least, median, largest))
        panel.plot([least, largest], [place, place], color="#8a8a8a", linewidth=2, zorder=2)
        panel.plot(median, place, "o", color=_RED, markersize=6, zorder=3)
        if row.bar is not None:
            panel.plot(row.bar, place, "|", color="black", markersize=13, markeredgewidth=2, zorder=4)
        labels.append(f"{row.benchmark}: {row.case} / {row.peer}")
    panel.axvline(1, color="#444444", linewidth=1, linestyle=":")
    panel.set_xscale("log")
    _plain_figures(panel.xaxis)
    panel.minorticks_off()
    panel.set_yticks(range(len(rows)), labels=labels, fontsize=8)
    panel.set_xlabel("peer / ours (right of 1 we are better)")
    panel.set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle("ratios of paired runs: median (dot), spread (line), bar (stroke)", fontsize=10.5)
    _tidy(panel)
    panel.grid(axis="x", color=_GRID, linewidth=0.6)
    return figure


def _plain_figures(axis: Axis) -> None:
    """Two or three labels a decade, written out."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")


def _tidy(panel: Axes) -> None:
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)

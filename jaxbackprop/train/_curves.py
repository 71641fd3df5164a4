"""The picture of a run: loss, figures and learning rate over the epochs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What a record holds beside figures that are drawn together.
_NO_FIGURES = ("epoch", "step", "loss", "lr")
_BLUE, _RED, _GREY, _GREEN = "#3b6ea8", "#c0504d", "#9a9a9a", "#4f8f5b"


def draw_curves(
    path: Path,
    records: Sequence[Mapping[str, float]],
    learning_rate: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    monitor: str | None = None,
) -> None:
    """Draws a PNG of a panel each for loss, figures and learning rate, over one axis of epochs.

    Args:
        path: the file to write.
        records: the lines of metrics.jsonl: ``epoch``, ``loss``, ``lr`` where there is a schedule, and any
            other figures.
        learning_rate: the epochs (fractional) at which it was evaluated, and its values; None takes those of
            the records.
        monitor: the figure by which the best epoch was chosen, which is marked; None marks none.

    Raises:
        ValueError: no record.
    """
    # Figure and canvas by hand: pyplot would keep global state, and pick a backend that wants a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not records:
        raise ValueError("records is empty: there is nothing to draw")
    epochs = [record["epoch"] for record in records]
    if learning_rate is None and "lr" in records[0]:
        learning_rate = np.array(epochs), np.array([record["lr"] for record in records])
    names = [name for name in records[0] if name not in _NO_FIGURES]
    heights = [3, *([3] if names else []), *([2] if learning_rate is not None else [])]

    figure = Figure(figsize=(7.2, 0.95 * sum(heights)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    style: dict[str, Any] = {
        "markersize": 3.5,
        "linewidth": 1.8,
        "marker": "o" if len(epochs) <= 40 else None,
    }

    top = panels[0]
    losses = [record["loss"] for record in records]
    top.plot(epochs, losses, color=_BLUE, **style)
    top.set_title("training loss (mean of the epoch's batches)")
    if min(losses) >= 0:
        top.set_ylim(bottom=0)
    if names:
        _draw_figures(panels[1], epochs, records, names, monitor, style)
    if learning_rate is not None:
        bottom = panels[-1]
        bottom.plot(*learning_rate, color=_GREEN, linewidth=1.8)
        bottom.set_title("learning rate")
        bottom.set_ylim(bottom=0)
        bottom.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlim(0, epochs[-1] + 0.02 * epochs[-1])
    for panel in panels:
        panel.title.set_fontsize(10.5)
        panel.title.set_horizontalalignment("left")
        panel.title.set_x(0.0)
        panel.grid(color="#e3e3e3", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _draw_figures(
    panel: Axes,
    epochs: Sequence[float],
    records: Sequence[Mapping[str, float]],
    names: Sequence[str],
    monitor: str | None,
    style: dict[str, Any],
) -> None:
    # A figure that was nan or infinite is None; one that not every epoch has may be missing.
    values = {
        name: [math.nan if (value := record.get(name)) is None else value for record in records]
        for name in names
    }
    found = [value for line in values.values() for value in line if math.isfinite(value)]
    lines = iter(itertools.cycle((":", "--", "-.")))
    for name in names:
        if name == monitor:
            panel.plot(epochs, values[name], color=_RED, label=_label(name), **style)
        else:
            grey: dict[str, Any] = {"color": _GREY, "linestyle": next(lines), "linewidth": 1.3}
            panel.plot(epochs, values[name], label=_label(name), **grey)
    panel.set_title(", ".join(_label(name) for name in names))
    if monitor is not None and any(math.isfinite(value) for value in values.get(monitor, ())):
        judged = [record for record in records if record.get(monitor) is not None]
        best = max(judged, key=lambda record: record[monitor])
        ring: dict[str, Any] = {"color": _RED, "markersize": 8, "markerfacecolor": "white", "zorder": 5}
        panel.plot(best["epoch"], best[monitor], "o", **ring)
        panel.set_title(f"best {_label(monitor)} {best[monitor]:.4f} in epoch {best['epoch']}")
    panel.set_ylabel("score")
    if found and 0 <= min(found) and max(found) <= 1:
        panel.set_ylim(0, min(1.02, 1.12 * max(found)) if max(found) > 0 else 1)
    panel.legend(loc="lower right", frameon=False, ncols=3)


def _label(name: str) -> str:
    return name.replace("_", " ").replace("f1", "F1")

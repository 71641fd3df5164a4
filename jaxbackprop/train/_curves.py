"""The picture of a run: loss, development scores and learning rate over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_BLUE, _RED, _GREY, _GREEN = "#3b6ea8", "#c0504d", "#9a9a9a", "#4f8f5b"
# Of each score its name in the records, its label, colour and line; the last chooses the best epoch.
_OF_ENTITIES = (
    ("dev_precision", "precision", _GREY, ":"),
    ("dev_recall", "recall", _GREY, "--"),
    ("dev_f1", "F1", _RED, "-"),
)
_OF_WORDS = (("dev_accuracy", "accuracy", _RED, "-"),)


def draw_curves(
    path: Path,
    records: Sequence[Mapping[str, float]],
    learning_rate: tuple[np.ndarray, np.ndarray],
) -> None:
    """Draws a PNG of three panels over one axis of epochs.

    Args:
        path: the file to write.
        records: one line of metrics an epoch: ``epoch``, ``loss``, and either ``dev_accuracy`` or
            ``dev_precision``, ``dev_recall`` and ``dev_f1``.
        learning_rate: the epochs (fractional) at which it was evaluated, and its values.

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
    scores = _OF_WORDS if "dev_accuracy" in records[0] else _OF_ENTITIES
    decides, decides_label, *_ = scores[-1]
    best = max(records, key=lambda record: record[decides])

    figure = Figure(figsize=(7.2, 7.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    marker = "o" if len(epochs) <= 40 else None
    style: dict[str, Any] = {"marker": marker, "markersize": 3.5, "linewidth": 1.8}

    top.plot(epochs, [record["loss"] for record in records], color=_BLUE, **style)
    top.set_title("training loss (mean of the epoch's batches)")
    top.set_ylabel("nats a word")
    top.set_ylim(bottom=0)

    for name, label, color, line in scores:
        middle.plot(
            epochs,
            [record[name] for record in records],
            color=color,
            label=label,
            linestyle=line,
            **(style if name == decides else {"linewidth": 1.3}),
        )
    ring = {"color": _RED, "markersize": 8, "markerfacecolor": "white", "zorder": 5}
    middle.plot(best["epoch"], best[decides], "o", **ring)
    of_what = "tags" if scores is _OF_WORDS else "entities"
    middle.set_title(
        f"development {of_what}: best {decides_label} {best[decides]:.4f} in epoch {best['epoch']}"
    )
    middle.set_ylabel("score")
    highest = max(record[name] for name, *_ in scores for record in records)
    middle.set_ylim(0, min(1.02, 1.12 * highest) if highest > 0 else 1)
    middle.legend(loc="lower right", frameon=False, ncols=3)

    bottom.plot(*learning_rate, color=_GREEN, linewidth=1.8)
    bottom.set_title("learning rate")
    bottom.set_ylim(bottom=0)
    bottom.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    bottom.set_xlabel("epoch")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    bottom.set_xlim(0, epochs[-1] + 0.02 * epochs[-1])

    for panel in (top, middle, bottom):
        panel.title.set_fontsize(10.5)
        panel.title.set_horizontalalignment("left")
        panel.title.set_x(0.0)
        panel.grid(color="#e3e3e3", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)

"""The figure of `jaxbackprop compare --plot`: loss and development score of all runs over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._comparison import Compared
from ._seeds import shown_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that the colour-blind tell apart (Okabe and Ito), and where they are at an end, other lines.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333")
_LINES = ("-", "--", ":", "-.")
_LONGEST = 40


def draw_comparison(runs: Sequence[Compared]) -> Figure:
    """A panel for the loss and one for the development score, with a colour for each run.

    The runs of several seeds are thin lines, and their mean a thick one; a ring marks the best epoch.

    Args:
        runs: in the order of their numbers, from 1.
    """
    # Figure and canvas by hand: pyplot would keep global state, and pick a backend that wants a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 6.0 + 0.22 * len(runs)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    loss, score = figure.subplots(2, 1, sharex=True)
    for at, run in enumerate(runs):
        style = {
            "color": _COLOURS[at % len(_COLOURS)],
            "linestyle": _LINES[at // len(_COLOURS) % len(_LINES)],
        }
        _draw(loss, run, "loss", style, _label(at + 1, run))
        _draw(score, run, f"dev_{run.score}", style, None)
    loss.set_title("training loss (mean of the epoch's batches)")
    score.set_title(f"development {shown_score(run.score for run in runs) or 'score'}")
    score.set_xlabel("epoch")
    score.xaxis.set_major_locator(MaxNLocator(integer=True))
    if all(figure >= 0 for run in runs for epoch in _epochs(run) for figure in [epoch["loss"]]):
        loss.set_ylim(bottom=0)
    for panel in (loss, score):
        panel.title.set_fontsize(10.5)
        panel.title.set_horizontalalignment("left")
        panel.title.set_x(0.0)
        panel.grid(color="#e3e3e3", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower left", frameon=False, fontsize=9)
    return figure


def _draw(panel: Axes, run: Compared, name: str, style: dict[str, Any], label: str | None) -> None:
    lines = [
        ([epoch["epoch"] for epoch in outcome.epochs], [epoch[name] for epoch in outcome.epochs])
        for outcome in run.outcomes
    ]
    if run.seeds is None:
        epochs, values = lines[0]
        mark = "o" if len(epochs) <= 40 else None
        panel.plot(epochs, values, label=label, linewidth=1.6, marker=mark, markersize=3, **style)
        best = run.outcomes[0].best
        if best is not None and name != "loss":
            ring: dict[str, Any] = {"markersize": 8, "markerfacecolor": "white", "zorder": 5}
            panel.plot(best["epoch"], best[name], "o", color=style["color"], **ring)
        return
    for epochs, values in lines:
        panel.plot(epochs, values, linewidth=0.7, alpha=0.5, **style)
    # Where one has stopped, the mean of the others would be another thing.
    common = min((len(values) for _, values in lines), default=0)
    means = [sum(column) / len(lines) for column in zip(*(values for _, values in lines), strict=False)]
    panel.plot(range(1, common + 1), means, label=label, linewidth=2.4, **style)


def _epochs(run: Compared) -> list[dict[str, Any]]:
    return [epoch for outcome in run.outcomes for epoch in outcome.epochs]


def _label(number: int, run: Compared) -> str:
    name = str(run.path)
    short = name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"
    seeds = f" (mean of {len(run.outcomes)} seeds)" if run.seeds is not None else ""
    return f"{number}  {short}{seeds}" + (" (no epoch yet)" if not _epochs(run) else "")

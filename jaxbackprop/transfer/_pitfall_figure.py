"""The pitfall as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._pitfall import MEASURES, Pitfall
from ._pitfall_verdict import hurts_and_pays
from ._runs import KINDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours of Okabe and Ito, which can be told apart with any colour vision.
COLOURS = {
    "random": "#999999",
    "frozen": "#0072B2",
    "tuned": "#D55E00",
    "seen": "#009E73",
    "unseen": "#CC79A7",
}


def draw_pitfall(found: Pitfall) -> Figure:
    """Above, F1 by training size for words seen and not seen; below, what tuning changes, with intervals.

    Args:
        found: see `measure_pitfall`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    hurts, pays = hurts_and_pays(found)
    for column, measure in enumerate(MEASURES):
        above, below = panels[:, column]
        for kind in KINDS:
            for part, line in (("seen", "-"), ("unseen", "--")):
                means = [found.mean(kind, size, measure, part) for size in found.sizes]
                above.plot(
                    found.sizes, means, line, marker=".", color=COLOURS[kind], label=f"{kind}, {part} words"
                )
        above.set(title=measure, ylabel=measure)
        below.axhline(0, color="0.6", linewidth=0.8)
        over_all = [found.gain(size, measure, "all").mean for size in found.sizes]
        below.plot(found.sizes, over_all, ":", color="black", label="all words")
        for part in ("seen", "unseen"):
            gains = [found.gain(size, measure, part) for size in found.sizes]
            below.plot(
                found.sizes,
                [gain.mean for gain in gains],
                marker=".",
                color=COLOURS[part],
                label=f"{part} words",
            )
            below.fill_between(
                found.sizes,
                [gain.low for gain in gains],
                [gain.high for gain in gains],
                color=COLOURS[part],
                alpha=0.2,
                linewidth=0,
            )
        below.set(xlabel="training sentences", ylabel="tuned − frozen, with 95% intervals")
        below.set_xscale("log")
        below.set_xticks(found.sizes, [f"{size:,}" for size in found.sizes])
        below.minorticks_off()
    changes = panels[1, 0]
    for sizes, what, at, side in (
        (hurts, "hurts unseen words", 0.03, "bottom"),
        (pays, "pays over all words", 0.97, "top"),
    ):
        if not sizes:
            text = f"at no size for certain: {what}"
            changes.text(0.02, at, text, transform=changes.transAxes, fontsize=8, va=side)
            continue
        changes.axvline(sizes[0], color="0.3", linestyle=":", linewidth=1)
        last = sizes[0] == found.sizes[-1]
        changes.annotate(
            f" from {sizes[0]:,}: {what} ",
            (sizes[0], at),
            xycoords=("data", "axes fraction"),
            fontsize=8,
            va=side,
            ha="right" if last else "left",
        )
    panels[0, 0].legend(fontsize=7)
    panels[1, 1].legend(fontsize=8)
    figure.suptitle(f"{found.name}: word vectors random, frozen, tuned; {found.seeds} seeds", fontsize=10)
    return figure

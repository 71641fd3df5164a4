"""Near-synonyms before and after tuning, as arrows in two dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._synonyms import PAIRS, Moved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TRAINED, _UNSEEN, _NEIGHBOUR = "#D55E00", "#0072B2", "#999999"
PROJECTION = (
    "first two principal components of the vectors before tuning (the three words and the five nearest "
    "neighbours of the first)"
)


def draw_synonyms(moved: Sequence[Moved]) -> Figure:
    """A panel for each group: arrows from where vectors were to where tuning has put them.

    Args:
        moved: see `measure_synonyms`; at least one.
    """
    from matplotlib.figure import Figure

    columns = min(2, len(moved))
    rows = -(-len(moved) // columns)
    figure = Figure(figsize=(5 * columns, 3.9 * rows + 0.5), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for panel in panels[len(moved) :]:
        panel.set_axis_off()
    for panel, each in zip(panels, moved, strict=False):
        centre = each.before.mean(axis=0)
        _, sizes, axes = np.linalg.svd(each.before - centre, full_matrices=False)
        share = float((sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-12))
        # Vectors of one number have one component.
        plane = np.zeros((2, each.before.shape[1]))
        plane[: len(axes[:2])] = axes[:2]
        before, after = ((points - centre) @ plane.T for points in (each.before, each.after[0]))
        colours = [_TRAINED, _TRAINED, _UNSEEN] + [_NEIGHBOUR] * len(each.neighbours)
        for begin, end, word, colour in zip(
            before, after, (*each.group, *each.neighbours), colours, strict=True
        ):
            panel.plot(*begin, "o", color=colour, markersize=4)
            if np.linalg.norm(end - begin) > 1e-6:
                style = {"arrowstyle": "->", "color": colour}
                panel.annotate("", end, begin, arrowprops=style)
                panel.plot(*end, ".", color=colour, markersize=1)
            # The third word is apt to lie upon the first.
            label = (3, -10) if colour == _UNSEEN else (3, 3)
            panel.annotate(word, begin, label, textcoords="offset points", fontsize=8, color=colour)
        lines = [
            f"{each.group[a]}, {each.group[b]}: {was:.2f} → {np.mean(now):.2f}"
            for a, b in PAIRS
            for was, now in [each.cosines((a, b))]
        ]
        panel.set_title("cosines " + "\n".join(lines), fontsize=7, loc="left")
        panel.set_xlabel(f"{share:.0%} of the variance before", fontsize=7)
        panel.tick_params(labelsize=7)
        panel.margins(0.15)
    figure.suptitle(
        f"orange: in the training text; blue: not; grey: neighbours. One seed.\nProjection: {PROJECTION}",
        fontsize=8,
    )
    return figure


def synonyms_text(moved: Sequence[Moved]) -> Iterator[str]:
    """The cosines and movements in sentences."""
    for each in moved:
        first, second, third = each.group
        together, apart, other = (each.change(pair) for pair in PAIRS)
        lengths = each.lengths()
        yield (
            f"{first}, {second} | {third}: {each.mentions} mentions of the first two. They move by "
            f"{lengths[0]:.0%} and {lengths[1]:.0%} of their length, {third} by {lengths[2]:.0%}."
        )
        for pair, change in zip(PAIRS, (together, apart, other), strict=True):
            before, after = each.cosines(pair)
            a, b = (each.group[at] for at in pair)
            yield f"  cosine {a}, {b}: {before:.3f} -> {np.mean(after):.3f}, {change}"
        yield (
            f"  of the {len(each.neighbours)} nearest neighbours of {first} "
            f"({', '.join(each.neighbours)}) {each.kept:.1f} stay among the nearest"
        )
    if moved:
        fell = [each for each in moved if each.change((0, 2)).below or each.change((1, 2)).below]
        yield (
            f"In {len(fell)} of {len(moved)} groups tuning parts a word that the text holds from the one "
            "that it does not (a cosine falls with all of its 95% interval)."
        )

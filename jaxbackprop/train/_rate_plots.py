"""Pictures of learning rates: a range test, and schedules beside one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ._config import Config
from ._plateau import make_plateau
from ._range_test import RangeTest
from ._schedules import make_momentum, make_schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _GREY, _GREEN = "#3b6ea8", "#9a9a9a", "#4f8f5b"
# A curve is drawn through so many points at most.
_POINTS = 4000


@dataclass(frozen=True)
class RateCurve:
    """A schedule over a whole run.

    Attributes:
        name: what it is called.
        epochs: (points,), fractional.
        rates: (points,), the learning rate there.
        momenta: (points,), the momentum there; None where it does not change.
    """

    name: str
    epochs: np.ndarray
    rates: np.ndarray
    momenta: np.ndarray | None


def rate_curve(config: Config, steps_per_epoch: float) -> RateCurve:
    """The schedule of some settings; that of a plateau as if no epoch were better than the first.

    Args:
        config: the settings.
        steps_per_epoch: updates in an epoch, at least 1.
    """
    steps = max(1, round(config.epochs * steps_per_epoch))
    at = np.unique(np.linspace(0, steps - 1, _POINTS).astype(np.int32))
    rates = np.asarray(jax.vmap(make_schedule(config, steps_per_epoch))(jnp.asarray(at)))
    name = config.schedule
    if (plateau := make_plateau(config)) is not None:
        name = "plateau, if no epoch is better than the first"
        for epoch in range(1, config.epochs + 1):
            plateau.judge({config.plateau_monitor: 0.0}, round(epoch * steps_per_epoch))
        rates = rates * np.array([plateau.scale(int(step)) for step in at])
    elif config.schedule == "cyclic":
        name = f"cyclic, {config.cyclic_mode}"
    momentum = make_momentum(config, steps_per_epoch)
    momenta = None if momentum is None else np.asarray(jax.vmap(momentum)(jnp.asarray(at)))
    return RateCurve(name, at / steps_per_epoch, rates, momenta)


def draw_rates(curves: Sequence[RateCurve]) -> Figure:
    """Schedules beside one another, all to one scale; where momentum changes, it is right of its rate.

    Args:
        curves: see `rate_curve`.
    """
    alone = [curve for curve in curves if curve.momenta is None]
    paired = [curve for curve in curves if curve.momenta is not None]
    above = -(-len(alone) // 2)
    figure = _new_figure(9.0, 1.75 * (above + len(paired)))
    grid = figure.subplots(above + len(paired), 2, sharex=True, squeeze=False)
    top = 1.05 * max(float(curve.rates.max()) for curve in curves)
    panels = [*zip(alone, grid[:above].flat, strict=False), *zip(paired, grid[above:, 0], strict=True)]
    for curve, axes in panels:
        axes.plot(curve.epochs, curve.rates, color=_BLUE, linewidth=1.6)
        axes.set_ylim(0, top)
        axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        _finish(axes, curve.name)
    for curve, axes in zip(paired, grid[above:, 1], strict=True):
        axes.plot(curve.epochs, curve.momenta, color=_GREEN, linewidth=1.6)
        axes.sharey(grid[above, 1])
        _finish(axes, "its momentum")
    for axes in grid[:above].flat[len(alone) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
        axes.set_xlim(0, math.ceil(curves[0].epochs[-1]))
    figure.supylabel("learning rate", fontsize=10)
    return figure


def draw_range_test(found: RangeTest) -> Figure:
    """The loss over the learning rate, with the rates that are suggested.

    Args:
        found: what `range_test` gave.
    """
    figure = _new_figure(7.2, 4.2)
    axes = figure.subplots()
    rates = found.rates
    axes.plot(rates, found.losses, color=_GREY, linewidth=0.8, label="loss of a batch")
    axes.plot(rates, found.smoothed, color=_BLUE, linewidth=2, label="mean around it")
    axes.set_xscale("log")
    if found.base is not None and found.peak is not None:
        axes.axvspan(found.base, found.peak, color=_GREEN, alpha=0.12, linewidth=0)
        _mark(axes, found.base, f"--base-lr {found.base:.2g}", "right")
        _mark(axes, found.peak, f"--lr {found.peak:.2g}", "left")
    if found.losses:
        # Where it has diverged the last losses would press all others flat.
        early = found.losses[: max(1, len(found.losses) // 4)]
        axes.set_ylim(min(0, *found.losses), 1.15 * max(early))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.legend(loc="lower left", frameon=False)
    end = "until it diverged" if found.diverged else "in all"
    _finish(axes, f"loss under a growing learning rate, {len(rates)} updates {end}")
    return figure


def _mark(axes: Axes, rate: float, text: str, side: str) -> None:
    """A line at a rate, with its name beside it; `side` is the one of the text that is at the line."""
    axes.axvline(rate, color=_GREEN, linewidth=1.3)
    away = (-4 if side == "right" else 4, -12)
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate(text, (rate, 1), xytext=away, ha=side, color=_GREEN, **place)


def _new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    # pyplot would keep global state, and pick a backend that wants a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10.5, loc="left")
    axes.grid(color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

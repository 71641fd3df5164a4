"""The learning rate that falls where a figure of the epochs no longer gets better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from jaxbackprop._float64 import float64_on_cpu

from ._config import Config

# A reduction by no more than this is not made, as in torch.
_LEAST_REDUCTION = 1e-8
# Of the state of optax's rule; its `scale` is here the learning rate itself, so that it rounds as torch's.
_KEPT = ("best_value", "plateau_count", "cooldown_count")


class Plateau:
    """`optax.contrib.reduce_on_plateau` as torch's ReduceLROnPlateau counts, once an epoch.

    A figure is better where it is below best - min_delta (``min``) or above best + min_delta (``max``). After
    more than `patience` epochs in a row without a better one the learning rate is multiplied by `factor`,
    but not below `min_lr`; then `cooldown` epochs do not count. A figure that is nan is never better.

    Keras counts the same, but lowers the rate with the epoch that reaches `patience`, one sooner.

    Args:
        monitor: which of an epoch's figures.
        mode: ``min`` or ``max``, what is better.
        lr: the learning rate that training begins with, or its largest where a schedule changes it too.
        factor: in (0, 1).
        min_delta: at least 0.
        patience: at least 0.
        cooldown: at least 0.
        min_lr: at most `lr`.

    Raises:
        ValueError: an argument is out of its range.

    Source: lecture, unit 3 "Learning Rate" (ReduceLROnPlateau).
    """

    def __init__(
        self,
        monitor: str,
        *,
        mode: str = "min",
        lr: float = 1.0,
        factor: float = 0.1,
        min_delta: float = 1e-4,
        patience: int = 10,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be min or max, not {mode!r}")
        if not 0 < factor < 1:
            raise ValueError(f"factor must be above 0 and below 1, not {factor}")
        for name, value in {"min_delta": min_delta, "patience": patience, "cooldown": cooldown}.items():
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, not {value}")
        if not 0 <= min_lr <= lr:
            raise ValueError(f"min_lr must be at least 0 and at most lr ({lr:g}), not {min_lr:g}")
        self.settings: dict[str, Any] = {
            **{"monitor": monitor, "mode": mode, "lr": lr, "factor": factor, "min_delta": min_delta},
            **{"patience": patience, "cooldown": cooldown, "min_lr": min_lr},
        }
        # optax lowers the rate with the epoch that reaches its patience. A tolerance must be above 0; with
        # a relative one this small, 1 - rtol is 1.
        rule = optax.contrib.reduce_on_plateau(
            factor=factor,
            patience=patience + 1,
            rtol=0.0 if min_delta > 0 else np.finfo(np.float64).tiny,
            atol=min_delta,
            cooldown=cooldown,
            min_scale=min_lr,
        )
        self._rule = jax.jit(lambda state, value: rule.update({}, state, value=value)[1])
        with float64_on_cpu():
            self._state = rule.init(np.float64(0))._replace(scale=np.float64(lr))
        # (first update, learning rate) of each stretch of one rate, the latest last.
        self._stretches: list[tuple[int, float]] = [(0, lr)]

    def scale(self, step: int) -> float:
        """What the learning rate of an update, counted from 0, is multiplied by: 1 before any reduction."""
        rate = next(rate for begin, rate in reversed(self._stretches) if begin <= step)
        return rate / self._stretches[0][1]

    def judge(self, record: Mapping[str, Any], step: int) -> None:
        """Looks at an epoch.

        Args:
            record: its figures.
            step: updates made by its end.

        Raises:
            KeyError: it has no such figure.
        """
        name, sign = self.settings["monitor"], 1 if self.settings["mode"] == "min" else -1
        if name not in record:
            raise KeyError(f"the plateau watches {name!r}, but an epoch's figures are {', '.join(record)}")
        # None: it was nan or infinite, and so no better than any.
        value = math.inf if record[name] is None else sign * record[name]
        with float64_on_cpu():
            state = self._rule(self._state, np.float64(value))
        before, now = self._stretches[-1][1], float(state.scale)
        if before - now > _LEAST_REDUCTION:
            self._stretches.append((step, now))
        else:
            state = state._replace(scale=np.float64(before))
        self._state = state

    def position(self) -> dict[str, Any]:
        """What `restore` needs, as JSON holds it."""
        kept = {name: np.asarray(getattr(self._state, name)).item() for name in _KEPT}
        best = kept["best_value"]
        return {
            **kept,
            "best_value": best if math.isfinite(best) else None,
            "stretches": [list(stretch) for stretch in self._stretches],
        }

    def restore(self, position: Mapping[str, Any]) -> None:
        """Goes on from a position."""
        best = math.inf if position["best_value"] is None else position["best_value"]
        self._stretches = [(begin, rate) for begin, rate in position["stretches"]]
        self._state = self._state._replace(
            best_value=np.float64(best),
            plateau_count=np.int32(position["plateau_count"]),
            cooldown_count=np.int32(position["cooldown_count"]),
            scale=np.float64(self._stretches[-1][1]),
        )


def make_plateau(config: Config) -> Plateau | None:
    """The plateau that the settings describe; None for another schedule."""
    if config.schedule != "plateau":
        return None
    by_name = "min" if config.plateau_monitor == "loss" else "max"
    return Plateau(
        config.plateau_monitor,
        mode=by_name if config.plateau_mode == "auto" else config.plateau_mode,
        lr=config.lr,
        factor=config.plateau_factor,
        min_delta=config.plateau_min_delta,
        patience=config.plateau_patience,
        cooldown=config.plateau_cooldown,
        min_lr=config.min_lr,
    )

"""Where a run stands beside its arrays: what a checkpoint holds of it as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import jax

from ._manifest import RunError
from ._tree import sha256_of


@dataclass
class Position:
    """What the loop has counted.

    Attributes:
        step: updates made.
        epoch: the epoch it is in, counted from 1.
        began: updates made before that epoch.
        read: updates made when the losses were last read.
        loss: sum of the losses of the epoch that have been read.
        aux: sums of the auxiliary scalars of the epoch that have been read, by name.
        unread: those of each step since.
        ended: whether the epoch's steps have all been made, so that its evaluation comes next.
        records: the figures of the epochs before.
        selection: of the best epoch.
        plateau: of the learning rate that falls where an epoch is no better, if there is one.
        batches: where the batches stand.
        settings: what the figures depend on besides.
        machine: what their last bits depend on.
    """

    step: int = 0
    epoch: int = 1
    began: int = 0
    read: int = 0
    loss: float = 0.0
    aux: dict[str, float] = field(default_factory=dict)
    unread: list[dict[str, float]] = field(default_factory=list)
    ended: bool = False
    records: list[dict[str, Any]] = field(default_factory=list)
    selection: dict[str, Any] = field(default_factory=dict)
    plateau: dict[str, Any] | None = None
    batches: Any = None
    settings: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, position: Mapping[str, Any]) -> Position:
        """From what :meth:`to_dict` gave.

        Raises:
            RunError: it holds something else, as another version of this package may have written.
        """
        try:
            return cls(**position)
        except TypeError:
            raise RunError(f"the checkpoint's position holds {', '.join(sorted(position))}") from None

    def next_epoch(self) -> None:
        """Goes on to the next epoch."""
        self.epoch, self.began, self.ended = self.epoch + 1, self.step, False
        self.loss, self.aux = 0.0, {}


def fingerprint(settings: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """The settings that decide a run's figures, and a checksum of its data where there is one."""
    arrays = all(hasattr(leaf, "shape") for leaf in jax.tree.leaves(data))
    return {**settings, "data": sha256_of(data) if arrays else getattr(data, "sha256", None)}


def refuse_other(
    position: Position,
    settings: Mapping[str, Any],
    machine: Mapping[str, Any],
    warn: Callable[[str], None],
) -> None:
    """Compares a checkpoint's settings and machine with those of now.

    Args:
        position: of the checkpoint.
        settings: of now.
        machine: of now.
        warn: told, in one line, what of the machine is another: the last bits may then differ.

    Raises:
        RunError: a setting, or the data, is another.
    """
    for name, now in settings.items():
        before = position.settings.get(name)
        if now != before:
            said = "data has changed" if name == "data" else f"{name} is {now!r} but was {before!r}"
            raise RunError(f"cannot resume: {said} since the run began")
    _warn_of_machine(position.machine, machine, warn)


def _warn_of_machine(before: Mapping[str, Any], now: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Says what of the machine is not as it was: versions, device, threads, mesh."""
    old, new = ({**machine, **machine.get("versions", {}), "versions": None} for machine in (before, now))
    changed = [f"{name} is {new[name]} but was {old.get(name)}" for name in new if new[name] != old.get(name)]
    if changed:
        warn(f"the last bits may differ from those of an uninterrupted run: {', '.join(changed)}")

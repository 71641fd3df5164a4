"""The gradient along a sequence: how it grows from step to step, and when it vanishes or explodes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxbackprop.graph import Node

from ._findings import Finding, number
from ._thresholds import threshold

_VANISHING = (
    "recurrent weights whose largest eigenvalue has modulus 1 (orthogonal or identity initialisation); a "
    "gated cell (LSTM, GRU); normalisation inside the cell; shorter sequences, or attention over them"
)
_EXPLODING = (
    "gradient clipping (optax.clip_by_global_norm(1.0)); recurrent weights whose largest eigenvalue has "
    "modulus 1 (orthogonal initialisation); a lower learning rate"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Recurrence:
    """A sequence that a gradient went back along.

    Attributes:
        node: the loop, the operator, or the first product of an unrolled loop.
        name: the node's; inside others after theirs.
        carry: the name of what is carried in the loop's body.
        growth: for each step, in the order that they are run, the norm of the gradient before the step by
            that after it.
        norms: of the gradient that came to the carried state, after each step.
        fed: whether most steps add to the gradient by their own results.
        gated: whether what is carried is multiplied by a sigmoid.
        layered: whether each step has weights of its own, so that the steps are a deep network's layers.
        outer: the node of the whole graph.
    """

    node: Node
    name: str
    carry: str
    growth: tuple[float, ...]
    norms: tuple[float, ...]
    fed: bool
    gated: bool
    layered: bool
    outer: Node

    @property
    def total(self) -> float:
        """Growth over all steps."""
        return math.exp(self.log_total)

    @property
    def log_total(self) -> float:
        """Natural logarithm of the growth over all steps."""
        return sum(math.log(g) if g > 0 else -math.inf for g in self.growth)

    @property
    def rate(self) -> float:
        """Growth a step: the geometric mean."""
        return math.exp(self.log_total / len(self.growth)) if self.growth else 1.0

    def to_dict(self) -> dict[str, Any]:
        """The sequence as JSON holds it."""
        return {
            "name": self.name,
            "carry": self.carry,
            "steps": len(self.growth),
            "rate": self.rate,
            "total": self.total,
            "growth_by_step": list(self.growth),
            "gradient_norm_by_step": list(self.norms),
        }


def growth(before: np.ndarray, total: np.ndarray) -> tuple[float, ...]:
    """The growth of a gradient in each step.

    Args:
        before: norm of the gradient before each step.
        total: norm of the gradient after it.

    Returns:
        Their quotients from the first step to the last that a gradient came to; empty where none came, or a
        norm is not finite.
    """
    came = np.flatnonzero(total > 0)
    if not len(came) or not np.any(before > 0) or not np.all(np.isfinite(total) & np.isfinite(before)):
        return ()
    first, last = came[0], came[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(total > 0, before / total, 1.0)[first : last + 1]
    return tuple(float(x) for x in found)


def is_fed(added: np.ndarray, total: np.ndarray) -> bool:
    """Whether most steps add to the gradient that comes from later steps."""
    return bool(len(total) and np.mean(added > threshold("fed") * total) > 0.5)


def over_time(sequences: Sequence[Recurrence]) -> list[Finding]:
    """The sequence along which the gradient explodes most, and the one along which it vanishes most."""
    findings = []
    long = [s for s in sequences if len(s.growth) >= threshold("steps")]
    up = [s for s in long if s.log_total >= math.log(threshold("exploding over time"))]
    down = [s for s in long if _vanishes(s)]
    if up:
        worst = max(up, key=lambda s: s.log_total)
        findings.append(_finding("exploding", "explodes", "grows", worst, _EXPLODING))
    if down:
        worst = min(down, key=lambda s: s.log_total)
        findings.append(_finding("vanishing", "vanishes", "shrinks", worst, _VANISHING))
    return findings


def _vanishes(sequence: Recurrence) -> bool:
    bound = threshold("vanishing by depth" if sequence.layered else "vanishing over time")
    if sequence.gated or sequence.log_total > math.log(bound):
        return False
    # Where the loss looks at most steps, early ones get gradients of their own unless their states fade out.
    return not sequence.fed or min(sequence.norms) <= threshold("vanishing over time") * max(sequence.norms)


def _finding(kind: str, verb: str, grows: str, sequence: Recurrence, remedy: str) -> Finding:
    where = "through the layers of the loop" if sequence.layered else "along the sequence"
    message = (
        f"the gradient {verb} {where}: it {grows} by a factor of {number(sequence.rate)} a step, "
        f"{number(sequence.total)} over {len(sequence.growth)} steps"
    )
    return Finding(
        kind,
        sequence.node,
        sequence.name,
        sequence.node.source,
        sequence.rate,
        "growth of the gradient a step",
        message,
        remedy,
        (sequence.node,),
        (sequence.outer,),
    )

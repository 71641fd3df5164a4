"""The gates of a computation graph."""

from __future__ import annotations

from jaxbackprop import ops

from .. import plain
from ._row import Case, Operator, Real

_PAIR = (Real((4, 3)), Real((4, 3)))
_BROADCAST = (Real((4, 3)), Real((1, 3)))
_SCALAR = (Real((4, 3)), Real(()))

ROWS: tuple[Operator, ...] = (
    Operator(
        name="add",
        family="gates",
        kind="gate",
        formula="the add gate distributes: dx = dy and dy = dy, summed over what was broadcast",
        op=ops.add,
        oracle=plain.add,
        cases=(Case(_PAIR), Case(_BROADCAST), Case(_SCALAR)),
        source='unit 2, "add gate: gradient distributor"',
    ),
    Operator(
        name="multiply",
        family="gates",
        kind="gate",
        formula=(
            "the multiply gate swaps: x receives y dy and y receives x dy, summed over what was broadcast"
        ),
        op=ops.multiply,
        oracle=plain.multiply,
        cases=(Case(_PAIR), Case(_BROADCAST), Case(_SCALAR)),
        source="unit 2, \"mul gate: 'swap multiplier'\"",
    ),
    Operator(
        name="copy",
        family="gates",
        kind="gate",
        formula="the copy gate adds: dx = Σ dy over the copies",
        op=ops.copy,
        oracle=plain.copy,
        cases=(Case((Real((4, 3)), 3)), Case((Real(()), 1))),
        source='unit 2, "copy gate: gradient adder"',
    ),
)

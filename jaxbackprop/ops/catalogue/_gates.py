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
        op=ops.add,
        oracle=plain.add,
        cases=(Case(_PAIR), Case(_BROADCAST), Case(_SCALAR)),
        source='unit 2, "add gate: gradient distributor"',
    ),
    Operator(
        name="multiply",
        family="gates",
        op=ops.multiply,
        oracle=plain.multiply,
        cases=(Case(_PAIR), Case(_BROADCAST), Case(_SCALAR)),
        source="unit 2, \"mul gate: 'swap multiplier'\"",
    ),
    Operator(
        name="copy",
        family="gates",
        op=ops.copy,
        oracle=plain.copy,
        cases=(Case((Real((4, 3)), 3)), Case((Real(()), 1))),
        source='unit 2, "copy gate: gradient adder"',
    ),
)

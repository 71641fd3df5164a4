"""The gates of a computation graph."""

from __future__ import annotations

from jaxbackprop import ops
from jaxbackprop._specs import real

from .. import plain
from ._row import Case, Operator

_PAIR = (real((4, 3)), real((4, 3)))
_BROADCAST = (real((4, 3)), real((1, 3)))
_SCALAR = (real((4, 3)), real(()))

ROWS: tuple[Operator, ...] = (
    Operator(
        name="add",
        family="gates",
        kind="gate",
        formula="the add gate distributes: dx = dy and dy = dy, summed over what was broadcast",
        op=ops.add,
        oracle=plain.add,
        cases=(Case(_PAIR), Case(_BROADCAST), Case(_SCALAR)),
        source='unit 2, "Gradient Flow"',
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
        source='unit 2, "Gradient Flow"',
    ),
    Operator(
        name="copy",
        family="gates",
        kind="gate",
        formula="the copy gate adds: dx = Σ dy over the copies",
        op=ops.copy,
        oracle=plain.copy,
        cases=(Case((real((4, 3)), 3)), Case((real(()), 1))),
        source='unit 2, "Gradient Flow"',
    ),
)

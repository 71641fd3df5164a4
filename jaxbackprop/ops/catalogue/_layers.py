"""Linear maps, lookups and dropout."""

from __future__ import annotations

import numpy as np

from jaxbackprop import ops
from jaxbackprop._specs import Key, integer, real

from .. import plain
from ._row import Case, Operator

ROWS: tuple[Operator, ...] = (
    Operator(
        name="linear",
        family="linear",
        kind="layer",
        formula="dx = Wᵀ δ; dW = Σ δ xᵀ and db = Σ δ, summed over the rows",
        op=ops.linear,
        oracle=plain.linear,
        cases=(
            Case((real((5, 4)), real((3, 4)), real((3,)))),
            Case((real((2, 5, 4)), real((4, 4)))),
            Case((real((4,)), real((3, 4)), real((3,)))),
        ),
        source='unit 1, "Derivative wrt a weight matrix"',
    ),
    Operator(
        name="window_lookup",
        family="window",
        kind="lookup",
        formula=(
            "dy = δ_window is cut into one piece a word and each piece is added to that word's row of "
            "dtable; a word that occurs twice gets both"
        ),
        op=ops.window_lookup,
        oracle=plain.window_lookup,
        cases=(
            Case((real((7, 4)), integer((6, 5), 0, 7))),
            Case((real((7, 4)), integer((2, 6, 3), -1, 7)), {"padding_id": -1}),
            Case((real((7, 4)), integer((2, 6, 3), 0, 7)), {"padding_id": 3}),
        ),
        special=((np.linspace(-1, 1, 28).reshape(7, 4), np.array([[2, 2, 2], [0, 6, 0]], np.int32)),),
        source='unit 1, "Deriving gradient wrt words"',
    ),
    Operator(
        name="embedding",
        family="embedding",
        kind="lookup",
        formula=(
            "each row of dy is added to the row of dtable that it was read from; a row read twice "
            "receives both"
        ),
        op=ops.embedding,
        oracle=plain.embedding,
        cases=(
            Case((real((7, 4)), integer((6, 2), 0, 7))),
            Case((real((7, 4)), integer((9,), -1, 7)), {"padding_id": -1}),
            Case((real((7, 4)), integer((9,), 0, 7)), {"padding_id": 3}),
        ),
        special=((np.linspace(-1, 1, 28).reshape(7, 4), np.full((3, 2), 5, np.int32)),),
        source='unit 1, "Deriving gradient wrt words"',
    ),
    Operator(
        name="dropout",
        family="dropout",
        kind="regularizer",
        formula="dx = dy / (1 - rate) where the entry was kept, else 0: the mask of the forward pass again",
        op=ops.dropout,
        oracle=plain.dropout,
        cases=(
            Case((real((6, 5)), Key(raw=True), 0.4)),
            Case((real((6, 5)), Key(raw=True), 0.4), {"deterministic": True}),
        ),
        source='unit 3, "Overfitting"',
    ),
)

"""Normalisation: over a batch and over the features of one example."""

from __future__ import annotations

import numpy as np

from jaxbackprop import ops
from jaxbackprop._specs import real

from .. import plain
from ._row import Case, Operator

# A usual feature beside a constant one, and two far from 0, where float32 has steps of 2^-10.
_CONSTANT = np.array([[-1.0, 3.0], [0.5, 3.0], [2.0, 3.0], [-0.25, 3.0]])
_FAR = np.array([[16384.25, 16384.0], [16383.75, 16384.5], [16384.25, 16383.0], [16383.75, 16384.25]])
_SCALE, _BIAS = np.array([0.5, -1.0]), np.array([0.0, 1.0])
_MASK = np.array([[True, True, False, True, True], [False, True, True, True, False]])

ROWS: tuple[Operator, ...] = (
    Operator(
        name="batch_norm",
        family="batch_norm",
        kind="norm",
        formula=(
            "dγ = Σ dy x̂ and dβ = Σ dy over all rows. With dx̂ = γ dy, three paths lead back to x: "
            "directly, r dx̂; through v, which receives dv - ½ r² Σ dx̂ x̂; through μ, which receives "
            "dμ - r Σ dx̂ (through v μ adds nothing, for Σ (x - μ) = 0)"
        ),
        op=ops.batch_norm,
        oracle=plain.batch_norm,
        cases=(
            Case((real((6, 4)), real((4,), 0.5, 2.0), real((4,)))),
            Case((real((2, 5, 4)), real((4,), 0.5, 2.0), real((4,)), _MASK)),
            Case((real((6, 4)),), {"epsilon": 0.1}),
            Case((real((2, 5, 3)), None, real((3,)))),
            Case((real((2, 5, 3)), real((3,), 0.5, 2.0), None, _MASK)),
        ),
        special=(
            (_CONSTANT, _SCALE, _BIAS),
            (_CONSTANT, _SCALE, _BIAS, np.array([False, True, False, False])),
            (_FAR, _SCALE, _BIAS),
        ),
        source='unit 3, "Too slow"',
    ),
    Operator(
        name="batch_norm_inference",
        family="batch_norm",
        kind="norm",
        formula="dx = r γ dy; dμ = -Σ dx; dv = -½ r³ Σ γ dy (x - μ); dγ = Σ dy x̂; dβ = Σ dy",
        op=ops.batch_norm_inference,
        oracle=plain.batch_norm_inference,
        cases=(
            Case((real((6, 4)), real((4,)), real((4,), 0.5, 2.0), real((4,)), real((4,)))),
            Case((real((2, 3, 4)), real((4,)), real((4,), 0.5, 2.0), real((4,))), {"epsilon": 0.1}),
            Case((real((4,)), real((4,)), real((4,), 0.5, 2.0), None, real((4,)))),
        ),
        special=(
            (_CONSTANT, np.array([0.25, 3.0]), np.array([1.0, 0.0]), _SCALE, _BIAS),
            (_FAR, np.array([16384.0, 16384.0]), np.array([0.0625, 0.25]), _SCALE, _BIAS),
        ),
        source='unit 3, "Too slow"',
    ),
    Operator(
        name="layer_norm",
        family="layer_norm",
        kind="norm",
        formula=(
            "dγ = Σ dy x̂ and dβ = Σ dy over the rows. With dx̂ = γ dy and means over the row, dx = r "
            "(dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)): directly, through μ, and through v"
        ),
        op=ops.layer_norm,
        oracle=plain.layer_norm,
        cases=(
            Case((real((5, 6)), real((6,), 0.5, 2.0), real((6,)))),
            Case((real((2, 3, 6)),), {"epsilon": 0.1}),
            Case((real((6,)), real((6,), 0.5, 2.0))),
            Case((real((5, 6)), None, real((6,)))),
        ),
        special=(
            (_CONSTANT.T, np.array([0.5, -1.0, 2.0, 1.0]), np.array([0.0, 1.0, -2.0, 3.0])),
            (_FAR.T, np.array([0.5, -1.0, 2.0, 1.0]), np.array([0.0, 1.0, -2.0, 3.0])),
            (_CONSTANT[:, :1], np.array([2.0]), np.array([1.0])),
        ),
        source="Ba et al. 2016",
    ),
)

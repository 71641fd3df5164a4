"""What runs over time steps: recurrence, pooling, attention."""

from __future__ import annotations

import numpy as np

from jaxbackprop import ops
from jaxbackprop._specs import Key, real

from .. import plain
from ._row import Case, Operator

# Weights that let a state neither explode nor die over a few steps.
_W_X, _W_H, _B = real((3, 4), -0.5, 0.5), real((3, 3), -0.6, 0.6), real((3,), -0.5, 0.5)
# A whole sequence, one with a gap, one that is all padding.
_RUNS = np.array([[True] * 5, [True, False, True, True, False]])
_FILLS = np.array([[True] * 5, [False] * 5])
_EYE = np.eye(3)

_QUERIES, _KEYS, _VALUES = real((3, 2, 4), -1.0, 1.0), real((5, 2, 4), -1.0, 1.0), real((5, 2, 3))
_CAUSAL = np.tril(np.ones((4, 4), np.bool_))
_PADDED = np.array([[[[True, True, True, False, True]]], [[[False, True, True, False, False]]]])
# Scores of ±1e4, ties, and a query that looks nowhere.
_SATURATED = np.array([[[2e4, 0.0], [-1.0, 1.0]], [[1e4, 1e4], [0.0, 0.0]], [[-1e4, 0.0], [1.0, 1.0]]])
_SCORED = np.array(
    [
        [[1.0, 0.0], [1.0, 2.0]],
        [[-1.0, 0.5], [1.0, 2.0]],
        [[1.0, 0.0], [0.5, 1.0]],
        [[0.0, 1.0], [-2e4, 0.0]],
    ]
)
_VALUED = np.linspace(-1, 1, 4 * 2 * 3).reshape(4, 2, 3)
_NOWHERE = np.array([[True] * 4, [False] * 4, [True, False, False, True]])

ROWS: tuple[Operator, ...] = (
    Operator(
        name="rnn",
        family="rnn",
        kind="sequence",
        formula=(
            "g_t = dy_t + W_hᵀ δ_{t+1}, δ_t = f'(z_t) g_t. Then dW_h = Σ δ_t h_{t-1}ᵀ, dW_x = Σ δ_t "
            "x_tᵀ, db = Σ δ_t, dx_t = W_xᵀ δ_t and dh0 = W_hᵀ δ_1, summed over the sequences too"
        ),
        op=ops.rnn,
        oracle=plain.rnn,
        cases=(
            Case((real((2, 5, 4), -1.0, 1.0), _W_X, _W_H, _B, real((2, 3), -0.5, 0.5))),
            Case((real((5, 4), -1.0, 1.0), _W_X, _W_H)),
            Case((real((2, 5, 4), -1.0, 1.0), _W_X, _W_H, _B, None, _RUNS)),
            Case(
                (real((2, 5, 4), -1.0, 1.0), _W_X, _W_H, None, real((2, 3)), _FILLS), {"activation": "relu"}
            ),
            Case((real((2, 2, 3, 4), -1.0, 1.0), _W_X, _W_H, _B), {"activation": "relu"}),
        ),
        special=(
            (np.array([[20.0] * 4, [-20.0] * 4, [0.0] * 4]), np.ones((3, 4)), _EYE, np.zeros(3)),
            (np.ones((2, 5, 4)), np.ones((3, 4)) / 4, _EYE, np.ones(3), np.ones((2, 3)), _FILLS),
            (np.zeros((5, 4)), np.ones((3, 4)), 3 * _EYE, None, np.zeros(3)),
        ),
        source='unit 3, "Exploding Gradients in vanilla RNNs"',
    ),
    Operator(
        name="bare_rnn",
        family="rnn",
        kind="sequence",
        formula="δ_t = dy_t + Wᵀ δ_{t+1} where h_t > 0, else 0; dW = Σ δ_t h_{t-1}ᵀ and dh0 = Wᵀ δ_1",
        op=ops.bare_rnn,
        oracle=plain.bare_rnn,
        cases=(
            Case((real((3, 3), -0.2, 0.8), real((3,), 0.0, 1.0), 5)),
            Case((real((3, 3), -0.2, 0.8), real((2, 4, 3), 0.0, 1.0), 3)),
        ),
        special=(
            (_EYE, np.array([0.0, 1.0, -1.0]), 4),
            (-2 * _EYE, np.ones(3), 4),
            (np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0], [0.0, 0.0, 1.0]]), np.ones(3), 3),
        ),
        source='unit 3, "Exploding Gradients in vanilla RNNs"',
    ),
    Operator(
        name="max_pool",
        family="pooling",
        kind="pooling",
        formula=(
            "dy of a window goes to the step that wins it, and what a step receives from windows that "
            "overlap is added, in float32 for half precision"
        ),
        op=ops.max_pool,
        oracle=plain.max_pool,
        cases=(
            Case((real((7, 3)), 3)),
            Case((real((2, 7, 3)), 3, 2)),
            Case((real((2, 1, 8, 2)), 2, 3)),
            Case((real((2, 6, 3)), 6)),
        ),
        special=(
            (np.zeros((4, 2)), 4),
            (np.array([[0.0, 1.0], [0.0, 1.0], [0.0, -1.0], [-1.0, -1.0]]), 3),
            (np.array([[1.0, 2.0], [3.0, 2.0], [3.0, 2.0], [3.0, 0.0], [-1.0, 2.0]]), 2),
        ),
        source='unit 2, "Gradient Flow"',
    ),
    Operator(
        name="attention",
        family="attention",
        kind="sequence",
        formula=(
            "dv_s = Σ_t u_ts dy_t; du_ts = dy_t·v_s, and dp through the same dropout mask; dz_ts = "
            "p_ts (dp_ts - Σ_j p_tj dp_tj); dq_t = scale Σ_s dz_ts k_s and dk_s = scale Σ_t dz_ts q_t"
        ),
        op=ops.attention,
        oracle=plain.attention,
        cases=(
            Case((_QUERIES, _KEYS, _VALUES)),
            Case((real((2, 4, 1, 3), -1.0, 1.0), real((2, 4, 1, 3), -1.0, 1.0), real((2, 4, 1, 2)), _CAUSAL)),
            Case(
                (
                    real((2, 3, 2, 4), -1.0, 1.0),
                    real((2, 5, 2, 4), -1.0, 1.0),
                    real((2, 5, 2, 3)),
                    _PADDED,
                ),
                {"scale": 0.3},
            ),
            Case((_QUERIES, _KEYS, _VALUES, None, Key(raw=True)), {"dropout_rate": 0.3}),
            Case((_QUERIES, _KEYS, _VALUES, _PADDED[0], Key(raw=True)), {"dropout_rate": 0.5, "scale": 0.7}),
        ),
        special=(
            (_SATURATED, _SCORED, _VALUED),
            (_SATURATED, _SCORED, _VALUED, _NOWHERE),
            (np.zeros((3, 2, 2)), _SCORED, _VALUED, _NOWHERE),
        ),
        source='Vaswani et al. 2017; BERT, in unit 1, "A pitfall when retraining word vectors"',
    ),
)

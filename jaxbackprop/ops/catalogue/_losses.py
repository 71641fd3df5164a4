"""Losses and the penalty."""

from __future__ import annotations

import numpy as np

from jaxbackprop import ops
from jaxbackprop._specs import Array, Magnitudes, integer, real

from .. import plain
from ._row import Case, Operator

_PARAMETERS = {"hidden": {"W": real((3, 4)), "b": real((3,))}, "table": real((5, 2))}

# Seven tokens of four inputs, six classes.
_INPUTS, _CLASSES = real((7, 4), -1.0, 1.0), real((6, 4))
_AXES = np.array([[1.0, 0.0], [-1.0, 0.5], [0.0, 1.0]])


def _spread(shape: tuple[int, ...], offset: float = 0.0) -> Array:
    return Array("float64", shape, Magnitudes(offset=offset))


ROWS: tuple[Operator, ...] = (
    Operator(
        name="softmax_cross_entropy",
        family="softmax_cross_entropy",
        kind="loss",
        formula=(
            "dz = (p - y) dy for labels that sum to 1; in general dz = dy (p Σy - y), and for soft "
            "labels dy_label = -dy log p"
        ),
        op=ops.softmax_cross_entropy,
        oracle=plain.softmax_cross_entropy,
        cases=(
            Case((real((6, 5)), integer((6,), 0, 5))),
            Case((real((2, 6, 5)), integer((2, 6), -1, 5)), {"ignore_label": -1}),
            Case((real((6, 5)), real((6, 5), 0.0, 1.0))),
        ),
        special=(
            (np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0]]), np.array([0, 1, 2], np.int32)),
            (np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]]), np.array([1, 0], np.int32)),
        ),
        tails=(
            Case((_spread((300, 6), offset=1e4), integer((300,), 0, 6)), bar=8.0, least=2.0**-80),
            Case((_spread((100, 6), offset=1e4), real((100, 6), 0.0, 1.0))),
        ),
        source='unit 1, "Deriving Gradients : Tips"',
    ),
    Operator(
        name="linear_softmax_cross_entropy",
        family="linear_softmax_cross_entropy",
        kind="loss",
        formula="with δ = dy (p - y), dx = Wᵀ δ, dW = Σ δ xᵀ and db = Σ δ, summed over the tokens",
        op=ops.linear_softmax_cross_entropy,
        oracle=plain.linear_softmax_cross_entropy,
        cases=(
            Case((_INPUTS, _CLASSES, integer((7,), 0, 6), real((6,))), {"chunk": 3}),
            Case((_INPUTS, _CLASSES, integer((7,), 0, 6)), {"reduction": "none", "chunk": 3}),
            Case(
                (real((2, 5, 4), -1.0, 1.0), _CLASSES, integer((2, 5), -1, 6), real((6,))),
                {"reduction": "none", "ignore_label": -1, "label_smoothing": 0.1, "chunk": 4},
            ),
            Case(
                (real((2, 5, 4), -1.0, 1.0), _CLASSES, integer((2, 5), -1, 6), real((6,))),
                {"reduction": "sum", "ignore_label": -1, "label_smoothing": 0.1, "chunk": 4},
            ),
            Case((_INPUTS, _CLASSES, integer((7,), 1, 7)), {"ignore_label": 6}),
        ),
        special=(
            (np.array([[1e4, 0.0], [-1e4, 0.0], [0.0, 0.0]]), _AXES, np.array([0, 0, 2], np.int32)),
            (np.array([[100.0, 1.0], [-100.0, 1.0]]), _AXES, np.array([0, 2], np.int32), np.ones(3)),
        ),
        source='unit 1, "Deriving Gradients : Tips" and "Derivative wrt a weight matrix"',
    ),
    Operator(
        name="sigmoid_binary_cross_entropy",
        family="losses",
        kind="loss",
        formula="dz = (p - y) dy on paper",
        op=ops.sigmoid_binary_cross_entropy,
        oracle=plain.sigmoid_binary_cross_entropy,
        cases=(
            Case((real((4, 5)), integer((4, 5), 0, 2))),
            Case((real((4, 5)), real((4, 5), 0.0, 1.0))),
        ),
        special=((np.array([1e4, -1e4, 0.0, 20.0, -20.0]), np.array([1, 0, 1, 1, 0], np.int32)),),
        tails=(
            Case((_spread((1500,)), integer((1500,), 0, 2))),
            Case((_spread((500,)), real((500,), 0.0, 1.0)), least=0.1),
        ),
        elementwise=True,
        source='unit 1, "Deriving Gradients : Tips", for two classes; unit 2, "Backpropagation"',
    ),
    Operator(
        name="mean_squared_error",
        family="losses",
        kind="loss",
        formula="dp = 2 (p - t) dy / N, and dt = -dp",
        op=ops.mean_squared_error,
        oracle=plain.mean_squared_error,
        cases=(Case((real((4, 5)), real((4, 5)))), Case((real(()), real(())))),
        source='unit 3, "Regularization": the least squares that it penalises',
    ),
    Operator(
        name="logsumexp",
        family="losses",
        kind="gate",
        formula="dx = p dy with p = exp(x - y) = softmax(x)",
        op=ops.logsumexp,
        oracle=plain.logsumexp,
        cases=(Case((real((4, 5)),)), Case((real((3, 4, 5)), 1))),
        special=((np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]]),),),
        source='unit 1, "Deriving Gradients : Tips"',
    ),
    Operator(
        name="softmax",
        family="losses",
        kind="activation",
        formula=(
            "∂p_i/∂x_j = p_i (1{i = j} - p_j), a full matrix; its product with dy needs one sum: dx = "
            "p (dy - Σ p dy)"
        ),
        op=ops.softmax,
        oracle=plain.softmax,
        cases=(Case((real((4, 5)),)), Case((real((3, 4, 5)), 1))),
        special=((np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]]),),),
        source='unit 1, "Deriving Gradients : Tips"',
    ),
    Operator(
        name="l2",
        family="l2",
        kind="regularizer",
        formula="dθ = 2 strength θ dy for what is penalised and 0 for the rest; dstrength = dy Σ θ²",
        op=ops.l2,
        oracle=plain.l2,
        cases=(
            Case((_PARAMETERS, real((), 0.1, 1.0))),
            Case((_PARAMETERS, real((), 0.1, 1.0)), {"biases": True, "tables": True}),
            Case((real((3, 4)), real((), 0.1, 1.0))),
        ),
        source='unit 3, "Regularization"',
    ),
)

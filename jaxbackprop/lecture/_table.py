"""Every claim, in the order of the lecture."""

from __future__ import annotations

from . import (
    _activations,
    _backward_problems,
    _batch_norm,
    _choices,
    _cost,
    _differences,
    _formulas,
    _initialization,
    _rates,
    _regularization,
    _vectorization,
)
from ._claim import Claim

UNITS = {
    1: "Matrix Gradients for Neural Nets",
    2: "Computation Graphs and Backpropagation",
    3: "Tips and Tricks for Neural Networks",
}

# The headings of its slides.
_ORDER = (
    "Derivative wrt a weight matrix",
    "Deriving Gradients : Tips",
    "Deriving gradient wrt words",
    "A pitfall when retraining word vectors",
    "Efficiency",
    "Computation Graph",
    "Numerical Gradient",
    "Vanishing Gradients on Sigmoid",
    "Dying ReLU",
    "Exploding Gradients in vanilla RNNs",
    "Too slow",
    "Overfitting",
    "Regularization",
    "Vectorization",
    "Activation Function",
    "Weight Initialization",
    "Optimizer",
    "Learning Rate",
)
_MODULES = (
    _formulas,
    _choices,
    _cost,
    _differences,
    _backward_problems,
    _batch_norm,
    _regularization,
    _vectorization,
    _activations,
    _initialization,
    _rates,
)

CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (claim for module in _MODULES for claim in module.CLAIMS),
        key=lambda claim: (claim.unit, _ORDER.index(claim.slide)),
    )
)

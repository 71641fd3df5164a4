"""Unit 1: the three gradients that the lecture derives, held against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import ops
from jaxbackprop._float64 import float64_on_cpu

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict

# Central differences of step 6e-6 are right to about 1e-10; a wrong formula is off by a large part.
_STEP, _RIGHT = 6e-6, 1e-7
_INPUTS, _HIDDEN, _CLASSES, _NETWORKS = 12, 8, 5, 10


def _differences(f: Callable[[jax.Array], jax.Array], x: np.ndarray) -> np.ndarray:
    moves = _STEP * np.eye(x.size).reshape(x.size, *x.shape)
    with float64_on_cpu():
        above, below = (np.asarray(jax.vmap(f)(jnp.asarray(x + sign * moves))) for sign in (1, -1))
    return ((above - below) / (2 * _STEP)).reshape(x.shape)


def _error(formula: np.ndarray, differences: np.ndarray) -> float:
    return float(np.abs(formula - differences).max() / np.abs(differences).max())


def _weight(effort: Effort, say: Say) -> dict[str, Any]:
    errors = []
    for seed in range(_NETWORKS):
        rng = np.random.default_rng(seed)
        W, x, u = rng.normal(size=(_HIDDEN, _INPUTS)), rng.normal(size=_INPUTS), rng.normal(size=_HIDDEN)
        delta = u * (1 - np.tanh(W @ x) ** 2)

        def s(W: jax.Array, x: np.ndarray = x, u: np.ndarray = u) -> jax.Array:
            return jnp.vdot(u, ops.tanh(ops.linear(x, W)))

        errors.append(_error(np.outer(delta, x), _differences(s, W)))
    return {"error": max(errors)}


def _softmax(effort: Effort, say: Say) -> dict[str, Any]:
    errors = []
    for seed in range(_NETWORKS):
        rng = np.random.default_rng(seed)
        z, label = 3 * rng.normal(size=_CLASSES), int(rng.integers(_CLASSES))
        p = np.exp(z - z.max())
        formula = p / p.sum() - np.eye(_CLASSES)[label]

        def loss(z: jax.Array, label: int = label) -> jax.Array:
            return ops.softmax_cross_entropy(z, jnp.asarray(label))

        errors.append(_error(formula, _differences(loss, z)))
    return {"error": max(errors)}


def _window(effort: Effort, say: Say) -> dict[str, Any]:
    errors, others = [], 0.0
    for seed in range(_NETWORKS):
        rng = np.random.default_rng(seed)
        table, words = rng.normal(size=(20, 4)), rng.choice(20, 3, replace=False)
        W, u = rng.normal(size=(_HIDDEN, _INPUTS)), rng.normal(size=_HIDDEN)
        delta = u * (1 - np.tanh(W @ table[words].ravel()) ** 2)
        formula = np.zeros_like(table)
        formula[words] = (W.T @ delta).reshape(3, 4)

        def s(table: jax.Array, words: np.ndarray = words, W: np.ndarray = W, u: np.ndarray = u) -> jax.Array:
            return jnp.vdot(u, ops.tanh(ops.linear(ops.window_lookup(table, words), W)))

        differences = _differences(s, table)
        errors.append(_error(formula, differences))
        others = max(others, float(np.abs(np.delete(differences, words, axis=0)).max()))
    return {"error": max(errors), "gradient of other words": others}


def _right(figures: Figures) -> Verdict:
    error = figures["error"]
    shown = f"off by {error:.0e} of the largest entry"
    if error < _RIGHT:
        why = "the formula equals central differences up to their own error, about 1e-10"
        return Verdict(Outcome.HOLDS, shown, why)
    return Verdict(Outcome.FAILS, shown, "central differences are right to about 1e-10 and disagree")


def _right_and_alone(figures: Figures) -> Verdict:
    verdict, others = _right(figures), figures["gradient of other words"]
    if verdict.holds and others != 0:
        figure = f"a word outside the window has a gradient of {others:.0e}"
        return Verdict(Outcome.IN_PART, figure, "the formula is right, but other words move too")
    return verdict


_TIPS = "Deriving Gradients : Tips"
CLAIMS = (
    Claim(
        "weight-gradient",
        1,
        "Derivative wrt a weight matrix",
        "The gradient of a weight matrix is error signal times input, δxᵀ.",
        _weight,
        _right,
        "jaxbackprop verify --op linear",
    ),
    Claim(
        "softmax-gradient",
        1,
        _TIPS,
        "The gradient of softmax and cross-entropy is p − y.",
        _softmax,
        _right,
        "jaxbackprop verify --op softmax_cross_entropy",
    ),
    Claim(
        "window-gradient",
        1,
        "Deriving gradient wrt words",
        "A window's gradient is Wᵀδ, and only the words in it are updated.",
        _window,
        _right_and_alone,
        "jaxbackprop verify --op window_lookup",
    ),
)

"""A loss that is no number any more: in which step, on which examples, and with which parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._step import TrainState


class Diverged(FloatingPointError):
    """The loss is no longer a number.

    Attributes:
        step: the update, counted from 1, in which it happened.
        indices: the examples of that step's batch; None where batches come from a stream.
        model: as it was before that step; None where it could not be made again.
        batch: that step's batch; None where `model` is.
        key: that step's random key; None where `model` is.
    """

    def __init__(
        self,
        loss: float,
        step: int,
        indices: np.ndarray | None = None,
        model: Any = None,
        batch: Any = None,
        key: jax.Array | None = None,
    ) -> None:
        super().__init__(f"the loss is {loss} at step {step}: a lower learning rate may help")
        self.loss, self.step, self.indices = loss, step, indices
        self.model, self.batch, self.key = model, batch, key


def first_bad_step(
    advance: Callable[[TrainState, int], TrainState], state: TrainState, begin: int, bad: int
) -> int:
    """The step that broke the parameters, or `bad`: a finite loss may have a gradient that is not.

    Args:
        advance: makes one step: (state, step) -> state.
        state: before step `begin`.
        begin: the step to begin with.
        bad: the first step whose loss is no number.

    Returns:
        The step, counted from 0.
    """
    for step in range(begin, bad):
        state = advance(state, step)
        if not _finite(state.params):
            return step
    return bad


@jax.jit
def _finite(params: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves] + [True]))

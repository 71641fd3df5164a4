"""What `fit` is given as data, and the batches that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._batches import ArrayBatches, Batches, BatchesBySteps, IndexedSource, StreamBatches
from ._indexed import IndexedBatches


def make_batches(
    data: Any,
    *,
    batch_size: int | None,
    epochs: int,
    seed: int,
    steps_per_epoch: int | None,
    as_array: Callable[[Any], Any] = jnp.asarray,
) -> Batches:
    """The batches of `fit`'s data: rows of a pytree of arrays or of an indexed source, or an iterable's.

    Raises:
        TypeError, ValueError: data or sizes that do not fit.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, not {epochs}")
    if isinstance(data, IndexedSource):
        if steps_per_epoch is not None:
            raise ValueError("steps_per_epoch is given, but data has a count: an epoch is all of it")
        return IndexedBatches(data, batch_size=batch_size, epochs=epochs, seed=seed)
    if jax.tree_util.all_leaves([data]) and not hasattr(data, "shape") and isinstance(data, Iterable):
        if batch_size is not None:
            raise ValueError("batch_size is given, but data gives whole batches")
        if steps_per_epoch is not None and steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch must be at least 1, not {steps_per_epoch}")
        return StreamBatches(data, epochs=epochs, steps_per_epoch=steps_per_epoch, as_array=as_array)
    if steps_per_epoch is not None:
        raise ValueError("steps_per_epoch is given, but data is a pytree of arrays: an epoch is all of them")
    return ArrayBatches(data, batch_size=batch_size, epochs=epochs, seed=seed, as_array=as_array)


def first_batch(data: Any, *, batch_size: int, seed: int) -> Any:
    """The batch that a training on arrays or an indexed source begins with, in NumPy; see `fit`."""
    batches = make_batches(
        data, batch_size=batch_size, epochs=1, seed=seed, steps_per_epoch=None, as_array=np.asarray
    )
    assert isinstance(batches, BatchesBySteps)
    examples, chosen = batches.at(0)
    return examples if chosen is None else jax.tree.map(lambda rows: rows[chosen], examples)

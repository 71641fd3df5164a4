"""Batches of examples that are more than memory holds: read as they are needed, a little ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxbackprop.data import shuffled_indices

from ._batches import Batch, IndexedSource, Part, checked_batch_size, epoch_end, on_host

if TYPE_CHECKING:
    import grain

# Batches that are made ahead, and threads that make them: while one waits for the disk, another goes on.
_AHEAD, _THREADS = 16, 2


class IndexedBatches:
    """Batches out of an indexed source; which examples each takes is a function of seed and step alone.

    Args:
        source: of the examples.
        batch_size: examples a batch, at most all of them.
        epochs: passes over the examples.
        seed: of the order of the examples.

    Attributes:
        batch_size: examples a batch.
        part: which rows of each batch are made, where not all: those that this process needs.

    Raises:
        ValueError: fewer examples than a batch.
    """

    def __init__(
        self,
        source: IndexedSource,
        *,
        batch_size: int | None,
        epochs: int,
        seed: int,
    ) -> None:
        self.count = source.count
        self.batch_size, self._seed = checked_batch_size(batch_size, self.count), seed
        self.total: int | None = epoch_end(epochs, self.count, self.batch_size)
        self.part: slice | None = None
        self._source = source
        self._at, self._epoch = 0, 1
        self._ahead: grain.DatasetIterator | None = None

    def next(self) -> Batch | None:
        """See `Batches`."""
        if self._at == epoch_end(self._epoch, self.count, self.batch_size):
            self._epoch += 1
            return None
        if self._ahead is None:
            import grain

            options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_AHEAD)
            steps = grain.MapDataset.range(self.total).map(lambda step: self._made(int(step)))
            self._ahead = iter(steps.to_iter_dataset(options))
            self._ahead.set_state({"next_index": self._at})
        batch = next(self._ahead)
        self._at += 1
        return batch, None

    def rows(self, step: int, part: slice = slice(None)) -> Any:  # noqa: B008
        """Some rows of the batch of a step, in NumPy."""
        return jax.tree.map(on_host, self._source.rows(self.indices(step)[part]))

    def indices(self, step: int) -> np.ndarray:
        """See `BatchesBySteps`."""
        return shuffled_indices(self._seed, step, count=self.count, batch_size=self.batch_size)

    def at(self, step: int) -> Batch:
        """See `BatchesBySteps`."""
        return self._made(step), None

    def _made(self, step: int) -> Any:
        if self.part is None:
            return self.rows(step)
        return Part(self.rows(step, self.part), self.part.start, self.batch_size)

    def position(self) -> Any:
        """See `Batches`."""
        return [self._at, self._epoch]

    def restore(self, position: Any) -> None:
        """See `Batches`."""
        self._at, self._epoch = position
        self._ahead = None

"""Batches of examples that are more than memory holds: read as they are needed, a little ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxbackprop.data import shuffled_indices

from ._batches import Batch, IndexedSource, Part, checked_batch_size, epoch_end, on_host

if TYPE_CHECKING:
    import grain

# Small batches are made several at a time, about so many bytes of them and so many at most: what it costs to
# begin with one is then shared.
_BYTES, _MOST = 1 << 18, 64
# So many of these groups are made ahead, by so many threads: while one waits for the disk, another goes on.
_AHEAD, _THREADS = 4, 2


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
        self._groups: grain.DatasetIterator | None = None
        # The group that the next step is in, and steps a group.
        self._group: Any = None
        self._steps = 1

    def next(self) -> Batch | None:
        """See `Batches`."""
        if self._at == epoch_end(self._epoch, self.count, self.batch_size):
            self._epoch += 1
            return None
        if self._groups is None:
            self._groups = self._begin()
            self._group = next(self._groups)
        elif self._at % self._steps == 0:
            self._group = next(self._groups)
        place = self._at % self._steps
        self._at += 1

        def part(rows: np.ndarray) -> np.ndarray:
            length = len(rows) // self._steps
            return rows[place * length : (place + 1) * length]

        return self._named(jax.tree.map(part, self._group)), None

    def _begin(self) -> grain.DatasetIterator:
        # It takes most of a second to import.
        import grain

        size = sum(leaf.nbytes for leaf in jax.tree.leaves(self.rows(self._at, self._made)))
        self._steps = max(1, min(_MOST, _BYTES // max(1, size)))
        assert self.total is not None
        numbers = grain.MapDataset.range(-(-self.total // self._steps))
        options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_AHEAD)
        groups = iter(numbers.map(self._rows_of_group).to_iter_dataset(options))
        groups.set_state({"next_index": self._at // self._steps})
        return groups

    def _rows_of_group(self, number: int) -> Any:
        size = self._steps * self.batch_size
        indices = shuffled_indices(self._seed, int(number), count=self.count, batch_size=size)
        wanted = indices.reshape(self._steps, self.batch_size)[:, self._made]
        return jax.tree.map(on_host, self._source.rows(wanted.reshape(-1)))

    def rows(self, step: int, part: slice = slice(None)) -> Any:  # noqa: B008
        """Some rows of the batch of a step, in NumPy."""
        return jax.tree.map(on_host, self._source.rows(self.indices(step)[part]))

    def indices(self, step: int) -> np.ndarray:
        """See `BatchesBySteps`."""
        return shuffled_indices(self._seed, step, count=self.count, batch_size=self.batch_size)

    def at(self, step: int) -> Batch:
        """See `BatchesBySteps`."""
        return self._named(self.rows(step, self._made)), None

    @property
    def _made(self) -> slice:
        return slice(None) if self.part is None else self.part

    def _named(self, rows: Any) -> Any:
        """The rows of a batch, with what they are of it where they are a part."""
        return rows if self.part is None else Part(rows, self.part.start, self.batch_size)

    def position(self) -> Any:
        """See `Batches`."""
        return [self._at, self._epoch]

    def restore(self, position: Any) -> None:
        """See `Batches`."""
        self._at, self._epoch = position
        self._groups = None

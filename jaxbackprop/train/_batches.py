"""Where a step's batch comes from: rows of arrays in memory, or a stream that gives whole batches.

The third kind is in `_indexed`: rows of what is too large for memory.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.data import batch_indices

# What `make_step`'s step takes: data, and the rows of it that are the batch; None for all of them.
Batch = tuple[Any, np.ndarray | None]


class Part(NamedTuple):
    """The rows of a batch that a process needs, where it makes no others.

    Attributes:
        rows: pytree of arrays.
        start: which row of the batch the first of them is.
        size: rows of the batch.
    """

    rows: Any
    start: int
    size: int


# What comes after the last batch: None might be a batch.
_END = object()


class Batches(Protocol):
    """The batches of a run, epoch after epoch."""

    # Updates in the whole run, where known.
    total: int | None

    def next(self) -> Batch | None:
        """The next batch of the epoch, or None at its end, after which the next epoch begins."""
        ...

    def position(self) -> Any:
        """Where it stands, as JSON holds it."""
        ...

    def restore(self, position: Any) -> None:
        """Goes on from a position."""
        ...


@runtime_checkable
class BatchesBySteps(Batches, Protocol):
    """Batches any of which can be asked for."""

    def indices(self, step: int) -> np.ndarray:
        """The examples of a step."""
        ...

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        ...


@runtime_checkable
class IndexedSource(Protocol):
    """Examples that are made as they are asked for, such as those of a file larger than memory.

    Attributes:
        count: of the examples.
    """

    count: int

    def rows(self, indices: np.ndarray) -> Any:
        """Some examples: a pytree of NumPy arrays with one row each.

        It may be called by several threads at a time.

        Args:
            indices: of the examples, int64 (B,).
        """
        ...


class ArrayBatches:
    """Batches out of arrays; which rows each takes is a function of seed and step alone.

    Args:
        data: pytree of arrays, each with one row an example.
        batch_size: examples a batch, at most all of them.
        epochs: passes over the examples.
        seed: of the order of the examples.
        as_array: puts an array where the steps, or what prepares their batches, are to read it.

    Raises:
        TypeError: a leaf is no numeric array.
        ValueError: no example, arrays of different lengths, or fewer examples than a batch.
    """

    def __init__(
        self,
        data: Any,
        *,
        batch_size: int | None,
        epochs: int,
        seed: int,
        as_array: Callable[[Any], Any] = jnp.asarray,
    ) -> None:
        self.count = _count(data)
        self._batch_size, self._seed = checked_batch_size(batch_size, self.count), seed
        self.total: int | None = epoch_end(epochs, self.count, self._batch_size)
        self.data = jax.tree.map(as_array, data)
        self._at, self._epoch = 0, 1

    def next(self) -> Batch | None:
        """See `Batches`."""
        if self._at == epoch_end(self._epoch, self.count, self._batch_size):
            self._epoch += 1
            return None
        self._at += 1
        return self.at(self._at - 1)

    def indices(self, step: int) -> np.ndarray:
        """See `BatchesBySteps`."""
        return batch_indices(self._seed, step, count=self.count, batch_size=self._batch_size)

    def at(self, step: int) -> Batch:
        """See `BatchesBySteps`."""
        return self.data, self.indices(step)

    def position(self) -> Any:
        """See `Batches`."""
        return [self._at, self._epoch]

    def restore(self, position: Any) -> None:
        """See `Batches`."""
        self._at, self._epoch = position


class StreamBatches:
    """Batches that something iterable gives.

    Args:
        data: gives pytrees of arrays. For several epochs it must be iterable again, or be endless and come
            with `steps_per_epoch`. An iterator with ``get_state`` and ``set_state`` (grain's) goes on where
            it stood when a run is resumed; from any other the batches already used are drawn again.
        epochs: of the whole run.
        steps_per_epoch: batches an epoch; None takes all that `data` gives.
        as_array: see `ArrayBatches`.
    """

    def __init__(
        self,
        data: Iterable[Any],
        *,
        epochs: int,
        steps_per_epoch: int | None,
        as_array: Callable[[Any], Any] = jnp.asarray,
    ) -> None:
        self.total = None if steps_per_epoch is None else epochs * steps_per_epoch
        self._source, self._steps, self._as_array = data, steps_per_epoch, as_array
        self._stream: Iterator[Any] | None = None
        self._taken = self._epoch_taken = self._passes = 0

    def next(self) -> Batch | None:
        """See `Batches`."""
        if self._steps is not None and self._epoch_taken == self._steps:
            self._epoch_taken = 0
            return None
        batch = self._draw()
        if batch is _END and self._steps is not None:
            # Epochs are counted by steps: the source begins again within one.
            batch = self._draw()
        if batch is _END:
            if self._epoch_taken == 0:
                again = "" if self._passes < 2 else " again: pass what can be iterated over more than once"
                raise ValueError(f"data gives no batch{again}")
            self._epoch_taken = 0
            return None
        self._epoch_taken += 1
        self._taken += 1
        leaves = jax.tree_util.tree_leaves_with_path(batch)
        if not leaves:
            raise TypeError(f"data gives a batch that holds no array: {batch!r:.60}")
        for path, leaf in leaves:
            _refuse_no_numbers("a batch of data" + jax.tree_util.keystr(path), leaf)
        return jax.tree.map(self._as_array, batch), None

    def _draw(self) -> Any:
        if self._stream is None:
            self._stream = iter(self._source)
            self._passes += 1
            self._taken = 0
        try:
            return next(self._stream)
        except StopIteration:
            self._stream = None
            return _END

    def position(self) -> Any:
        """See `Batches`."""
        state = None
        if self._stream is not None and hasattr(self._stream, "get_state"):
            state = self._stream.get_state()
            if isinstance(state, bytes):
                state = {"base64": base64.b64encode(state).decode()}
        began = self._stream is not None
        return {"taken": self._taken, "epoch_taken": self._epoch_taken, "began": began, "state": state}

    def restore(self, position: Any) -> None:
        """See `Batches`."""
        self._epoch_taken = position["epoch_taken"]
        if not position["began"]:
            return
        self._stream, self._passes, self._taken = iter(self._source), 1, position["taken"]
        state = position["state"]
        if state is None:
            for _ in range(self._taken):
                next(self._stream)
        else:
            if isinstance(state, dict) and set(state) == {"base64"}:
                state = base64.b64decode(state["base64"])
            self._stream.set_state(state)  # type: ignore[attr-defined]


def on_host(leaf: Any) -> np.ndarray:
    """An array in NumPy, of the dtype that jax would give it."""
    array = np.asarray(leaf)
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)


def checked_batch_size(batch_size: int | None, count: int) -> int:
    """The size of a batch.

    Raises:
        ValueError: it is missing, or is out of range for so many examples.
    """
    if batch_size is None:
        raise ValueError("batch_size is missing: examples are cut into batches")
    if not 1 <= batch_size <= count:
        raise ValueError(f"batch_size must be in [1, {count}], the number of examples, not {batch_size}")
    return batch_size


def epoch_end(epoch: int, count: int, batch_size: int) -> int:
    """Updates made by the end of an epoch, whose last batch may reach into the next."""
    return -(-epoch * count // batch_size)


def _refuse_no_numbers(name: str, leaf: Any) -> None:
    if isinstance(leaf, str | bytes):
        raise TypeError(f"{name} is {type(leaf).__name__} {leaf!r:.40}, not numbers")
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "OUSMm":
        raise TypeError(f"{name} has dtype {leaf.dtype}, not numbers")


def _count(data: Any) -> int:
    if callable(data) and not hasattr(data, "shape"):
        raise TypeError(
            "data is a function: pass what can be iterated over again, or what the function gives"
        )
    lengths: dict[str, int] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        name = "data" + jax.tree_util.keystr(path)
        if not hasattr(leaf, "shape"):
            raise TypeError(f"{name} is {type(leaf).__name__} {leaf!r:.40}, not an array: use np.asarray")
        _refuse_no_numbers(name, leaf)
        if leaf.shape == ():
            raise ValueError(f"{name} is a scalar: every array has one row an example")
        lengths[name] = leaf.shape[0]
    if not lengths or not max(lengths.values()):
        raise ValueError("data holds no example to train on")
    first, *others = lengths
    for name in others:
        if lengths[name] != lengths[first]:
            raise ValueError(
                f"{first} has {lengths[first]} rows but {name} has {lengths[name]}: "
                "every array has one row an example"
            )
    return lengths[first]

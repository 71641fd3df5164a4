"""Which examples make up a batch: a pure function of (seed, step), so that a run resumes at any step."""

import operator
from functools import lru_cache

import numpy as np


def batch_indices(seed: int, step: int, *, count: int, batch_size: int) -> np.ndarray:
    """The examples of batch number `step`.

    Every epoch is a permutation of the examples, drawn from (seed, epoch), and the epochs follow one another
    without a gap. The batches cut this sequence into pieces of equal size, across the border of two epochs
    and over several of them where `batch_size` exceeds `count`: every example comes exactly once an epoch.

    Args:
        seed: of the permutations, at least 0.
        step: number of the batch, counted from 0.
        count: number of examples.
        batch_size: examples in a batch.

    Returns:
        Indices into the examples, int32 (batch_size,).

    Raises:
        TypeError: an argument is not an integer.
        ValueError: an argument is out of range.
    """
    seed = _integer("seed", seed, 0)
    step = _integer("step", step, 0)
    count = _integer("count", count, 1)
    batch_size = _integer("batch_size", batch_size, 1)
    if count > 2**31:
        raise ValueError(f"count must be at most 2**31, for indices of 32 bits, got {count}")

    epoch, first = divmod(step * batch_size, count)
    pieces = []
    missing = batch_size
    while missing:
        piece = _permutation(seed, epoch, count)[first : first + missing]
        pieces.append(piece)
        missing -= len(piece)
        epoch, first = epoch + 1, 0
    return np.concatenate(pieces)


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count).astype(np.int32)


def _integer(name: str, value: int, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number

"""A shuffled order that is computed where it is asked for: no table of it is kept, however long it is."""

import math

import numpy as np

# Odd, with bits in no order: those of splitmix64 (Steele, Lea and Flood 2014).
_FACTOR, _FACTOR_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ROUNDS = 4


def shuffled_indices(seed: int, step: int, *, count: int, batch_size: int) -> np.ndarray:
    """The examples of batch number `step`, as `batch_indices` has them, but without a table of the order.

    Each epoch is another permutation of the examples, drawn from (seed, epoch).

    Args:
        seed: of the permutations, at least 0.
        step: number of the batch, counted from 0.
        count: number of examples.
        batch_size: examples in a batch.

    Returns:
        Indices into the examples, int64 (batch_size,).
    """
    pieces = []
    epoch, first = divmod(step * batch_size, count)
    missing = batch_size
    while missing:
        places = np.arange(first, min(first + missing, count))
        pieces.append(permuted(places, count, (seed, epoch)))
        missing -= len(places)
        epoch, first = epoch + 1, 0
    return np.concatenate(pieces)


def permuted(indices: np.ndarray, count: int, seed: tuple[int, ...]) -> np.ndarray:
    """Where a permutation of 0, ..., count - 1 takes some of them.

    grain's index_shuffle does the same for one index a call, which for a batch takes ten times as long and a
    tenth of a training step.

    Args:
        indices: int64, of any shape.
        count: how many there are in all, at most 2**62.
        seed: of the permutation.

    Source: a generalised Feistel network on pairs (a, b) of Z_A x Z_B with A B just above count, walked again
    from what lies above (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
    """
    keys = np.random.SeedSequence(seed).generate_state(2 * _ROUNDS, np.uint64)
    A = math.isqrt(count - 1) + 1
    B = -(-count // A)
    found = _walked(indices.astype(np.uint64), np.uint64(A), np.uint64(B), keys)
    while (outside := found >= count).any():
        found[outside] = _walked(found[outside], np.uint64(A), np.uint64(B), keys)
    return found.astype(np.int64)


def _walked(indices: np.ndarray, A: np.uint64, B: np.uint64, keys: np.ndarray) -> np.ndarray:
    a, b = np.divmod(indices, B)
    for key, key_2 in keys.reshape(-1, 2):
        a = (a + _mixed(b, key)) % A
        b = (b + _mixed(a, key_2)) % B
    return a * B + b


def _mixed(numbers: np.ndarray, key: np.uint64) -> np.ndarray:
    """Bits that look drawn; 32 of them, so that a sum with what is below 2**32 is no larger than 2**33."""
    numbers = (numbers ^ key) * _FACTOR
    numbers = (numbers ^ (numbers >> np.uint64(29))) * _FACTOR_2
    return numbers >> np.uint64(32)

"""Dropout with inverted scaling, its mask a function of a key.

Source: lecture, unit 3 "Overfitting" (dropout); Srivastava et al. 2014.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Words = NDArray[np.uint32]


def dropout(x: ArrayLike, key: ArrayLike | int | None, rate: float, *, deterministic: bool = False) -> Array:
    """y_i = m_i x_i / (1 - rate), with m_i = 0 of probability rate and 1 otherwise.

    Dividing by 1 - rate (inverted scaling) keeps the mean: E[y_i] = (1 - rate) x_i / (1 - rate) = x_i. So
    nothing has to be rescaled when dropout is switched off.

    Args:
        x: any shape.
        key: the source of the mask (`keep_mask`); may be None where no mask is drawn (rate 0 or 1,
            deterministic).
        rate: the probability of dropping an entry, in [0, 1]; 0 leaves x as it is and 1 drops everything.
        deterministic: whether to leave x as it is, as in evaluation.

    Returns:
        y, of x's shape. A dropped entry is 0 even where x is infinite or nan.

    Raises:
        ValueError: where rate is outside [0, 1], or key is None or no key where a mask is drawn.
        TypeError: where key holds no integers.
    """
    x = np.asarray(x, dtype=np.float64)
    rate = _checked_rate(rate)
    if deterministic or rate == 0.0:
        return x
    if rate == 1.0:
        return np.zeros_like(x)
    keep = keep_mask(key, rate, x.shape)
    return np.divide(x, 1.0 - rate, where=keep, out=np.zeros_like(x))


def dropout_vjp(
    x: ArrayLike, key: ArrayLike | int | None, rate: float, dy: ArrayLike, *, deterministic: bool = False
) -> tuple[Array, None, None]:
    """Gradient of dropout: dy through the same mask, with the same scaling.

    Given the key the mask m is a constant, so y is linear in x, entry by entry: ∂y_i/∂x_i = m_i / (1 - rate),
    and

        dx_i = m_i dy_i / (1 - rate).

    The forward pass need not store m: drawn again from the same key it is the same mask. No gradient flows to
    the rate: a mask jumps when the rate moves, and the rate is chosen, not trained.

    Args:
        x: any shape.
        key: as in `dropout`.
        rate: as in `dropout`.
        dy: of x's shape.
        deterministic: as in `dropout`.

    Returns:
        (dx, None, None): dx of x's shape; key and rate have none.

    Raises:
        ValueError: as `dropout`, and where dy does not have x's shape.
        TypeError: as `dropout`.
    """
    x = np.asarray(x, dtype=np.float64)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != x.shape:
        raise ValueError(f"dy has shape {dy.shape} but x has shape {x.shape}")
    # The map is linear, so its transpose is the map itself.
    return dropout(dy, key, rate, deterministic=deterministic), None, None


def keep_mask(key: ArrayLike | int | None, rate: float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which entries dropout keeps: those whose 32 random bits, as an integer, reach rate · 2³².

    Of the 2³² equally likely integers round(rate · 2³²) lie below the threshold, so an entry is kept with
    probability 1 - rate up to 2⁻³³, rate 0 keeps all and rate 1 none.

    Args:
        key: two words of 32 bits, or a seed in [0, 2⁶⁴), whose words are its upper and its lower half.
        rate: in [0, 1].
        shape: the mask's shape.

    Returns:
        A boolean mask of that shape.

    Raises:
        ValueError: where rate is outside [0, 1] or key is not a key.
        TypeError: where key holds no integers.
    """
    threshold = round(_checked_rate(rate) * 2**32)
    return _random_bits(_key_words(key), shape) >= np.uint64(threshold)


def _random_bits(key: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """32 random bits an entry: entry i of the flat array is a function of the key and of i alone.

    The index is a counter of 64 bits, its two halves are enciphered, and the two words that come out are
    XORed. JAX's default generator (threefry2x32, partitionable) does the same, so one key gives the same bits
    there.
    """
    index = np.arange(math.prod(shape), dtype=np.uint64)
    high = (index >> np.uint64(32)).astype(np.uint32)
    low = (index & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    first, second = _threefry_2x32(key, high, low)
    return (first ^ second).astype(np.uint64).reshape(shape)


def _threefry_2x32(key: tuple[int, int], first: Words, second: Words) -> tuple[Words, Words]:
    """Threefry-2x32 with 20 rounds, enciphering counters of two words (Salmon et al. 2011).

    A round adds, rotates and XORs; after every fourth one the next words of the key are added in (modulo
    2³²). The third word of the key schedule is the parity constant XOR both words.
    """
    schedule = [np.uint32(word) for word in (*key, key[0] ^ key[1] ^ 0x1BD11BDA)]
    rotations = (13, 15, 26, 6), (17, 29, 16, 24)
    first, second = first + schedule[0], second + schedule[1]
    for block in range(5):
        for distance in rotations[block % 2]:
            first = first + second
            second = (second << np.uint32(distance)) | (second >> np.uint32(32 - distance))
            second = second ^ first
        first = first + schedule[(block + 1) % 3]
        second = second + schedule[(block + 2) % 3] + np.uint32(block + 1)
    return first, second


def _key_words(key: ArrayLike | int | None) -> tuple[int, int]:
    if key is None:
        raise ValueError("key must be a seed or two words of 32 bits, got None")
    words = np.asarray(key)
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        seed = int(key)
        if not 0 <= seed < 2**64:
            raise ValueError(f"key as a seed must lie in [0, 2**64), got {seed}")
        return seed >> 32, seed & 0xFFFFFFFF
    if not np.issubdtype(words.dtype, np.integer):
        raise TypeError(f"key must be integers, got dtype {words.dtype}")
    if words.shape != (2,):
        raise ValueError(f"key must be a seed or two words of 32 bits, got shape {words.shape}")
    high, low = (int(word) for word in words)
    if not (0 <= high < 2**32 and 0 <= low < 2**32):
        raise ValueError(f"key must hold words in [0, 2**32), got {(high, low)}")
    return high, low


def _checked_rate(rate: float) -> float:
    rate = float(rate)
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate must lie in [0, 1], got {rate}")
    return rate


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "dropout": [("f64[4,5]", 7, 0.3), ("f64[4,5]", None, 0.3, "deterministic=True")],
}

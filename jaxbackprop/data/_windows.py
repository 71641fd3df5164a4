"""The arrays a window model reads."""

from dataclasses import dataclass

import numpy as np

PADDING = -1
"""The id outside a sentence, in every table: not a row, so no vector is learnt for it."""


@dataclass(frozen=True, eq=False)
class Windows:
    """N windows of 2m+1 words, one around each word, in the order of the sentences.

    Attributes:
        words: rows of the word table, int32 (N, 2m+1); `PADDING` outside the sentence, here and below.
        shapes: rows of the shape table, int32 (N, 2m+1).
        prefixes: rows of the prefix table, int32 (N, 2m+1).
        suffixes: rows of the suffix table, int32 (N, 2m+1).
        labels: index of the middle word's tag, int32 (N,); 0 where none was asked for.
        lengths: words in each of S sentences, int32 (S,), of sum N.
    """

    words: np.ndarray
    shapes: np.ndarray
    prefixes: np.ndarray
    suffixes: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray


def windows_around(ids: np.ndarray, lengths: np.ndarray, m: int) -> np.ndarray:
    """The windows around each of N ids.

    Args:
        ids: int32 (N,), sentence after sentence.
        lengths: ids in each of S sentences, (S,), of sum N.
        m: ids on each side of the middle one.

    Returns:
        int32 (N, 2m+1), `PADDING` where a window reaches beyond its sentence.
    """
    if not len(ids):
        return np.empty((0, 2 * m + 1), np.int32)
    # One row, m paddings before, between and after the sentences: no window reaches the next sentence, and
    # the id number i of sentence number s stands at i + m (s + 1), where its window starts m places earlier.
    starts = np.arange(len(ids)) + m * np.repeat(np.arange(len(lengths)), lengths)
    row = np.full(len(ids) + m * (len(lengths) + 1), PADDING, np.int32)
    row[starts + m] = ids
    return np.lib.stride_tricks.sliding_window_view(row, 2 * m + 1)[starts]

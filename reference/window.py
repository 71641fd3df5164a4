"""The window of word vectors around a word, and how its gradient reaches each word.

Source: lecture, unit 1 "Deriving gradient wrt words".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.embedding import embedding, embedding_vjp

Array = NDArray[np.float64]


def window_lookup(table: ArrayLike, ids: ArrayLike, *, padding_id: int | None = None) -> Array:
    """The 2m+1 word vectors of a window, one after the other: x = [L[ids_0]; …; L[ids_2m]].

    Entry c of word k stands at position kd + c of x. That is the order of a row-major reshape, so
    concatenating is reading the words, (2m+1, d), and seeing the same numbers as one vector, ((2m+1)d,).

    Args:
        table: L, (V, d), one row a word.
        ids: integers (..., 2m+1) in [0, V) or padding_id; the word itself is in the middle.
        padding_id: the id that reads as a zero vector (beyond the ends of a sentence), or None. It may be -1.

    Returns:
        x, (..., (2m+1)d).

    Raises:
        ValueError: where table is not a matrix, the windows' length is not odd, or an id is out of range.
        TypeError: where ids or padding_id are not integers.
    """
    ids = _checked_windows(ids)
    words = embedding(table, ids, padding_id=padding_id)
    return words.reshape(*ids.shape[:-1], ids.shape[-1] * words.shape[-1])


def window_lookup_vjp(
    table: ArrayLike, ids: ArrayLike, dy: ArrayLike, *, padding_id: int | None = None
) -> tuple[Array, None]:
    """Gradient of a scalar s by the table, given δ_window = ∂s/∂x ("Deriving gradient wrt words").

    Names and shapes, for one window: L (V, d), ids (2m+1,), x ((2m+1)d,) and δ_window ((2m+1)d,), the
    argument dy. Behind z = Wx + b it is δ_window = Wᵀδ (`linear`), one number for each number of the window.

    Element by element. x_{kd+c} = L_{ids_k, c}, so

        ∂s/∂L_vc = Σ_k δ_window,{kd+c} [ids_k = v].

    In words: cut δ_window into 2m+1 pieces of length d, one a word, and *add* piece k to the gradient of row
    ids_k:

        δ_window = [∇x_{t-m}; …; ∇x_t; …; ∇x_{t+m}],    ∂s/∂L_v = Σ over the places k where v stands of ∇x_k.

    A word that stands in the window twice gets both pieces. Words that are not in it get zero, so one window
    updates at most 2m+1 rows; padding is no row and gets nothing. A batch of windows adds over all of them.

    Matrix form. The window is the lookup Y = S L (`embedding_vjp`, S (2m+1, V) one-hot) seen as a vector;
    cutting δ_window is the reshape read backwards, to dY (2m+1, d), and ∂s/∂L = Sᵀ dY.

    Args:
        table: (V, d).
        ids: integers (..., 2m+1).
        dy: δ_window, (..., (2m+1)d).
        padding_id: as in `window_lookup`.

    Returns:
        (dtable, None): the table's gradient (V, d); ids are integers and have none.

    Raises:
        ValueError: as `window_lookup`, and where dy does not have the shape of x.
        TypeError: as `window_lookup`.
    """
    ids = _checked_windows(ids)
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"table must have shape (words, dimensions), got {table.shape}")
    dy = np.asarray(dy, dtype=np.float64)
    length, d = ids.shape[-1], table.shape[1]
    if dy.shape != (*ids.shape[:-1], length * d):
        raise ValueError(f"dy has shape {dy.shape} but x has shape {(*ids.shape[:-1], length * d)}")
    pieces = dy.reshape(*ids.shape, d)
    return embedding_vjp(table, ids, pieces, padding_id=padding_id)


def _checked_windows(ids: ArrayLike) -> NDArray[np.generic]:
    ids = np.asarray(ids)
    if ids.ndim == 0:
        raise ValueError("ids must have an axis of window positions, got a scalar")
    if ids.shape[-1] % 2 == 0:
        raise ValueError(f"ids must hold windows of odd length 2m+1, got shape {ids.shape}")
    return ids


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "window_lookup": [("f64[6,2]", "i64[4,3]<6"), ("f64[6,2]", "i64[4,3] in [-1,6)", "padding_id=-1")],
}

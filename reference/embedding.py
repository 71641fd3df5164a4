"""Looking up rows of a table, and adding gradients back to the rows that were read."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def embedding(table: ArrayLike, ids: ArrayLike, *, padding_id: int | None = None) -> Array:
    """The row of the table for each id: y_t = L[ids_t].

    The id equal to padding_id, whether or not it is a row of the table (it may be -1), reads as a zero
    vector.

    Args:
        table: L, (V, d), one row a word.
        ids: integers (...) in [0, V) or padding_id; a negative id does not count from the end.
        padding_id: the id that reads as zero, or None.

    Returns:
        y, (..., d).

    Raises:
        ValueError: where table is not a matrix or an id is out of range.
        TypeError: where ids or padding_id are not integers.
    """
    table, ids, read = _checked(table, ids, padding_id)
    y = np.zeros((*ids.shape, table.shape[1]))
    y[read] = table[ids[read]]
    return y


def embedding_vjp(
    table: ArrayLike, ids: ArrayLike, dy: ArrayLike, *, padding_id: int | None = None
) -> tuple[Array, None]:
    """Gradient of a scalar s by the table, given dy = ∂s/∂y.

    Names and shapes, for T ids: L (V, d), ids (T,), y (T, d), dy (T, d).

    Element by element. y_tc = L_{ids_t, c}, so ∂y_tc/∂L_vc = 1 where ids_t = v, and every other derivative is
    0:

        ∂s/∂L_vc = Σ_t dy_tc [ids_t = v].

    The sum runs over every place where word v was read: a word that occurs twice gets both gradients added, a
    word that does not occur gets zero, and so does a row that padding_id names, because zeros are read in its
    place.

    Matrix form. Let row t of the matrix S (T, V) be the one-hot vector of ids_t (zero for padding). Reading
    is the product Y = S L, (T, d) = (T, V)(V, d): a linear map with inputs L and weights S. Its gradient is
    therefore ∂s/∂L = Sᵀ dY, (V, d) = (V, T)(T, d), which is the sum above. Nobody builds S: reading is
    indexing, and Sᵀ dY is adding row t of dY to row ids_t (`np.add.at`, which adds again for an id that
    returns; `dtable[ids] += dy` would keep only one of them).

    Args:
        table: (V, d).
        ids: integers (...).
        dy: (..., d).
        padding_id: as in `embedding`.

    Returns:
        (dtable, None): the table's gradient (V, d); ids are integers and have none.

    Raises:
        ValueError: as `embedding`, and where dy does not have the shape of y.
        TypeError: as `embedding`.
    """
    table, ids, read = _checked(table, ids, padding_id)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != (*ids.shape, table.shape[1]):
        raise ValueError(f"dy has shape {dy.shape} but y has shape {(*ids.shape, table.shape[1])}")
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids[read], dy[read])
    return dtable, None


def _checked(
    table: ArrayLike, ids: ArrayLike, padding_id: int | None
) -> tuple[Array, NDArray[np.integer], NDArray[np.bool_]]:
    """The arguments as arrays, and where ids read a row rather than zeros."""
    table = np.asarray(table, dtype=np.float64)
    ids = np.asarray(ids)
    if table.ndim != 2:
        raise ValueError(f"table must have shape (words, dimensions), got {table.shape}")
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"ids must be integers, got dtype {ids.dtype}")
    size = table.shape[0]
    read = np.ones(ids.shape, dtype=bool)
    allowed = f"[0, {size})"
    if padding_id is not None:
        if not isinstance(padding_id, int | np.integer) or isinstance(padding_id, bool):
            raise TypeError(f"padding_id must be an integer, got {padding_id!r}")
        read = np.asarray(ids != int(padding_id))
        allowed += f" or {padding_id}"
    outside = read & ((ids < 0) | (ids >= size))
    if outside.any():
        raise ValueError(f"ids must lie in {allowed} ({size} rows of table), got {ids[outside].flat[0]}")
    return table, ids, read


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "embedding": [("f64[5,3]", "i64[4]<5"), ("f64[5,3]", "i64[2,4] in [-1,5)", "padding_id=-1")],
}

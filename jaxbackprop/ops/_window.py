"""The window of word vectors around a word, concatenated."""

from __future__ import annotations

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop._shapes import as_lookup
from jaxbackprop._sharding import place, vary_together, whole_rows

from ._embedding import LookupResiduals, add_to_rows, lookup_plain


def window_lookup(
    table: Float[ArrayLike, "V d"], ids: Int[ArrayLike, "... k"], *, padding_id: int | None = None
) -> Float[Array, "... kd"]:
    """Word vectors of a window of k = 2m + 1 words, concatenated.

    Gradient: dy = δ_window is cut into one piece a word and each piece is added to that word's row of dtable;
    a word that occurs twice gets both. ids have none. Keeps ids, not the table.

    Args:
        table: V word vectors of d numbers.
        ids: the words of each window, from left to right, under any leading axes; in [0, V) or padding_id.
        padding_id: reads as a zero vector, which has gradient zero; any 32-bit integer, -1 for one; static.

    Returns:
        The windows, (..., k d), of table's dtype.

    Raises:
        TypeError: where table is not floating-point or ids are no integers.
        ValueError: where table is no matrix, the window's length is even, or a concrete id is out of range. A
            traced id has no value to look at: one that is out of range reads as nan.

    Source: lecture, unit 1 "Deriving gradient wrt words".
    """
    table, ids, padding_id = as_lookup(table, ids, padding_id)
    if ids.ndim == 0 or ids.shape[-1] % 2 == 0:
        raise ValueError(f"ids must end in a window of 2m + 1 words, got shape {ids.shape}")
    (table,) = vary_together((table,), ids)
    return _window_lookup(table, ids, padding_id)


def window_lookup_plain(
    table: Float[Array, "V d"], ids: Int[Array, "... k"], padding_id: int | None
) -> Float[Array, "... kd"]:
    """The same function for autodiff to differentiate."""
    rows = lookup_plain(table, ids, padding_id)
    rows = place(rows, whole_rows(rows, 2))
    return rows.reshape(*ids.shape[:-1], ids.shape[-1] * table.shape[1])


_window_lookup = jax.custom_vjp(window_lookup_plain, nondiff_argnums=(2,))


def _window_lookup_fwd(
    table: Float[Array, "V d"], ids: Int[Array, "... k"], padding_id: int | None
) -> tuple[Float[Array, "... kd"], LookupResiduals]:
    return window_lookup_plain(table, ids, padding_id), LookupResiduals.of(table, ids)


def _window_lookup_bwd(
    padding_id: int | None, residuals: LookupResiduals, dy: Float[Array, "... kd"]
) -> tuple[Float[Array, "V d"], None]:
    ids, like, _ = residuals
    pieces = place(dy, whole_rows(dy, 1)).reshape(*ids.shape, like.shape[1])
    return add_to_rows(residuals, pieces, padding_id), None


_window_lookup.defvjp(_window_lookup_fwd, _window_lookup_bwd)

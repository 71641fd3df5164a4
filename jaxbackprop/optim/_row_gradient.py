"""The gradient with respect to a table, kept as the rows that it touches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats, as_ids
from jaxbackprop._sharding import explicit_sharding, place

from ._distinct import distinct_ids
from ._row_blocks import BLOCK, add_rows


@jax.tree_util.register_pytree_with_keys_class
class RowGradient:
    """A gradient (or an update) of a table of which few rows are not zero.

    It stands for the (V, d) array that is zero but for ``dense[ids[i]] = rows[i]``. The ids are distinct:
    rows given for the same id were added up when it was made. Shapes under jit cannot depend on how many ids
    are distinct, so there are as many as were given (more than 256 are rounded up to a multiple of it),
    distinct ones first; those left over are V, with rows of zeros.

    It is a pytree of two leaves that passes through `jax.jit` and `jax.lax.scan`. It is no array: what maps a
    function over the leaves of gradients would take ids for numbers. Sums and scalings of ids are refused
    with an error (`optax.global_norm` and with it `optax.clip_by_global_norm`, `optax.scale`,
    `optax.scale_by_learning_rate`); states of the table's shape do not fit (`optax.adam`, `optax.trace`). So
    give it to the transformations of :mod:`jaxbackprop.optim.rows`, and keep others off it with
    `optax.multi_transform` (`optax.partition`) and static labels: a tree of labels, or a function that labels
    by the names of the parameters rather than by mapping over the gradient's leaves.

    ``table + gradient`` adds its rows to a table, which is what `optax.apply_updates` does. Gradients of one
    table add up, and scale: ``0.5 * (first + second)``.

    Attributes:
        ids: int32 of shape (n,), distinct but for those that are V.
        rows: shape (n, d), of the table's dtype.
        shape: (V, d), the table's.

    Source: lecture, unit 1 "Deriving gradient wrt words": the gradient of a window's loss is sparse in the
        table.
    """

    __slots__ = ("ids", "rows", "shape")
    # numpy's arrays leave the addition to us.
    __array_ufunc__ = None

    ids: Int[Array, " n"]
    rows: Float[Array, "n d"]
    shape: tuple[int, int]

    def __init__(self, ids: Int[ArrayLike, "..."], rows: Float[ArrayLike, "... d"], shape: Sequence[int]):
        """Adds up the rows of each id.

        Args:
            ids: which rows, any shape. A traced id outside [0, V) stands for no row.
            rows: the gradient of each; added up in float32 at least.
            shape: (V, d), the table's.

        Raises:
            TypeError: ids are no integers or rows not floating-point.
            ValueError: shapes do not fit, or a concrete id is out of range.
        """
        size, features = _table_shape(shape)
        (rows,) = as_floats(rows=rows)
        ids = as_ids("ids", ids, size, besides=size, of="rows of the table")
        if rows.shape != (*ids.shape, features):
            raise ValueError(
                f"rows has shape {rows.shape} but ids of shape {ids.shape} and a table of {features} "
                f"columns need {(*ids.shape, features)}"
            )
        distinct, sums = _combined(ids, rows, size)
        self._set(distinct, sums, (size, features))

    def _set(self, ids: Any, rows: Any, shape: tuple[int, int]) -> None:
        for name, value in zip(self.__slots__, (ids, rows, shape), strict=True):
            object.__setattr__(self, name, value)

    @classmethod
    def _of(cls, ids: Any, rows: Any, shape: tuple[int, int]) -> RowGradient:
        """From distinct ids."""
        made = object.__new__(cls)
        made._set(ids, rows, shape)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a RowGradient cannot be changed: {name} is read-only")

    def __reduce__(self) -> tuple:
        return RowGradient._of, (self.ids, self.rows, self.shape)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the rows, and of the table."""
        return self.rows.dtype

    @property
    def ndim(self) -> int:
        """Of the dense array: 2."""
        return 2

    def with_rows(self, rows: Float[Array, "n d"]) -> RowGradient:
        """The same ids with other rows; those of ids V must be zero."""
        return self._of(self.ids, rows, self.shape)

    def dense(self) -> Float[Array, "V d"]:
        """The whole array."""
        return jnp.zeros(self.shape, self.dtype) + self

    def __radd__(self, table: ArrayLike) -> Array:
        """The table with the rows added; in place where its buffer may be used up."""
        if np.shape(table) != self.shape:
            raise ValueError(f"a gradient of a table of shape {self.shape} was added to {np.shape(table)}")
        whole = jnp.asarray(table)
        return add_rows(whole, self.ids, self.rows.astype(whole.dtype))

    def __add__(self, other: object) -> RowGradient:
        if not isinstance(other, RowGradient):
            return NotImplemented
        if other.shape != self.shape:
            raise ValueError(f"gradients of tables of shapes {self.shape} and {other.shape} do not add up")
        ids = jnp.concatenate([self.ids, other.ids])
        return RowGradient(ids, jnp.concatenate([self.rows, other.rows]), self.shape)

    def __mul__(self, factor: ArrayLike) -> RowGradient:
        if np.ndim(factor) != 0:
            return NotImplemented
        return self.with_rows(self.rows * jnp.asarray(factor, self.dtype))

    __rmul__ = __mul__

    def __truediv__(self, divisor: ArrayLike) -> RowGradient:
        if np.ndim(divisor) != 0:
            return NotImplemented
        return self.with_rows(self.rows / jnp.asarray(divisor, self.dtype))

    def __neg__(self) -> RowGradient:
        return self.with_rows(-self.rows)

    def __repr__(self) -> str:
        return f"RowGradient(ids={_brief(self.ids)}, rows={_brief(self.rows)}, shape={self.shape})"

    def tree_flatten_with_keys(self) -> tuple[tuple, tuple[int, int]]:
        """For jax: two leaves, and the shape."""
        key = jax.tree_util.GetAttrKey
        return ((key("ids"), self.ids), (key("rows"), self.rows)), self.shape

    @classmethod
    def tree_unflatten(cls, shape: tuple[int, int], leaves: tuple[Any, Any]) -> RowGradient:
        """For jax, which also passes leaves that are no arrays; arrays that cannot be ids are refused."""
        ids, rows = leaves
        if isinstance(ids, jax.Array) and not (
            ids.ndim and (jnp.issubdtype(ids.dtype, jnp.integer) or ids.dtype == jax.dtypes.float0)
        ):
            raise TypeError(
                f"a function was mapped over a RowGradient of a table of shape {shape} as if its ids were "
                f"numbers, and made {ids.dtype} of shape {ids.shape} of them: use what "
                "jaxbackprop.optim.rows has (rows.global_norm, rows.clip_by_global_norm, rows.sgd, ...), and "
                "keep other transformations off it with optax.multi_transform and static labels"
            )
        return cls._of(ids, rows, shape)


def _table_shape(shape: Sequence[int]) -> tuple[int, int]:
    sizes = tuple(shape)
    if len(sizes) != 2 or any(size < 0 for size in sizes):
        raise ValueError(f"shape must be a table's, (rows, columns), got {sizes}")
    if sizes[0] >= 2**31 - 1:
        raise ValueError(f"a table may have up to {2**31 - 2} rows, got {sizes[0]}")
    return int(sizes[0]), int(sizes[1])


@partial(jax.jit, static_argnames="size")
def _combined(ids: Array, rows: Array, size: int) -> tuple[Array, Array]:
    """Distinct ids, and the sum of the rows of each."""
    ids, rows = _whole(ids).reshape(-1), _whole(rows).reshape(-1, rows.shape[-1])
    distinct, places = distinct_ids(ids, size)
    count = ids.shape[0]
    length = count if count <= BLOCK else -(-count // BLOCK) * BLOCK
    distinct = jnp.pad(distinct, (0, length - count), constant_values=size)
    places = jnp.where(places == count, length, places)
    wide = accumulator(rows.dtype)
    sums = jnp.zeros((length, rows.shape[1]), wide).at[places].add(rows.astype(wide), mode="drop")
    return distinct, sums.astype(rows.dtype)


def _whole(x: Array) -> Array:
    """The array whole on every device of an Explicit mesh: each of a batch's few rows may go anywhere."""
    sharding = explicit_sharding(x)
    if sharding is None:
        return x
    return place(x, NamedSharding(sharding.mesh, PartitionSpec(*[None] * x.ndim)))


def _brief(leaf: object) -> str:
    if isinstance(leaf, jax.Array | np.ndarray):
        return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    return repr(leaf)

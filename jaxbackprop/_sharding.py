"""Where results live when arrays are split over devices: a cotangent lives where its argument lives."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec, reshard

# The mesh axes that split one axis of an array.
_Entry = str | tuple[str, ...] | None


def explicit_sharding(x: jax.Array) -> NamedSharding | None:
    """The sharding in x's type where its mesh has Explicit axes, else None (the compiler decides).

    An Explicit mesh refuses a contraction over a split axis unless told where the result lives.
    """
    sharding = jax.typeof(x).sharding
    return sharding if AxisType.Explicit in sharding.mesh.axis_types else None


def place(x: jax.Array, sharding: NamedSharding | None) -> jax.Array:
    """The array resharded on an Explicit mesh; where the sharding is None, as it is."""
    return x if sharding is None else reshard(x, sharding)


def product_sharding(x: jax.Array, W: jax.Array) -> NamedSharding | None:
    """Where y = x Wᵀ lives on an Explicit mesh: rows as in x, columns as the rows of W.

    A mesh axis that splits both (fully sharded data parallelism) stays with the rows of x: W is gathered.
    """
    return _rows_and_columns(x, -1, W, 0)


def rows_sharding(table: jax.Array, ids: jax.Array) -> NamedSharding | None:
    """Where table[ids] lives on an Explicit mesh: as ids, then as the columns of table."""
    return _rows_and_columns(ids, None, table, 1)


def _rows_and_columns(x: jax.Array, end: int | None, other: jax.Array, axis: int) -> NamedSharding | None:
    """The leading axes of x, up to `end`, then one axis of the other; a mesh axis in both stays with x."""
    sharding = explicit_sharding(x) or explicit_sharding(other)
    if sharding is None:
        return None
    rows = tuple(jax.typeof(x).sharding.spec)[:end]
    columns = tuple(jax.typeof(other).sharding.spec)[axis]
    return NamedSharding(sharding.mesh, PartitionSpec(*rows, unless_used(columns, *rows)))


def unless_used(entry: _Entry, *entries: _Entry) -> _Entry:
    """An entry of a PartitionSpec, or None where other entries have its mesh axes already."""
    used = {name for other in entries for name in _names(other)}
    return None if used & set(_names(entry)) else entry


def last_axis_sharding(x: jax.Array) -> NamedSharding | None:
    """On an Explicit mesh, the sharding of a vector along the last axis of x."""
    sharding = explicit_sharding(x)
    return None if sharding is None else NamedSharding(sharding.mesh, PartitionSpec(tuple(sharding.spec)[-1]))


def whole_rows(x: jax.Array, axes: int) -> NamedSharding | None:
    """The sharding of x on an Explicit mesh with its last axes whole on each device, for a reshape."""
    sharding = explicit_sharding(x)
    if sharding is None:
        return None
    return NamedSharding(sharding.mesh, PartitionSpec(*tuple(sharding.spec)[:-axes], *(None,) * axes))


def with_axis(sharding: NamedSharding | None, axis: int) -> NamedSharding | None:
    """The sharding of an array with one more axis, at a position from 0, whole on each device."""
    if sharding is None:
        return None
    spec = tuple(sharding.spec)
    return NamedSharding(sharding.mesh, PartitionSpec(*spec[:axis], None, *spec[axis:]))


def without_axis(sharding: NamedSharding | None, axis: int) -> NamedSharding | None:
    """The sharding of an array that lacks an axis, which may be counted from the end."""
    if sharding is None:
        return None
    spec = list(sharding.spec)
    del spec[axis]
    return NamedSharding(sharding.mesh, PartitionSpec(*spec))


def _names(entry: _Entry) -> tuple[str, ...]:
    if entry is None:
        return ()
    return entry if isinstance(entry, tuple) else (entry,)


def vary_together(floats: tuple[jax.Array, ...], *others: jax.Array) -> tuple[jax.Array, ...]:
    """Floats marked as differing over every mapped axis over which any of the arrays differs.

    Inside `jax.shard_map` a cotangent must differ over the same axes as its argument, and a weight that is
    the same everywhere receives another contribution from every shard. The mark's own transpose adds them.
    """
    varying = [jax.typeof(x).manual_axis_type.varying for x in (*floats, *others)]
    axes = frozenset().union(*varying)
    return tuple(
        jax.lax.pcast(x, tuple(sorted(axes - own)), to="varying") if axes - own else x
        for x, own in zip(floats, varying, strict=False)
    )


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Like:
    """Shape, dtype and Explicit sharding of an argument: what a rule must know of one it need not keep."""

    shape: tuple[int, ...]
    dtype: np.dtype
    sharding: NamedSharding | None

    @classmethod
    def of(cls, x: jax.Array) -> Like:
        return cls(x.shape, x.dtype, explicit_sharding(x))


def witness(x: jax.Array) -> jax.Array | None:
    """The array as a residual where devices are many, for `zeros_split_as` to follow; else None."""
    return x if jax.device_count() > 1 else None


def zeros_split_as(x: jax.Array | None, like: Like, dtype: np.dtype) -> jax.Array:
    """Zeros of `like`'s shape, split over devices as x is.

    An Auto mesh keeps shardings out of types: the compiler spreads them along the operands of an operation. A
    selection that never selects x is folded away, but only after it has passed x's sharding on. Plain zeros
    would come replicated, and every device would add up the gradient of the whole table.
    """
    zeros = jnp.zeros(like.shape, dtype, device=like.sharding)
    return zeros if x is None else jnp.where(jnp.zeros((), jnp.bool_), x.astype(dtype), zeros)

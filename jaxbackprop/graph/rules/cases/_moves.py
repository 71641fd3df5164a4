"""What puts entries elsewhere."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxbackprop._specs import real

from ._row import Row

A = real((3, 4))
CUBE = real((2, 3, 4))
NUMBER = real(())
EMPTY = real((0, 4))


def _constrained(x: jax.Array) -> jax.Array:
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    return lax.with_sharding_constraint(x, jax.NamedSharding(mesh, jax.P("rows")))


def _resharded(x: jax.Array) -> jax.Array:
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Explicit,))
    return jax.sharding.reshard(x, jax.NamedSharding(mesh, jax.P("rows"))) * 2


def _first_and_last(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    first, _, last = lax.split(x, (1, 2, 1), axis=1)
    return first, last


ROWS: tuple[Row, ...] = (
    Row("reshape", lambda x: lax.reshape(x, (2, 6)), (A,)),
    Row(
        "reshape",
        lambda x: lax.reshape(x, (4, 6), dimensions=(2, 0, 1)),
        (CUBE,),
        say="axes in another order",
    ),
    Row("reshape", lambda x: lax.reshape(x, (1, 1)), (NUMBER,), say="of a number"),
    Row("reshape", lambda x: lax.reshape(x, (2, 0)), (EMPTY,), say="empty"),
    Row("squeeze", lambda x: lax.squeeze(x, (0, 2)), (real((1, 3, 1)),)),
    Row("broadcast_in_dim", lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (1, 2)), (A,)),
    Row(
        "broadcast_in_dim",
        lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (0, 2)),
        (real((1, 4)),),
        say="size 1",
    ),
    Row(
        "broadcast_in_dim",
        lambda x: lax.broadcast_in_dim(x, (2, 1, 3, 1), (1, 2)),
        (real((1, 1)),),
        say="size 1, kept and repeated",
    ),
    Row("broadcast_in_dim", lambda x: lax.broadcast_in_dim(x, (3, 4), ()), (NUMBER,), say="of a number"),
    Row("broadcast_in_dim", lambda x: lax.broadcast_in_dim(x, (3, 0), (0,)), (real((3,)),), say="to nothing"),
    Row("broadcast_in_dim", lambda x: lax.expand_dims(x, (0, 2)), (A,), say="new axes"),
    Row("tile", lambda x: lax.tile(x, (2, 3)), (A,)),
    Row("tile", lambda x: lax.tile(x, (1, 0)), (A,), say="not once"),
    Row("transpose", lambda x: lax.transpose(x, (2, 0, 1)), (CUBE,)),
    Row("rev", lambda x: lax.rev(x, (0, 2)), (CUBE,)),
    Row("concatenate", lambda *xs: lax.concatenate(xs, 1), (A, real((3, 1)), real((3, 0)), real((3, 2)))),
    Row("concatenate", lambda x, y: lax.concatenate([x, y, x], 0), (A, real((2, 4))), say="one twice"),
    Row("stack", lambda *xs: jnp.stack(xs, 1), (A, A, A)),
    Row("stack", lambda x, y: jnp.stack([x, y, x]), (NUMBER, NUMBER), say="of numbers"),
    Row("unstack", lambda x: jnp.unstack(x, axis=1), (A,)),
    Row("unstack", lambda x: jnp.unstack(x, axis=0)[1], (A,), say="one used"),
    Row("split", lambda x: lax.split(x, (1, 0, 3), axis=1), (A,)),
    Row("split", _first_and_last, (A,), say="a part unused"),
    Row("pad", lambda x, c: lax.pad(x, c, [(1, 2, 0), (0, 3, 0)]), (A, NUMBER)),
    Row("pad", lambda x, c: lax.pad(x, c, [(2, 0, 1), (1, 1, 2)]), (A, NUMBER), say="between the entries"),
    Row("pad", lambda x, c: lax.pad(x, c, [(-1, 2, 0), (1, -2, 0)]), (A, NUMBER), say="negative"),
    Row(
        "pad",
        lambda x, c: lax.pad(x, c, [(-1, 1, 1), (-2, -1, 2)]),
        (A, NUMBER),
        say="negative, between the entries",
    ),
    Row("pad", lambda x, c: lax.pad(x, c, [(1, 1, 3), (0, 1, 0)]), (EMPTY, NUMBER), say="empty"),
    Row("slice", lambda x: lax.slice(x, (1, 0), (3, 3)), (A,)),
    Row("slice", lambda x: lax.slice(x, (1, 0), (8, 4), (3, 2)), (real((9, 5)),), say="strides"),
    Row("slice", lambda x: lax.slice(x, (2, 1), (2, 4), (2, 1)), (A,), say="nothing"),
    Row("slice", lambda x: lax.slice_in_dim(x, 0, 2) + lax.slice_in_dim(x, 1, 3), (A,), say="that overlap"),
    Row("sharding_constraint", _constrained, (A,)),
    Row("reshard", _resharded, (A,)),
)

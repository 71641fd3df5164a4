"""What puts entries elsewhere: the gradient goes back to where they came from, and adds up over copies."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from .._graph import ADDER, ROUTER
from ._rule import Local, rule


@rule("reshape", formula="dx = dy in the shape of x")
def _reshape(at: Local, i: int, dy: jax.Array) -> jax.Array:
    shape, order = at.operands[0].shape, at.params.get("dimensions")
    if order is None:
        return lax.reshape(dy, shape)
    return lax.transpose(lax.reshape(dy, [shape[d] for d in order]), _inverse(order))


@rule("squeeze", formula="dx = dy in the shape of x")
def _squeeze(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.reshape(dy, at.operands[0].shape)


@rule("broadcast_in_dim", formula="dx = sum of dy over the copies of x", gate=ADDER)
def _broadcast_in_dim(at: Local, i: int, dy: jax.Array) -> jax.Array:
    shape = at.operands[0].shape
    kept = {
        d for d, size in zip(at.params["broadcast_dimensions"], shape, strict=True) if size == dy.shape[d]
    }
    copies = [d for d in range(dy.ndim) if d not in kept]
    return lax.reshape(lax.reduce_sum(dy, copies), shape)


@rule("tile", formula="dx = sum of dy over the copies of x", gate=ADDER)
def _tile(at: Local, i: int, dy: jax.Array) -> jax.Array:
    pairs = zip(at.params["reps"], at.operands[0].shape, strict=True)
    apart = lax.reshape(dy, [size for pair in pairs for size in pair])
    return lax.reduce_sum(apart, range(0, apart.ndim, 2))


@rule("transpose", formula="dx = dy with its axes put back")
def _transpose(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.transpose(dy, _inverse(at.params["permutation"]))


@rule("rev", formula="dx = dy reversed")
def _rev(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.rev(dy, at.params["dimensions"])


@rule("concatenate", formula="each operand gets its part of dy")
def _concatenate(at: Local, i: int, dy: jax.Array) -> jax.Array:
    axis = at.params["dimension"]
    start = sum(operand.shape[axis] for operand in at.operands[:i])
    return lax.slice_in_dim(dy, start, start + at.operands[i].shape[axis], axis=axis)


@rule("split", formula="dx = the dy put together")
def _split(at: Local, i: int, *dys: jax.Array) -> jax.Array:
    return lax.concatenate(dys, at.params["axis"])


@rule("stack", formula="each operand gets its part of dy")
def _stack(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.index_in_dim(dy, i, at.params["axis"], keepdims=False)


@rule("unstack", formula="dx = the dy put together")
def _unstack(at: Local, i: int, *dys: jax.Array) -> jax.Array:
    return jnp.stack(dys, at.params["axis"]) if dys else jnp.zeros(at.operands[0].shape, at.operands[0].dtype)


@rule("slice", formula="dx = dy, with zeros around it", gate=ROUTER)
def _slice(at: Local, i: int, dy: jax.Array) -> jax.Array:
    starts = at.params["start_indices"]
    strides = at.params["strides"] or (1,) * len(starts)
    config = []
    for size, taken, start, stride in zip(at.operands[0].shape, dy.shape, starts, strides, strict=True):
        end = start + (taken - 1) * stride + 1 if taken else start
        config.append((start, size - end, stride - 1))
    return lax.pad(dy, jnp.zeros((), dy.dtype), config)


@rule("pad", formula="da = dy without the padding, db = sum of dy less sum of da")
def _pad(at: Local, i: int, dy: jax.Array) -> jax.Array:
    config = at.params["padding_config"]
    whole = lax.pad(dy, jnp.zeros((), dy.dtype), [(-low, -high, 0) for low, high, _ in config])
    da = lax.slice(whole, [0] * dy.ndim, whole.shape, [inner + 1 for _, _, inner in config])
    # The padding alone would be summed to more digits, but not in one pass over dy: XLA writes down its parts
    # first.
    return da if i == 0 else lax.reduce_sum(dy, range(dy.ndim)) - lax.reduce_sum(da, range(dy.ndim))


@rule("sharding_constraint", formula="dx = dy")
def _sharding_constraint(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.with_sharding_constraint(dy, at.params["sharding"])


@rule("reshard", formula="dx = dy, where x lies")
def _reshard(at: Local, i: int, dy: jax.Array) -> jax.Array:
    sharding = jax.typeof(at.x[0]).sharding
    return dy if sharding.mesh.empty else jax.sharding.reshard(dy, sharding)


def _inverse(permutation: Sequence[int]) -> list[int]:
    return sorted(range(len(permutation)), key=permutation.__getitem__)

"""Scaled dot-product attention, which keeps no weights: they are made again in the backward pass."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_finite, as_floats, as_mask, broadcasts_to
from jaxbackprop._sharding import explicit_sharding, place, unless_used, vary_together

from ._dropout import as_key, as_rate, drops_all, keep_mask, scale_kept
from ._exponentials import at_largest, exponential_of_difference, share, shifted_exponentials


def attention(
    query: Float[ArrayLike, "... T N H"],
    key: Float[ArrayLike, "... S N H"],
    value: Float[ArrayLike, "... S N D"],
    mask: Bool[ArrayLike, "..."] | None = None,
    dropout_key: ArrayLike | None = None,
    *,
    dropout_rate: float = 0.0,
    scale: float | None = None,
) -> Float[Array, "... T N D"]:
    """Every query's mean of the values, y_t = Σ_s p_ts v_s with p_t = softmax over s of scale · q_t·k_s.

    Gradient, with u_ts the weights p_ts after dropout: dv_s = Σ_t u_ts dy_t; du_ts = dy_t·v_s, and dp through
    the same dropout mask; dz_ts = p_ts (dp_ts - Σ_j p_tj dp_tj); dq_t = scale Σ_s dz_ts k_s and
    dk_s = scale Σ_t dz_ts q_t. Where p is near 1 the bracket cancels, so dp is taken from the dp of the
    heaviest weight first, which changes nothing else. Keeps the arguments and two numbers a query and head,
    the largest score and the sum of the exponentials, from which p is made again: never the T × S weights.

    Args:
        query: T queries of H features in each of N heads, under any leading axes.
        key: S keys, under the same leading axes.
        value: S values of D features.
        mask: True where a query may attend to a key; broadcasts to (..., N, T, S). A query with nothing to
            attend to gets 0 and passes nothing. What no query may attend to is not read, whatever it holds.
        dropout_key: a JAX random key, from which the mask of the weights is drawn; needed where some are
            dropped and some are kept.
        dropout_rate: probability of dropping a weight, in [0, 1]; static.
        scale: of the scores; None for 1/√H; static.

    Returns:
        The means, of query's dtype. Half-precision products and sums are in float32; p and dz are rounded to
        query's dtype before they are multiplied.

    Raises:
        TypeError: where dtypes differ or are not floating-point, mask is not bool, dropout_rate or scale is
            traced, or dropout_key is no single random key.
        ValueError: where shapes do not fit, or dropout_rate or scale is out of range.

    Source: Vaswani et al. 2017; BERT, which the lecture names in unit 1 "A pitfall when retraining word
        vectors", is made of it.
    """
    query, key, value = as_floats(query=query, key=key, value=value)
    _check_shapes(query, key, value)
    weights = (*query.shape[:-3], query.shape[-2], query.shape[-3], key.shape[-3])
    others = []
    if mask is not None:
        mask = as_mask("mask", mask)
        if not broadcasts_to(mask.shape, weights):
            raise ValueError(
                f"mask of shape {mask.shape} does not broadcast to the weights' shape {weights} "
                f"(..., heads, queries, keys)"
            )
        mask = jnp.expand_dims(mask, range(len(weights) - mask.ndim))
        others.append(mask)
    rate = as_rate("dropout_rate", dropout_rate)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else as_finite("scale", scale)
    if drops_all(rate) or key.shape[-3] == 0:
        at = _Placement.of(query, key, value)
        return jnp.zeros((*query.shape[:-1], value.shape[-1]), query.dtype, device=at.result)
    if rate > 0:
        dropout_key = as_key(dropout_key, "dropout_key")
        others.append(dropout_key)
    query, key, value = vary_together((query, key, value), *others)
    return _attention(query, key, value, mask, dropout_key if rate > 0 else None, rate, scale)


def _check_shapes(query: Array, key: Array, value: Array) -> None:
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim < 3:
            raise ValueError(f"{name} must have shape (..., steps, heads, features), got {array.shape}")
    *leading, _, heads, features = query.shape
    steps = key.shape[-3]
    if features == 0:
        raise ValueError(f"query must end in at least one feature, got shape {query.shape}")
    for name, array, expected, beside in (
        ("key", key, (*leading, steps, heads, features), f"query of shape {query.shape}"),
        ("value", value, (*leading, steps, heads, value.shape[-1]), f"key of shape {key.shape}"),
    ):
        if array.shape != expected:
            raise ValueError(f"{name} must have shape {expected} for {beside}, got {array.shape}")


def attention_plain(
    query: Float[Array, "... T N H"],
    key: Float[Array, "... S N H"],
    value: Float[Array, "... S N D"],
    mask: Bool[Array, "..."] | None,
    dropout_key: Array | None,
    rate: float,
    scale: float | None,
) -> Float[Array, "... T N D"]:
    """The same function for autodiff to differentiate."""
    z = _einsum("...tnh,...snh->...nts", query, key)
    z = z / math.sqrt(query.shape[-1]) if scale is None else scale * z
    if mask is None:
        p = jax.nn.softmax(z)
    else:
        mask = jnp.broadcast_to(mask, z.shape)
        # A softmax of nothing would be nan, which no factor of 0 takes back.
        z = jnp.where(mask, z, jnp.where(jnp.any(mask, -1, keepdims=True), -jnp.inf, jnp.zeros((), z.dtype)))
        p = jnp.where(mask, jax.nn.softmax(z), jnp.zeros((), z.dtype))
    if dropout_key is not None:
        p = scale_kept(p, keep_mask(dropout_key, p, rate), rate)
    elif rate > 0:
        p = jnp.zeros_like(p)
    return _einsum("...nts,...snd->...tnd", p.astype(value.dtype), value).astype(query.dtype)


class _Residuals(NamedTuple):
    query: Float[Array, "... T N H"]
    key: Float[Array, "... S N H"]
    value: Float[Array, "... S N D"]
    mask: Bool[Array, "..."] | None
    dropout_key: Array | None
    m: Float[Array, "... N T 1"]  # the largest score of each query and head
    total: Float[Array, "... N T 1"]  # the sum of exp(z - m) over the keys


def _attention_fwd(
    query: Float[Array, "... T N H"],
    key: Float[Array, "... S N H"],
    value: Float[Array, "... S N D"],
    mask: Bool[Array, "..."] | None,
    dropout_key: Array | None,
    rate: float,
    scale: float,
) -> tuple[Float[Array, "... T N D"], _Residuals]:
    at = _Placement.of(query, key, value)
    q, k, v, z = _scores(query, key, value, mask, scale, at)
    exponentials, m = shifted_exponentials(z, -1)
    total = jnp.sum(exponentials, -1, keepdims=True)
    u = _thinned(share(exponentials, total), dropout_key, rate)
    y = _einsum("...nts,...snd->...tnd", u.astype(v.dtype), v, at.result).astype(query.dtype)
    return y, _Residuals(query, key, value, mask, dropout_key, m, total)


def _attention_value(*args: Any) -> Float[Array, "... T N D"]:
    return _attention_fwd(*args)[0]


_attention = jax.custom_vjp(_attention_value, nondiff_argnums=(5, 6))


def _attention_bwd(
    rate: float, scale: float, residuals: _Residuals, dy: Float[Array, "... T N D"]
) -> tuple[Float[Array, "... T N H"], Float[Array, "... S N H"], Float[Array, "... S N D"], None, None]:
    query, key, value, mask, dropout_key, m, total = residuals
    dtype = query.dtype
    at = _Placement.of(query, key, value)
    q, k, v, z = _scores(query, key, value, mask, scale, at)
    p = share(exponential_of_difference(z, m), total)
    dy = dy.astype(dtype)
    u = _thinned(p, dropout_key, rate).astype(dtype)
    dv = _einsum("...nts,...tnd->...snd", u, dy, at.values)
    dp = _thinned(_einsum("...tnd,...snd->...nts", dy, v, at.scores), dropout_key, rate)
    dp = dp - at_largest(dp, z, -1)
    dz = (p * (dp - jnp.sum(p * dp, -1, keepdims=True))).astype(dtype)
    dq = scale * _einsum("...nts,...snh->...tnh", dz, k, at.queries)
    dk = scale * _einsum("...nts,...tnh->...snh", dz, q, at.keys)
    return (
        place(dq.astype(dtype), explicit_sharding(query)),
        place(dk.astype(dtype), explicit_sharding(key)),
        place(dv.astype(dtype), explicit_sharding(value)),
        None,
        None,
    )


_attention.defvjp(_attention_fwd, _attention_bwd)

# ---- its parts --------------------------------------------------------------------------------------------


def _scores(
    query: Array, key: Array, value: Array, mask: Array | None, scale: float, at: _Placement
) -> tuple[Array, Array, Array, Array]:
    """Queries, keys and values as they are read, and the scores z, -inf where a key is masked."""
    if mask is not None:
        mask = place(mask, at.broadcast(mask))
    query, key, value = _read(query, place(key, at.keys), place(value, at.values), mask)
    z = scale * _einsum("...tnh,...snh->...nts", query, key, at.scores)
    if mask is not None:
        z = jnp.where(mask, z, jnp.full((), -jnp.inf, z.dtype))
    return query, key, value, z


def _read(query: Array, key: Array, value: Array, mask: Array | None) -> tuple[Array, Array, Array]:
    """0 for queries that attend to nothing, and for keys and values that no query attends to.

    Their weights are 0, but 0 · nan is nan.
    """
    if mask is None:
        return query, key, value
    zero = jnp.zeros((), query.dtype)
    attends = jnp.expand_dims(jnp.swapaxes(jnp.any(mask, -1), -1, -2), -1)
    attended = jnp.expand_dims(jnp.swapaxes(jnp.any(mask, -2), -1, -2), -1)
    return (
        jnp.where(attends, query, zero),
        jnp.where(attended, key, zero),
        jnp.where(attended, value, zero),
    )


def _thinned(weights: Array, key: Array | None, rate: float) -> Array:
    """Dropout, or its transpose: the map is linear and its own."""
    return weights if key is None else scale_kept(weights, keep_mask(key, weights, rate), rate)


def _einsum(subscripts: str, x: Array, y: Array, sharding: NamedSharding | None = None) -> Array:
    return jnp.einsum(subscripts, x, y, preferred_element_type=accumulator(x.dtype), out_sharding=sharding)


class _Placement(NamedTuple):
    """Where everything lives on an Explicit mesh: as the queries, with every key where it is needed."""

    queries: NamedSharding | None = None
    keys: NamedSharding | None = None
    values: NamedSharding | None = None
    scores: NamedSharding | None = None
    result: NamedSharding | None = None

    @classmethod
    def of(cls, query: Array, key: Array, value: Array) -> _Placement:
        sharding = explicit_sharding(query) or explicit_sharding(key) or explicit_sharding(value)
        if sharding is None:
            return cls()
        *leading, steps, heads, features = jax.typeof(query).sharding.spec
        # A mesh axis that splits queries already cannot split the features of their results.
        columns = unless_used(jax.typeof(value).sharding.spec[-1], *leading, steps, heads)
        specs = (
            (*leading, steps, heads, features),
            (*leading, None, heads, features),
            (*leading, None, heads, columns),
            (*leading, heads, steps, None),
            (*leading, steps, heads, columns),
        )
        return cls(*(NamedSharding(sharding.mesh, PartitionSpec(*spec)) for spec in specs))

    def broadcast(self, mask: Array) -> NamedSharding | None:
        """Where a mask lives that broadcasts to the scores."""
        if self.scores is None:
            return None
        spec = (s if n > 1 else None for s, n in zip(self.scores.spec, mask.shape, strict=True))
        return NamedSharding(self.scores.mesh, PartitionSpec(*spec))

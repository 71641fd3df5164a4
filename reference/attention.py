"""Scaled dot-product attention (Vaswani et al. 2017), as in the lecture's BERT, with dropout on weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.dropout import dropout

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    mask: ArrayLike | None = None,
    dropout_key: ArrayLike | int | None = None,
    *,
    dropout_rate: float = 0.0,
    scale: float | None = None,
) -> Array:
    """Every query's mean of the values, y_t = Σ_s p_ts v_s with p_t = softmax over s of a q_t·k_s.

    The largest score of a query is subtracted before the exponential, so that none overflows (`softmax`).
    Dropout thins the weights p, not the scores: some are set to 0, the others divided by 1 - dropout_rate.

    Args:
        query: q, (..., T, N, H): T queries in each of N heads.
        key: k, (..., S, N, H).
        value: v, (..., S, N, D).
        mask: bool, of a shape that broadcasts to (..., N, T, S), or None. Where it is False the weight is 0.
            A query with nothing to attend to gets 0. What no query may attend to is not read: padding may
            hold anything.
        dropout_key: as the key of `reference.dropout`, for the weights in the shape (..., N, T, S); may be
            None where no mask is drawn (dropout_rate 0 or 1).
        dropout_rate: the probability of dropping a weight, in [0, 1].
        scale: a, a number; None for 1/√H, which gives scores of variance 1 where queries and keys have
            independent entries of mean 0 and variance 1.

    Returns:
        y, (..., T, N, D).

    Raises:
        ValueError: where shapes do not fit, or dropout_rate, dropout_key or scale is out of range.
        TypeError: where mask is not bool or dropout_key holds no integers.
    """
    query, key, value, allowed, scale = _checked(query, key, value, mask, scale)
    weights = _thinned(_weights(query, key, allowed, scale), dropout_key, dropout_rate)
    return np.einsum("...nts,...snd->...tnd", weights, value)


def attention_vjp(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    mask: ArrayLike | None,
    dropout_key: ArrayLike | int | None,
    dy: ArrayLike,
    *,
    dropout_rate: float = 0.0,
    scale: float | None = None,
) -> tuple[Array, Array, Array, None, None]:
    """Gradients of a scalar L by queries, keys and values, given dy = ∂L/∂y.

    Names and shapes, for one head: Q (T, H), K (S, H), V (S, D), and step by step

        Z = a Q Kᵀ      (T, S)      scores
        p_t = softmax(z_t)          row by row, over the keys that the mask allows
        U = M ∘ P       (T, S)      M_ts = 0 where dropped, else 1/(1 - rate); a constant, given the key
        Y = U V         (T, D)

    Backwards, each product as in `reference.linear`:

        ∂L/∂V = Uᵀ dY         (S, D) = (S, T)(T, D)      a value receives from all queries, as they weigh it
        dU    = dY Vᵀ         (T, S) = (T, D)(D, S)
        dP    = M ∘ dU                                   through the same mask
        dZ    = softmax's, row by row (below)
        ∂L/∂Q = a dZ K        (T, H) = (T, S)(S, H)
        ∂L/∂K = a dZᵀ Q       (S, H) = (S, T)(T, H)

    Softmax's Jacobian diag(p) - p pᵀ (`softmax_jacobian`) is symmetric. Its product with a row g = dp_t needs
    no S × S matrix:

        dz = (diag(p) - p pᵀ) g = p ∘ (g - p·g):

    a key's score rises in worth where its value serves L better than the weighted mean of all values does.

    In floating point g_w - p·g cancels for a winner w with p_w near 1, where the true gradient is tiny. The
    Jacobian maps 1 to 0, so g_w may be taken from all of g first. Then the winner's own term is 0 and its
    gradient the sum of what the others lose, -p_w Σ_{j≠w} p_j (g_j - g_w), where nothing cancels.

    The mask. A key that is not allowed has p = 0, hence dz = 0: no gradient. A query with nothing to attend
    to has p = 0 throughout, y = 0 whatever its arguments are, and passes nothing.

    Args:
        query: (..., T, N, H).
        key: (..., S, N, H).
        value: (..., S, N, D).
        mask: as in `attention`.
        dropout_key: as in `attention`; the same key draws the same M again.
        dy: (..., T, N, D).
        dropout_rate: as in `attention`.
        scale: as in `attention`.

    Returns:
        (dquery, dkey, dvalue, None, None) in the shapes of the arguments; mask and key have none.

    Raises:
        ValueError: as `attention`, and where dy does not have the shape of y.
        TypeError: as `attention`.
    """
    query, key, value, allowed, scale = _checked(query, key, value, mask, scale)
    dy = np.asarray(dy, dtype=np.float64)
    shape = (*query.shape[:-1], value.shape[-1])
    if dy.shape != shape:
        raise ValueError(f"dy has shape {dy.shape} but y has shape {shape}")
    weights = _weights(query, key, allowed, scale)
    dvalue = np.einsum("...nts,...tnd->...snd", _thinned(weights, dropout_key, dropout_rate), dy)
    dthinned = np.einsum("...tnd,...snd->...nts", dy, value)
    # Thinning is linear and its own transpose.
    dscores = _through_softmax(weights, _thinned(dthinned, dropout_key, dropout_rate))
    dquery = scale * np.einsum("...nts,...snh->...tnh", dscores, key)
    dkey = scale * np.einsum("...nts,...tnh->...snh", dscores, query)
    return dquery, dkey, dvalue, None, None


def _weights(query: Array, key: Array, allowed: Mask, scale: float) -> Array:
    """The softmax of the scores over the keys that are allowed, (..., N, T, S); 0 where there is none."""
    scores = np.where(allowed, np.einsum("...tnh,...snh->...nts", scale * query, key), -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(largest == -np.inf, 0.0, largest))
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total == 0.0, 1.0, total)


def _through_softmax(p: Array, g: Array) -> Array:
    """The product of softmax's Jacobian with g along the last axis, relative to the winner's g."""
    if p.shape[-1] == 0:
        return np.zeros_like(p)
    g = g - np.take_along_axis(g, p.argmax(axis=-1, keepdims=True), axis=-1)
    return p * (g - (p * g).sum(axis=-1, keepdims=True))


def _thinned(weights: Array, dropout_key: ArrayLike | int | None, dropout_rate: float) -> Array:
    try:
        return dropout(weights, dropout_key, dropout_rate)
    except (TypeError, ValueError) as error:
        # Its messages begin with its own names of the arguments: key and rate.
        raise type(error)(f"dropout_{error}") from None


def _checked(
    query: ArrayLike, key: ArrayLike, value: ArrayLike, mask: ArrayLike | None, scale: float | None
) -> tuple[Array, Array, Array, Mask, float]:
    """The arguments as arrays, 0 where nothing is read, and which keys each query may attend to."""
    query = np.asarray(query, dtype=np.float64)
    key = np.asarray(key, dtype=np.float64)
    value = np.asarray(value, dtype=np.float64)
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim < 3:
            raise ValueError(f"{name} must have shape (..., steps, heads, features), got {array.shape}")
    (*batch, T, N, H), S = query.shape, key.shape[-3]
    if H == 0:
        raise ValueError(f"query must end in one feature or more, got shape {query.shape}")
    if key.shape != (*batch, S, N, H):
        raise ValueError(
            f"key has shape {key.shape} but query has shape {query.shape}, so key must be {(*batch, S, N, H)}"
        )
    if value.shape[:-1] != key.shape[:-1]:
        raise ValueError(
            f"value has shape {value.shape} but key has shape {key.shape}; "
            f"they must agree in all but the last axis"
        )
    scale = 1.0 / math.sqrt(H) if scale is None else float(scale)
    if not math.isfinite(scale):
        raise ValueError(f"scale must be a finite number, got {scale}")
    weights = (*batch, N, T, S)
    if mask is None:
        return query, key, value, np.ones(weights, dtype=bool), scale
    allowed = np.asarray(mask)
    if allowed.dtype != np.bool_:
        raise TypeError(f"mask must be bool, got dtype {allowed.dtype}")
    try:
        allowed = np.broadcast_to(allowed, weights)
    except ValueError:
        raise ValueError(
            f"mask has shape {allowed.shape}, which does not broadcast to the weights' shape {weights}"
        ) from None
    attends = np.swapaxes(allowed.any(axis=-1), -1, -2)[..., None]
    attended = np.swapaxes(allowed.any(axis=-2), -1, -2)[..., None]
    return (
        np.where(attends, query, 0.0),
        np.where(attended, key, 0.0),
        np.where(attended, value, 0.0),
        allowed,
        scale,
    )


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "attention": [
        ("f64[3,2,4]", "f64[5,2,4]", "f64[5,2,3]", None, None),
        ("f64[2,3,2,4]", "f64[2,5,2,4]", "f64[2,5,2,3]", "bool[2,2,3,5]", None),
        ("f64[3,2,4]", "f64[5,2,4]", "f64[5,2,3]", "bool[1,1,5]", 7, "dropout_rate=0.3", "scale=0.7"),
    ],
}

"""The last layer of a classifier and its loss in one: cross-entropy of W x + b, whose logits are never whole.

With N tokens and V classes the logits are N V numbers, and autodiff keeps more than one array of that size.
Here a chunk of tokens at a time has its logits, and p - y becomes gradients of x and W before the next chunk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec, auto_axes
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats, as_ids, as_other_id, as_static_float, as_static_int
from jaxbackprop._sharding import (
    Like,
    explicit_sharding,
    vary_together,
    without_axis,
    witness,
    zeros_split_as,
)

from ._linear import linear_plain
from ._softmax_cross_entropy import softmax_cross_entropy_plain

Reduction = Literal["none", "sum", "mean"]
# Tokens of a chunk, and the logits that a chunk has at least (few classes would make it a trifle). A chunk
# costs one more addition to all of dW, which its three products outweigh from a few hundred tokens on,
# whatever V and D are.
_CHUNKS = {"lean": (256, 2**18), "auto": (512, 2**22), "fast": (960, 2**24)}


def linear_softmax_cross_entropy(
    x: Float[ArrayLike, "... D"],
    W: Float[ArrayLike, "V D"],
    labels: Int[ArrayLike, "..."],
    bias: Float[ArrayLike, " V"] | None = None,
    *,
    ignore_label: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    chunk: int | Literal["auto", "lean", "fast"] = "auto",
) -> Float[Array, "..."]:
    """Cross-entropy -Σ y log p, p = softmax(W x + b), in nats, without the logits of all tokens at once.

    Gradient: with δ = dy (p - y), dx = Wᵀ δ, dW = Σ δ xᵀ and db = Σ δ, summed over the tokens. p - 1 of the
    correct class is computed as minus the sum of the others' p, which does not cancel. With label smoothing ε
    the labels are y = (1 - ε) one-hot + ε / V.

    Where the result is a number ("sum", "mean"), its gradient is formed in the forward pass, while a chunk's
    logits are there, and is what is kept: three products, as without chunks, and the backward pass only
    scales by dy. With "none" dy is not known yet: the arguments are kept, and the backward pass makes the
    logits again. The value alone forms no gradient. A second derivative goes forwards over backwards
    (`jax.hessian`).

    W (and bias) may be split over devices by classes, tokens over others: a chunk takes tokens from every
    device, largest logits and sums of exponentials are combined, and no device sees another's part of W.

    Args:
        x: D inputs of each token under any leading axes.
        W: weights, classes × inputs; may be an embedding table (tied weights).
        labels: class numbers in [0, V).
        bias: one number a class, or None for none; -inf rules a class out.
        ignore_label: a token with this label has loss and gradient 0, whatever its x; static.
        label_smoothing: ε in [0, 1], the share of the label that goes to all classes alike; static.
        reduction: "none" gives a loss a token, "sum" adds them, "mean" divides by the number of tokens that
            are not ignored (0 where all are); static.
        chunk: how many tokens at a time (those of all devices); static. Beside the gradients, memory for
            two or so times chunk × V numbers is needed. "auto" is 512 tokens, "lean" 256, "fast" 960: from
            there on more tokens bring nothing on a CPU; all take more tokens where classes are few.

    Returns:
        The losses (...), or one number, of x's dtype. Half-precision products are summed in float32.

    Raises:
        TypeError: where dtypes differ or are not floating-point, or labels are not integers.
        ValueError: where shapes do not fit, label_smoothing, reduction or chunk is out of range, or a
            concrete label is. A traced label that is out of range makes loss and gradient nan.

    Source: lecture, unit 1 "softmax" and "Derivative wrt a weight matrix".
    """
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction must be 'none', 'sum' or 'mean', got {reduction!r}")
    if ignore_label is not None:
        ignore_label = as_other_id("ignore_label", ignore_label)
    smoothing = as_static_float("label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {smoothing}")
    if isinstance(chunk, str) and chunk not in _CHUNKS:
        raise ValueError(f"chunk must be 'auto', 'lean', 'fast' or a number of tokens, got {chunk!r}")
    tokens = chunk if isinstance(chunk, str) else as_static_int("chunk", chunk)
    if isinstance(tokens, int) and tokens < 1:
        raise ValueError(f"chunk must be at least 1 token, got {tokens}")
    given = {"x": x, "W": W} | ({} if bias is None else {"bias": bias})
    floats = dict(zip(given, as_floats(**given), strict=True))
    _check_shapes(**floats)
    labels = as_ids("labels", labels, floats["W"].shape[0], besides=ignore_label, of="classes")
    if labels.shape != floats["x"].shape[:-1]:
        raise ValueError(
            f"labels must have shape {floats['x'].shape[:-1]} (one class number a token) for x of shape "
            f"{floats['x'].shape}, got {labels.shape}"
        )
    floats = dict(zip(floats, vary_together(tuple(floats.values()), labels), strict=True))
    settings = _Settings(ignore_label, smoothing, reduction, tokens)
    return _head(floats["x"], floats["W"], labels, floats.get("bias"), settings)


def _check_shapes(x: Array, W: Array, bias: Array | None = None) -> None:
    if W.ndim != 2 or W.shape[0] == 0:
        raise ValueError(f"W must have shape (classes, inputs) with a class at least, got {W.shape}")
    if x.ndim == 0:
        raise ValueError("x must have an axis of inputs, got a scalar")
    if x.shape[-1] != W.shape[1]:
        raise ValueError(f"W has shape {W.shape} but x ends in {x.shape[-1]}")
    if bias is not None and bias.shape != W.shape[:1]:
        raise ValueError(f"bias must have shape {W.shape[:1]} for W of shape {W.shape}, got {bias.shape}")


@dataclasses.dataclass(frozen=True)
class _Settings:
    ignore_label: int | None
    smoothing: float
    reduction: Reduction
    chunk: int | str


def linear_softmax_cross_entropy_plain(
    x: Array,
    W: Array,
    labels: Array,
    bias: Array | None,
    ignore_label: int | None,
    label_smoothing: float,
    reduction: Reduction,
) -> Array:
    """The same loss from whole logits, for autodiff to differentiate."""
    wide = accumulator(x.dtype)
    z = linear_plain(x.astype(wide), W.astype(wide), None if bias is None else bias.astype(wide))
    losses = softmax_cross_entropy_plain(z, labels, ignore_label)
    if label_smoothing:
        uniform = jnp.mean(jax.nn.logsumexp(z, -1, keepdims=True) - z, -1)
        if ignore_label is not None:
            uniform = jnp.where(labels == ignore_label, jnp.zeros((), wide), uniform)
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    if reduction == "none":
        return losses.astype(x.dtype)
    total = jnp.sum(losses)
    if reduction == "mean":
        counted = labels.size if ignore_label is None else jnp.sum(labels != ignore_label)
        total = total / jnp.maximum(jnp.asarray(counted, wide), 1)
    return total.astype(x.dtype)


# ---- the operator -----------------------------------------------------------------------------------------


def _head_value(x: Array, W: Array, labels: Array, bias: Array | None, settings: _Settings) -> Array:
    def compute(x: Array, W: Array, labels: Array, bias: Array | None) -> Array:
        losses = _losses(x, W, labels, bias, settings)
        if settings.reduction != "none":
            losses = jnp.sum(losses * _weights(labels, None, W, settings))
        return losses.astype(x.dtype)

    return _on_any_mesh(compute, _result_sharding(x, W, settings), x, W, labels, bias)


_head = jax.custom_vjp(_head_value, nondiff_argnums=(4,))


def _head_fwd(
    x: Array, W: Array, labels: Array, bias: Array | None, settings: _Settings
) -> tuple[Array, tuple]:
    if settings.reduction == "none":
        return _head_value(x, W, labels, bias, settings), (x, W, labels, bias)

    def compute(x: Array, W: Array, labels: Array, bias: Array | None) -> tuple[Array, tuple[Array, ...]]:
        weights = _weights(labels, None, W, settings)
        losses, gradients = _losses_and_gradients(x, W, labels, bias, weights, settings)
        return jnp.sum(losses * weights).astype(x.dtype), gradients

    floats = (x, W) if bias is None else (x, W, bias)
    shardings = (_result_sharding(x, W, settings), tuple(map(explicit_sharding, floats)))
    y, gradients = _on_any_mesh(compute, shardings, x, W, labels, bias)
    # Not rounded to half precision before dy, which may be the factor that saves them from underflow.
    return y, (gradients, tuple(map(Like.of, floats)))


def _head_bwd(settings: _Settings, residuals: tuple, dy: Array) -> tuple[Array, Array, None, Array | None]:
    if settings.reduction == "none":
        x, W, labels, bias = residuals

        def compute(x: Array, W: Array, labels: Array, bias: Array | None, dy: Array) -> tuple[Array, ...]:
            weights = _weights(labels, dy, W, settings)
            _, gradients = _losses_and_gradients(x, W, labels, bias, weights, settings)
            return tuple(g.astype(x.dtype) for g in gradients)

        shardings = tuple(map(explicit_sharding, (x, W) if bias is None else (x, W, bias)))
        dx, dW, *db = _on_any_mesh(compute, shardings, x, W, labels, bias, dy)
    else:
        gradients, likes = residuals
        dx, dW, *db = (
            (g * dy.astype(g.dtype)).astype(like.dtype) for g, like in zip(gradients, likes, strict=True)
        )
    return dx, dW, None, db[0] if db else None


_head.defvjp(_head_fwd, _head_bwd)


def _weights(labels: Array, dy: Array | None, W: Array, settings: _Settings) -> Array:
    """How much each token's loss counts in the result: 0 where ignored, nan where the label is no class."""
    wide = accumulator(W.dtype)
    zero, one, nan = (jnp.full((), value, wide) for value in (0.0, 1.0, jnp.nan))
    weights = jnp.where(_is_class_number(labels, W), one if dy is None else dy.astype(wide), nan)
    ignored = _is_ignored(labels, settings)
    if ignored is not None:
        weights = jnp.where(ignored, zero, weights)
    if settings.reduction == "mean":
        counted = labels.size if ignored is None else jnp.sum((~ignored).astype(wide))
        weights = weights / jnp.maximum(jnp.asarray(counted, wide), one)
    return weights


def _is_class_number(labels: Array, W: Array) -> Bool[Array, "..."]:
    return (labels >= 0) & (labels < W.shape[0])


def _is_ignored(labels: Array, settings: _Settings) -> Bool[Array, "..."] | None:
    return None if settings.ignore_label is None else labels == settings.ignore_label


def _on_any_mesh(f: Callable[..., Any], shardings: Any, *arguments: Any) -> Any:
    """Calls f where the compiler splits what it computes; on an Explicit mesh, results come out as told."""
    if all(sharding is None for sharding in jax.tree.leaves(shardings, is_leaf=lambda node: node is None)):
        return f(*arguments)
    return auto_axes(f, out_sharding=shardings)(*arguments)


def _result_sharding(x: Array, W: Array, settings: _Settings) -> NamedSharding | None:
    sharding = explicit_sharding(x) or explicit_sharding(W)
    if sharding is None or settings.reduction == "none":
        return without_axis(explicit_sharding(x), -1)
    return NamedSharding(sharding.mesh, PartitionSpec())


# ---- over chunks ------------------------------------------------------------------------------------------


def _losses(x: Array, W: Array, labels: Array, bias: Array | None, settings: _Settings) -> Array:
    """The loss of each token, and nothing else."""
    tokens = _Tokens(x, W, labels, settings)
    mean_row, mean_bias = _means(W, bias, settings)

    def one_chunk(i: Any, losses: Array) -> Array:
        x_i, classes = tokens.chunk(i)
        z = _logits(x_i, W, bias)
        loss, _, _, _ = _loss(z, classes, _mean_logit(x_i, mean_row, mean_bias), settings.smoothing)
        return tokens.put(losses, loss, i)

    return tokens.losses(lax.fori_loop(0, tokens.count, one_chunk, tokens.zeros()))


def _losses_and_gradients(
    x: Array, W: Array, labels: Array, bias: Array | None, weights: Array, settings: _Settings
) -> tuple[Array, tuple[Array, ...]]:
    """The loss of each token, and the gradients of their weighted sum, in float32 at least."""
    tokens = _Tokens(x, W, labels, settings)
    wide, half, smoothing = tokens.wide, x.dtype.itemsize == 2, settings.smoothing
    mean_row, mean_bias = _means(W, bias, settings)
    weights = weights.reshape(-1)
    # Tiny weights would take the half-precision factors of dW out of range.
    unit = jnp.ones((), wide)
    if half:
        largest = lax.stop_gradient(jnp.max(jnp.abs(weights), initial=0.0))
        unit = jnp.where(largest > 0, largest, unit)
    weight_chunks = tokens.split(weights)

    def one_chunk(i: Any, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        losses, dx, dW, *db = carry
        x_i, classes = tokens.chunk(i)
        z = _logits(x_i, W, bias)
        loss, exponentials, total, rest = _loss(z, classes, _mean_logit(x_i, mean_row, mean_bias), smoothing)
        # (p - y) total. At the correct class it is the exponential less (1 - ε) total, which would cancel.
        delta = exponentials.at[jnp.arange(tokens.size), classes].set(
            smoothing * total - rest, mode="promise_in_bounds", unique_indices=True
        )
        share = lax.dynamic_index_in_dim(weight_chunks, i, 1, keepdims=False)
        if half:
            delta = (delta / jnp.expand_dims(total, 1)).astype(x.dtype)
        else:
            # One factor a token goes to the products' small sides, never to an array of chunk × V.
            share = share / total
        dx_i = _product(delta, W, ((1,), (0,)), wide) * jnp.expand_dims(share, 1)
        weighted = x_i.astype(wide) * jnp.expand_dims(share / unit, 1)
        dW = dW + _product(delta, weighted.astype(x.dtype), ((0,), (0,)), wide)
        db = [db_i + _product(share, delta.astype(wide), ((0,), (0,)), wide) for db_i in db]
        return tokens.put(losses, loss, i), tokens.put(dx, dx_i, i), dW, *db

    parameters = (W,) if bias is None else (W, bias)
    zeros = vary_together(
        tuple(zeros_split_as(witness(p), Like.of(p), np.dtype(wide)) for p in parameters), x
    )
    losses, dx, dW, *db = lax.fori_loop(
        0, tokens.count, one_chunk, (tokens.zeros(), tokens.zeros(x.shape[-1]), *zeros)
    )
    dx = tokens.join(dx)
    if half:
        dW = dW * unit
    if mean_row is not None:
        # The label's ε / V is the same for every class: one row for all of dW.
        dx = dx - smoothing * jnp.expand_dims(weights, 1) * jnp.expand_dims(mean_row, 0)
        row = _product(weights, tokens.join(tokens.x).astype(wide), ((0,), (0,)), wide)
        dW = dW - jnp.expand_dims((smoothing / W.shape[0]) * row, 0)
        db = [db_i - (smoothing / W.shape[0]) * jnp.sum(weights) for db_i in db]
    dx = dx.reshape(x.shape)
    ignored = _is_ignored(labels, settings)
    if ignored is not None:
        # Where W is not finite, a weight of 0 is not enough.
        dx = jnp.where(jnp.expand_dims(ignored, -1), jnp.zeros((), wide), dx)
    return tokens.losses(losses), (dx, dW, *db)


class _Tokens:
    """The tokens in chunks: chunk i has the tokens i, i + count, i + 2 count and so on.

    So each chunk has tokens of every device over which they are split.
    """

    def __init__(self, x: Array, W: Array, labels: Array, settings: _Settings) -> None:
        self.wide = accumulator(x.dtype)
        self.size, self.count = _sizes(settings.chunk, labels.size, W.shape[0])
        self.labels = labels
        self.is_class = _is_class_number(labels, W)
        self.ignored = _is_ignored(labels, settings)
        if self.ignored is not None:
            x = jnp.where(jnp.expand_dims(self.ignored, -1), jnp.zeros((), x.dtype), x)
        self.x = self.split(x.reshape(labels.size, x.shape[-1]))
        self.classes = self.split(jnp.where(self.is_class, labels, jnp.zeros((), labels.dtype)).reshape(-1))

    def split(self, flat: Array) -> Array:
        """(N, …) to (size, count, …), with zeros for the tokens that the last places lack."""
        padding = self.size * self.count - self.labels.size
        if padding:
            flat = jnp.pad(flat, ((0, padding), *((0, 0),) * (flat.ndim - 1)))
        return flat.reshape(self.size, self.count, *flat.shape[1:])

    def join(self, parts: Array) -> Array:
        """The reverse of `split`."""
        flat = parts.reshape(self.size * self.count, *parts.shape[2:])
        return flat[: self.labels.size] if flat.shape[0] > self.labels.size else flat

    def chunk(self, i: Any) -> tuple[Array, Array]:
        """The x (size, D) and class numbers (size) of a chunk; padding is of class 0."""
        x = lax.dynamic_index_in_dim(self.x, i, 1, keepdims=False)
        return x, lax.dynamic_index_in_dim(self.classes, i, 1, keepdims=False)

    def zeros(self, *features: int) -> Array:
        """A place for every chunk's results."""
        zeros = jnp.zeros((self.size, self.count, *features), self.wide)
        return vary_together((zeros,), self.x)[0]

    def put(self, parts: Array, part: Array, i: Any) -> Array:
        """A chunk's results put in their place."""
        return lax.dynamic_update_index_in_dim(parts, part, i, 1)

    def losses(self, parts: Array) -> Array:
        """The losses as the labels lie; nan where the label is no class, 0 where it is ignored."""
        losses = self.join(parts).reshape(self.labels.shape)
        losses = jnp.where(self.is_class, losses, jnp.full((), jnp.nan, self.wide))
        return losses if self.ignored is None else jnp.where(self.ignored, jnp.zeros((), self.wide), losses)


def _sizes(chunk: int | str, tokens: int, classes: int) -> tuple[int, int]:
    """How many tokens a chunk has, and how many chunks there are."""
    if isinstance(chunk, str):
        usual, logits = _CHUNKS[chunk]
        chunk = max(usual, logits // classes)
    count = max(1, -(-tokens // chunk))
    return max(1, -(-tokens // count)), count


# ---- one chunk --------------------------------------------------------------------------------------------


def _product(a: Array, b: Array, contracted: tuple[tuple[int], tuple[int]], wide: np.dtype) -> Array:
    return lax.dot_general(a, b, (contracted, ((), ())), preferred_element_type=wide)


def _logits(x: Array, W: Array, bias: Array | None) -> Float[Array, "size V"]:
    wide = accumulator(x.dtype)
    z = _product(x, W, ((1,), (1,)), wide)
    return z if bias is None else z + jnp.expand_dims(bias.astype(wide), 0)


def _loss(
    z: Float[Array, "size V"], classes: Array, mean_logit: Array | None, smoothing: float
) -> tuple[Array, Array, Array, Array]:
    """The losses of a chunk; and exp(z - m), 0 at the correct class, its sum with and without that class."""
    m = lax.stop_gradient(jnp.max(z, 1))
    m = jnp.where(jnp.isneginf(m), jnp.zeros((), z.dtype), m)
    classes = jnp.expand_dims(classes, 1)
    behind = m - jnp.squeeze(jnp.take_along_axis(z, classes, 1, mode="promise_in_bounds"), 1)
    correct = lax.broadcasted_iota(classes.dtype, z.shape, 1) == classes
    exponentials = jnp.where(correct, jnp.zeros((), z.dtype), jnp.exp(z - jnp.expand_dims(m, 1)))
    own, rest = jnp.exp(-behind), jnp.sum(exponentials, 1)
    total = rest + own
    # Where the correct class leads, log1p keeps the digits of a small rest.
    leads = behind == 0
    loss = jnp.where(leads, jnp.log1p(rest / jnp.where(leads, own, 1)), jnp.log(total) + behind)
    if mean_logit is not None:
        loss = (1 - smoothing) * loss + smoothing * (jnp.log(total) + (m - mean_logit))
    return loss, exponentials, total, rest


def _means(W: Array, bias: Array | None, settings: _Settings) -> tuple[Array | None, Array | None]:
    """The mean row of W and the mean bias: what smoothed labels need of the logits is their mean."""
    if not settings.smoothing:
        return None, None
    wide = accumulator(W.dtype)
    return jnp.mean(W.astype(wide), 0), None if bias is None else jnp.mean(bias.astype(wide))


def _mean_logit(x: Array, mean_row: Array | None, mean_bias: Array | None) -> Array | None:
    if mean_row is None:
        return None
    mean = _product(x.astype(mean_row.dtype), mean_row, ((1,), (0,)), mean_row.dtype)
    return mean if mean_bias is None else mean + mean_bias

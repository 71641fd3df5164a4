"""The operator: its checks, its plain twin, and what is kept between its two passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec, auto_axes
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import (
    as_choice,
    as_floats,
    as_ids,
    as_other_id,
    as_static_float,
    as_static_int,
)
from jaxbackprop._sharding import Like, explicit_sharding, vary_together, without_axis

from .._linear import linear_plain
from .._softmax_cross_entropy import softmax_cross_entropy_plain
from ._chunks import losses_alone, losses_and_gradients
from ._tokens import CHUNKS, Reduction, Settings, token_weights

_T = TypeVar("_T")


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

    Source: lecture, unit 1 "Deriving Gradients : Tips" (softmax) and "Derivative wrt a weight matrix".
    """
    as_choice("reduction", reduction, "none", "sum", "mean")
    if ignore_label is not None:
        ignore_label = as_other_id("ignore_label", ignore_label)
    smoothing = as_static_float("label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {smoothing}")
    if isinstance(chunk, str) and chunk not in CHUNKS:
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
    settings = Settings(ignore_label, smoothing, reduction, tokens)
    return _head(floats["x"], floats["W"], labels, floats.get("bias"), settings)


def _check_shapes(
    x: Float[Array, "..."], W: Float[Array, "..."], bias: Float[Array, "..."] | None = None
) -> None:
    if W.ndim != 2 or W.shape[0] == 0:
        raise ValueError(f"W must have shape (classes, inputs) with a class at least, got {W.shape}")
    if x.ndim == 0:
        raise ValueError("x must have an axis of inputs, got a scalar")
    if x.shape[-1] != W.shape[1]:
        raise ValueError(f"W has shape {W.shape} but x ends in {x.shape[-1]}")
    if bias is not None and bias.shape != W.shape[:1]:
        raise ValueError(f"bias must have shape {W.shape[:1]} for W of shape {W.shape}, got {bias.shape}")


def linear_softmax_cross_entropy_plain(
    x: Float[Array, "... D"],
    W: Float[Array, "V D"],
    labels: Int[Array, "..."],
    bias: Float[Array, " V"] | None,
    ignore_label: int | None,
    label_smoothing: float,
    reduction: Reduction,
) -> Float[Array, "..."]:
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


def _head_value(
    x: Float[Array, "... D"],
    W: Float[Array, "V D"],
    labels: Int[Array, "..."],
    bias: Float[Array, " V"] | None,
    settings: Settings,
) -> Float[Array, "..."]:
    def compute(x: Array, W: Array, labels: Array, bias: Array | None) -> Array:
        losses = losses_alone(x, W, labels, bias, settings)
        if settings.reduction != "none":
            losses = jnp.sum(losses * token_weights(labels, None, W, settings))
        return losses.astype(x.dtype)

    return _on_any_mesh(compute, _result_sharding(x, W, settings), x, W, labels, bias)


_head = jax.custom_vjp(_head_value, nondiff_argnums=(4,))


class _Arguments(NamedTuple):
    """What is kept of a loss a token, whose dy is not known yet."""

    x: Float[Array, "... D"]
    W: Float[Array, "V D"]
    labels: Int[Array, "..."]
    bias: Float[Array, " V"] | None


class _GradientsAtOne(NamedTuple):
    """What is kept of one number: its gradients where dy is 1, in float32 at least.

    They are not rounded to half precision before dy, which may be the factor that saves them from underflow.
    """

    gradients: tuple[Float[Array, "..."], ...]  # of x and W, and of bias where there is one
    likes: tuple[Like, ...]


def _head_fwd(
    x: Float[Array, "... D"],
    W: Float[Array, "V D"],
    labels: Int[Array, "..."],
    bias: Float[Array, " V"] | None,
    settings: Settings,
) -> tuple[Float[Array, "..."], _Arguments | _GradientsAtOne]:
    if settings.reduction == "none":
        return _head_value(x, W, labels, bias, settings), _Arguments(x, W, labels, bias)

    def compute(x: Array, W: Array, labels: Array, bias: Array | None) -> tuple[Array, tuple[Array, ...]]:
        weights = token_weights(labels, None, W, settings)
        losses, gradients = losses_and_gradients(x, W, labels, bias, weights, settings)
        return jnp.sum(losses * weights).astype(x.dtype), gradients

    floats = (x, W) if bias is None else (x, W, bias)
    shardings = (_result_sharding(x, W, settings), tuple(map(explicit_sharding, floats)))
    y, gradients = _on_any_mesh(compute, shardings, x, W, labels, bias)
    return y, _GradientsAtOne(gradients, tuple(map(Like.of, floats)))


def _head_bwd(
    settings: Settings, residuals: _Arguments | _GradientsAtOne, dy: Float[Array, "..."]
) -> tuple[Float[Array, "... D"], Float[Array, "V D"], None, Float[Array, " V"] | None]:
    if isinstance(residuals, _GradientsAtOne):
        gradients, likes = residuals
        dx, dW, *db = (
            (g * dy.astype(g.dtype)).astype(like.dtype) for g, like in zip(gradients, likes, strict=True)
        )
    else:
        x, W, labels, bias = residuals

        def compute(x: Array, W: Array, labels: Array, bias: Array | None, dy: Array) -> tuple[Array, ...]:
            weights = token_weights(labels, dy, W, settings)
            _, gradients = losses_and_gradients(x, W, labels, bias, weights, settings)
            return tuple(g.astype(x.dtype) for g in gradients)

        shardings = tuple(map(explicit_sharding, (x, W) if bias is None else (x, W, bias)))
        dx, dW, *db = _on_any_mesh(compute, shardings, x, W, labels, bias, dy)
    return dx, dW, None, db[0] if db else None


_head.defvjp(_head_fwd, _head_bwd)


def _on_any_mesh(f: Callable[..., _T], shardings: Any, *arguments: Any) -> _T:
    """Calls f where the compiler splits what it computes; on an Explicit mesh, results come out as told."""
    if all(sharding is None for sharding in jax.tree.leaves(shardings, is_leaf=lambda node: node is None)):
        return f(*arguments)
    return auto_axes(f, out_sharding=shardings)(*arguments)


def _result_sharding(
    x: Float[Array, "... D"], W: Float[Array, "V D"], settings: Settings
) -> NamedSharding | None:
    sharding = explicit_sharding(x) or explicit_sharding(W)
    if sharding is None or settings.reduction == "none":
        return without_axis(explicit_sharding(x), -1)
    return NamedSharding(sharding.mesh, PartitionSpec())

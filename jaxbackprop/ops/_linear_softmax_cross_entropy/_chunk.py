"""One chunk of tokens: its logits and losses, and right under them p - y and the gradients."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxbackprop._precision import accumulator


def chunk_logits(
    x: Float[Array, "size D"], W: Float[Array, "V D"], bias: Float[Array, " V"] | None
) -> Float[Array, "size V"]:
    """Z = W x + b of every token of the chunk, in float32 at least."""
    wide = accumulator(x.dtype)
    z = product(x, W, ((1,), (1,)), wide)
    return z if bias is None else z + jnp.expand_dims(bias.astype(wide), 0)


class ChunkResiduals(NamedTuple):
    """What the losses of a chunk leave for p - y; p = exp(z - m) / total, m the largest logit."""

    exponentials: Float[Array, "size V"]  # exp(z - m), 0 at the correct class
    total: Float[Array, " size"]  # Σ exp(z - m) over all classes
    rest: Float[Array, " size"]  # over all but the correct one


def chunk_losses(
    z: Float[Array, "size V"],
    classes: Int[Array, " size"],
    mean_logit: Float[Array, " size"] | None,
    smoothing: float,
) -> tuple[Float[Array, " size"], ChunkResiduals]:
    """-Σ y log p of every token, y = (1 - ε) one-hot + ε / V; mean_logit is needed where ε is not 0."""
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
    return loss, ChunkResiduals(exponentials, total, rest)


def chunk_delta(
    residuals: ChunkResiduals, classes: Int[Array, " size"], smoothing: float
) -> Float[Array, "size V"]:
    """(p - y) total, but for the ε / V of the label, which is the same for every class.

    At the correct class that is its exponential less (1 - ε) total, which would cancel: it is ε total less
    the others' exponentials.
    """
    exponentials, total, rest = residuals
    return exponentials.at[jnp.arange(len(classes)), classes].set(
        smoothing * total - rest, mode="promise_in_bounds", unique_indices=True
    )


def chunk_gradients(
    delta: Float[Array, "size V"],
    total: Float[Array, " size"],
    weights: Float[Array, " size"],
    unit: Float[Array, ""],
    x: Float[Array, "size D"],
    W: Float[Array, "V D"],
    *,
    with_bias: bool,
) -> tuple[Float[Array, "size D"], Float[Array, "V D"], Float[Array, " V"] | None]:
    """Those of Σ w loss over the chunk: dx = w Wᵀ (p - y), dW = Σ w (p - y) xᵀ / unit, db = Σ w (p - y).

    In half precision delta is rounded as p - y, and dW is given in units of a number near the weights, which
    may be too small for its dtype.
    """
    wide, half = delta.dtype, x.dtype.itemsize == 2
    if half:
        delta = (delta / jnp.expand_dims(total, 1)).astype(x.dtype)
    else:
        # One factor a token goes to the products' small sides, never to an array of size × V.
        weights = weights / total
    dx = product(delta, W, ((1,), (0,)), wide) * jnp.expand_dims(weights, 1)
    weighted = x.astype(wide) * jnp.expand_dims(weights / unit, 1)
    dW = product(delta, weighted.astype(x.dtype), ((0,), (0,)), wide)
    db = product(weights, delta.astype(wide), ((0,), (0,)), wide) if with_bias else None
    return dx, dW, db


def product(a: Array, b: Array, contracted: tuple[tuple[int], tuple[int]], wide: np.dtype) -> Array:
    """A product over one axis of each, summed in a wider dtype."""
    return lax.dot_general(a, b, (contracted, ((), ())), preferred_element_type=wide)


class MeanClass(NamedTuple):
    """The mean over all classes of W's rows and of the bias: its logit is the mean of all logits.

    That is all that smoothed labels need of the logits besides the correct class's.
    """

    row: Float[Array, " D"]
    bias: Float[Array, ""] | None

    @classmethod
    def of(cls, W: Float[Array, "V D"], bias: Float[Array, " V"] | None) -> MeanClass:
        wide = accumulator(W.dtype)
        return cls(jnp.mean(W.astype(wide), 0), None if bias is None else jnp.mean(bias.astype(wide)))

    def logit(self, x: Float[Array, "size D"]) -> Float[Array, " size"]:
        mean = product(x.astype(self.row.dtype), self.row, ((1,), (0,)), self.row.dtype)
        return mean if self.bias is None else mean + self.bias

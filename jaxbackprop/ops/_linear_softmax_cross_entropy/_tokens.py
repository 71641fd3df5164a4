"""The tokens: how they are cut into chunks, which of them count, and by how much."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._sharding import vary_together

Reduction = Literal["none", "sum", "mean"]
# Tokens of a chunk, and the logits that a chunk has at least (few classes would make it a trifle). A chunk
# costs one more addition to all of dW, which its three products outweigh from a few hundred tokens on,
# whatever V and D are.
CHUNKS = {"lean": (256, 2**18), "auto": (512, 2**22), "fast": (960, 2**24)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The static arguments of the operator."""

    ignore_label: int | None
    smoothing: float
    reduction: Reduction
    chunk: int | str


def token_weights(
    labels: Int[Array, "..."], dy: Float[Array, "..."] | None, W: Float[Array, "V D"], settings: Settings
) -> Float[Array, "..."]:
    """How much each token's loss counts in the result: 0 where ignored, nan where the label is no class.

    With dy, the cotangent of a loss a token, it is dy where it would be 1.
    """
    wide = accumulator(W.dtype)
    zero, one, nan = (jnp.full((), value, wide) for value in (0.0, 1.0, jnp.nan))
    weights = jnp.where(_is_class_number(labels, W), one if dy is None else dy.astype(wide), nan)
    ignored = is_ignored(labels, settings)
    if ignored is not None:
        weights = jnp.where(ignored, zero, weights)
    if settings.reduction == "mean":
        counted = labels.size if ignored is None else jnp.sum((~ignored).astype(wide))
        weights = weights / jnp.maximum(jnp.asarray(counted, wide), one)
    return weights


def is_ignored(labels: Int[Array, "..."], settings: Settings) -> Bool[Array, "..."] | None:
    """Where the label says that a token does not count; None where no label does."""
    return None if settings.ignore_label is None else labels == settings.ignore_label


def _is_class_number(labels: Int[Array, "..."], W: Float[Array, "V D"]) -> Bool[Array, "..."]:
    return (labels >= 0) & (labels < W.shape[0])


class Tokens:
    """The tokens in chunks: chunk i has the tokens i, i + count, i + 2 count and so on.

    So each chunk has tokens of every device over which they are split.
    """

    def __init__(
        self, x: Float[Array, "... D"], W: Float[Array, "V D"], labels: Int[Array, "..."], settings: Settings
    ) -> None:
        self.wide = accumulator(x.dtype)
        self.size, self.count = _sizes(settings.chunk, labels.size, W.shape[0])
        self.labels = labels
        self.is_class = _is_class_number(labels, W)
        self.ignored = is_ignored(labels, settings)
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

    def chunk(self, i: Array) -> tuple[Float[Array, "size D"], Int[Array, " size"]]:
        """The x and class numbers of a chunk; padding is of class 0."""
        x = lax.dynamic_index_in_dim(self.x, i, 1, keepdims=False)
        return x, lax.dynamic_index_in_dim(self.classes, i, 1, keepdims=False)

    def zeros(self, *features: int) -> Float[Array, "size count ..."]:
        """A place for every chunk's results."""
        zeros = jnp.zeros((self.size, self.count, *features), self.wide)
        return vary_together((zeros,), self.x)[0]

    def put(self, parts: Array, part: Array, i: Array) -> Array:
        """A chunk's results put in their place."""
        return lax.dynamic_update_index_in_dim(parts, part, i, 1)

    def losses(self, parts: Float[Array, "size count"]) -> Float[Array, "..."]:
        """The losses as the labels lie; nan where the label is no class, 0 where it is ignored."""
        losses = self.join(parts).reshape(self.labels.shape)
        losses = jnp.where(self.is_class, losses, jnp.full((), jnp.nan, self.wide))
        return losses if self.ignored is None else jnp.where(self.ignored, jnp.zeros((), self.wide), losses)


def _sizes(chunk: int | str, tokens: int, classes: int) -> tuple[int, int]:
    """How many tokens a chunk has, and how many chunks there are."""
    if isinstance(chunk, str):
        usual, logits = CHUNKS[chunk]
        chunk = max(usual, logits // classes)
    count = max(1, -(-tokens // chunk))
    return max(1, -(-tokens // count)), count

"""Embed: a table of vectors on `ops.embedding` and `ops.window_lookup`."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer, variance_scaling
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxbackprop import ops


class Embed(nnx.Module):
    """Table of vectors, as `flax.nnx.Embed`, whose gradients are hand-derived.

    Unlike flax's, an id outside [0, num_embeddings) is an error (nan where it is traced), negative ids
    included, and `padding_id` reads as zeros.

    Attributes:
        embedding: (num_embeddings, features).
    """

    def __init__(
        self,
        num_embeddings: int,
        features: int,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        embedding_init: Initializer = variance_scaling(1.0, "fan_in", "normal", out_axis=0),  # noqa: B008
        padding_id: int | None = None,
        rngs: nnx.Rngs,
    ):
        """Draws the table.

        Args:
            num_embeddings: rows.
            features: length of a row.
            dtype: of the result; None takes the table's.
            param_dtype: of the table.
            embedding_init: flax's unless told.
            padding_id: the id that reads as a zero vector, None for none.
            rngs: source of the `params` key.
        """
        self.embedding = nnx.Param(embedding_init(rngs.params(), (num_embeddings, features), param_dtype))
        self.num_embeddings = num_embeddings
        self.features = features
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.padding_id = padding_id

    def __call__(self, inputs: Int[Array, "..."]) -> Float[Array, "... d"]:
        """Reads one row an id: (...) to (..., features)."""
        return self._computed(ops.embedding(self.embedding[...], inputs, padding_id=self.padding_id))

    def window(self, inputs: Int[Array, "... k"]) -> Float[Array, "... kd"]:
        """Reads windows of k = 2m + 1 ids and concatenates their rows: (..., k) to (..., k * features)."""
        return self._computed(ops.window_lookup(self.embedding[...], inputs, padding_id=self.padding_id))

    def _computed(self, rows: Array) -> Array:
        # The rows that were read rather than the table, whose every row would be cast in every call; and
        # gradients of rows that are read twice are added up in the table's dtype.
        return rows if self.dtype is None else rows.astype(self.dtype)

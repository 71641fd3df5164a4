"""BERT's encoder: pieces of words to a vector each, and one for the whole sequence."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from jaxbackprop import ops
from jaxbackprop.layers import Dropout, Embed, LayerNorm, Linear
from jaxbackprop.pretrained import BertConfig

from ._layer import BertLayer


class Bert(nnx.Module):
    """Vectors of pieces, places and segments -> layers of attention -> a vector a place, and the pooled one.

    All of it runs on operators whose gradients are hand-derived; autodiff is left with sums, shapes and the
    choice of the first place.

    Attributes:
        config: the sizes.
        words: `Embed` of the pieces, (V, H).
        positions: `Embed` of the places.
        types: `Embed` of the segments.
        norm: `LayerNorm` of their sum.
        layers: the `BertLayer`s.
        pooler: `Linear` from the first place's vector; tanh follows.

    Source: Devlin et al. 2019, arXiv:1810.04805; the lecture names it in unit 1 "A pitfall when retraining
        word vectors".
    """

    def __init__(
        self,
        config: BertConfig,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters: weights from a normal distribution, biases 0.

        Args:
            config: the sizes.
            dtype: of the computation; None takes the parameters'.
            param_dtype: of the parameters.
            rngs: source of the `params` keys.
        """
        size, drawn = config.hidden_size, nnx.initializers.normal(config.initializer_range)
        shared: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}

        def embed(rows: int) -> Embed:
            return Embed(rows, size, embedding_init=drawn, **shared)

        self.config = config
        self.words = embed(config.vocab_size)
        self.positions = embed(config.max_position_embeddings)
        self.types = embed(config.type_vocab_size)
        self.norm = LayerNorm(size, epsilon=config.layer_norm_eps, **shared)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.layers = nnx.List([BertLayer(config, **shared) for _ in range(config.num_hidden_layers)])
        self.pooler = Linear(size, size, kernel_init=drawn, **shared)

    def __call__(
        self,
        input_ids: Int[ArrayLike, "B T"],
        token_type_ids: Int[ArrayLike, "B T"] | None = None,
        attention_mask: Int[ArrayLike, "B T"] | None = None,
        *,
        key: jax.Array | None = None,
    ) -> tuple[Float[Array, "B T H"], Float[Array, "B H"]]:
        """Reads sequences of T pieces.

        Args:
            input_ids: the pieces, in [0, vocab_size).
            token_type_ids: the segment of each, in [0, type_vocab_size); None for 0.
            attention_mask: 0 where a place is padding, which no other place attends to; None for none.
            key: random key of the dropouts; without one nothing is dropped.

        Returns:
            A vector a place, which says nothing in the padding, and tanh(W x + b) of the first one's.

        Raises:
            TypeError: an array is not of integers (the mask may be bool).
            ValueError: shapes differ, a sequence is longer than max_position_embeddings, or a concrete id is
                out of range. A traced one has no value to look at: the results are then nan.
        """
        input_ids = _as_ids("input_ids", input_ids)
        if input_ids.ndim != 2 or input_ids.shape[1] == 0:
            raise ValueError(f"input_ids must have shape (B, T) with T at least 1, got {input_ids.shape}")
        steps, longest = input_ids.shape[1], self.config.max_position_embeddings
        if steps > longest:
            raise ValueError(f"input_ids are {steps} pieces long, and the model knows {longest} positions")
        if token_type_ids is None:
            token_type_ids = jnp.zeros_like(input_ids)
        token_type_ids = _like("token_type_ids", token_type_ids, input_ids)
        mask = None
        if attention_mask is not None:
            if isinstance(attention_mask, np.ndarray | jax.Array) and attention_mask.dtype == jnp.bool_:
                attention_mask = attention_mask.astype(jnp.int32)
            mask = (_like("attention_mask", attention_mask, input_ids) != 0)[:, None, None, :]
        keys: list[jax.Array | None] = [None] * (len(self.layers) + 1)
        if key is not None:
            keys = list(jax.random.split(key, len(keys)))
        places = self.positions(jnp.arange(steps, dtype=jnp.int32))
        x = self.words(input_ids) + self.types(token_type_ids) + places[None]
        x = self.dropout(self.norm(x), deterministic=key is None, rngs=keys[0])
        for layer, layer_key in zip(self.layers, keys[1:], strict=True):
            x = layer(x, mask, key=layer_key)
        return x, ops.tanh(self.pooler(x[:, 0]))


def _as_ids(name: str, ids: ArrayLike) -> Array:
    found = jnp.asarray(ids)
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got dtype {found.dtype}")
    return found


def _like(name: str, ids: ArrayLike, input_ids: Array) -> Array:
    found = _as_ids(name, ids)
    if found.shape != input_ids.shape:
        raise ValueError(f"{name} has shape {found.shape}, but input_ids have {input_ids.shape}")
    return found

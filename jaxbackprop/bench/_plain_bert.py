"""BERT in flax's own layers, differentiated by jax.grad: what ours is compared with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxbackprop.models import BertConfig

_ACTIVATIONS: dict[str, Callable[..., jax.Array]] = {
    "gelu": partial(nnx.gelu, approximate=False),
    "gelu_new": partial(nnx.gelu, approximate=True),
    "relu": nnx.relu,
    "silu": nnx.silu,
}


class PlainBertLayer(nnx.Module):
    """As `BertLayer` of `jaxbackprop.models`, parameters by the same names."""

    def __init__(self, config: BertConfig, *, param_dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        size = config.hidden_size
        norm = partial(nnx.LayerNorm, size, epsilon=config.layer_norm_eps, param_dtype=param_dtype, rngs=rngs)
        self.act = _ACTIVATIONS[config.hidden_act]
        self.attention = nnx.MultiHeadAttention(
            config.num_attention_heads,
            size,
            dropout_rate=config.attention_probs_dropout_prob,
            broadcast_dropout=False,
            param_dtype=param_dtype,
            decode=False,
            rngs=rngs,
            keep_rngs=False,
        )
        self.attention_norm = norm()
        self.up = nnx.Linear(size, config.intermediate_size, param_dtype=param_dtype, rngs=rngs)
        self.down = nnx.Linear(config.intermediate_size, size, param_dtype=param_dtype, rngs=rngs)
        self.norm = norm()
        self.dropout = nnx.Dropout(config.hidden_dropout_prob)

    def __call__(self, x: jax.Array, mask: jax.Array | None, key: jax.Array | None) -> jax.Array:
        """The layer's vectors."""
        still = key is None
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        rngs = None if keys[0] is None else nnx.Rngs(dropout=keys[0])
        attended = self.attention(x, mask=mask, deterministic=still, rngs=rngs)
        x = self.attention_norm(x + self.dropout(attended, deterministic=still, rngs=keys[1]))
        y = self.down(self.act(self.up(x)))
        return self.norm(x + self.dropout(y, deterministic=still, rngs=keys[2]))


class PlainBert(nnx.Module):
    """As `Bert` of `jaxbackprop.models`, parameters by the same names."""

    def __init__(self, config: BertConfig, *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs) -> None:
        size = config.hidden_size

        def embed(rows: int) -> nnx.Embed:
            return nnx.Embed(rows, size, param_dtype=param_dtype, rngs=rngs)

        self.words = embed(config.vocab_size)
        self.positions = embed(config.max_position_embeddings)
        self.types = embed(config.type_vocab_size)
        self.norm = nnx.LayerNorm(size, epsilon=config.layer_norm_eps, param_dtype=param_dtype, rngs=rngs)
        self.dropout = nnx.Dropout(config.hidden_dropout_prob)
        layers = range(config.num_hidden_layers)
        self.layers = nnx.List([PlainBertLayer(config, param_dtype=param_dtype, rngs=rngs) for _ in layers])
        self.pooler = nnx.Linear(size, size, param_dtype=param_dtype, rngs=rngs)

    def __call__(
        self,
        input_ids: jax.Array,
        token_type_ids: jax.Array | None = None,
        attention_mask: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """A vector a place, and the pooled one."""
        types = jnp.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        mask = None if attention_mask is None else (attention_mask != 0)[:, None, None, :]
        keys: list[jax.Array | None] = [None] * (len(self.layers) + 1)
        if key is not None:
            keys = list(jax.random.split(key, len(keys)))
        places = self.positions(jnp.arange(input_ids.shape[1], dtype=jnp.int32))
        x = self.norm(self.words(input_ids) + self.types(types) + places[None])
        x = self.dropout(x, deterministic=key is None, rngs=keys[0])
        for layer, layer_key in zip(self.layers, keys[1:], strict=True):
            x = layer(x, mask, layer_key)
        return x, jnp.tanh(self.pooler(x[:, 0]))

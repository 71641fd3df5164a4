"""One layer of BERT's encoder: attention and a feed-forward part, each added to its input and normalised."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jaxbackprop import ops
from jaxbackprop.layers import Dropout, LayerNorm, Linear, MultiHeadAttention
from jaxbackprop.pretrained import HIDDEN_ACTIVATIONS, BertConfig

_ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "gelu": partial(ops.gelu, approximate=False),
    "gelu_tanh": partial(ops.gelu, approximate=True),
    "relu": ops.relu,
    "silu": ops.silu,
}


class BertLayer(nnx.Module):
    """x -> LN(x + attention(x)) -> LN(x + W₂ f(W₁ x)): normalised after the sum, as in Vaswani et al. (2017).

    Attributes:
        attention: `MultiHeadAttention`, of every place to every place.
        attention_norm: `LayerNorm` of the sum with what it gives.
        up: `Linear` from hidden_size to intermediate_size.
        down: `Linear` back.
        norm: `LayerNorm` of the sum with what that gives.
    """

    def __init__(
        self,
        config: BertConfig,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters; see `Bert`."""
        size, drawn = config.hidden_size, nnx.initializers.normal(config.initializer_range)
        linear = partial(Linear, kernel_init=drawn, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        norm = partial(
            LayerNorm, size, epsilon=config.layer_norm_eps, dtype=dtype, param_dtype=param_dtype, rngs=rngs
        )
        self.activation = HIDDEN_ACTIVATIONS[config.hidden_act]
        self.attention = MultiHeadAttention(
            config.num_attention_heads,
            size,
            dropout_rate=config.attention_probs_dropout_prob,
            kernel_init=drawn,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
            keep_rngs=False,
        )
        self.attention_norm = norm()
        self.up = linear(size, config.intermediate_size)
        self.down = linear(config.intermediate_size, size)
        self.norm = norm()
        self.dropout = Dropout(config.hidden_dropout_prob)

    def __call__(
        self,
        x: Float[Array, "B T H"],
        mask: Bool[Array, "B 1 1 T"] | None = None,
        *,
        key: jax.Array | None = None,
    ) -> Float[Array, "B T H"]:
        """The layer's vectors.

        Args:
            x: T vectors a sequence.
            mask: which places are attended to; None for all.
            key: random key of the three dropouts; without one nothing is dropped.
        """
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        still = key is None
        attended = self.attention(x, mask=mask, deterministic=still, rngs=keys[0])
        x = self.attention_norm(x + self.dropout(attended, deterministic=still, rngs=keys[1]))
        y = self.down(_ACTIVATIONS[self.activation](self.up(x)))
        return self.norm(x + self.dropout(y, deterministic=still, rngs=keys[2]))

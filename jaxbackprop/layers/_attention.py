"""Multi-head attention: a layer on `ops.attention` between linear maps."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer, xavier_uniform, zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jaxbackprop import ops

from ._layer_norm import LayerNorm
from ._linear_general import LinearGeneral


class MultiHeadAttention(nnx.Module):
    """Multi-head attention, as `flax.nnx.MultiHeadAttention`, whose gradients are hand-derived.

    It differs where `ops.attention` does: a query that may attend to nothing gets 0 (flax: the mean of all
    values), and dropout draws for every weight (flax: one mask for all heads and sequences, unless
    `broadcast_dropout=False`). Flax's `num_kv_heads`, `decode` and its cache, `is_causal` (give `mask`, from
    `nnx.make_causal_mask`), `attention_fn`, `sow_weights`, `precision`, metadata and shardings have no
    counterpart.

    Attributes:
        query: `LinearGeneral` from in_features to (num_heads, head_dim).
        key: from in_kv_features, likewise.
        value: from in_kv_features, likewise.
        query_ln: `LayerNorm` of head_dim, or None.
        key_ln: likewise.
        out: `LinearGeneral` from (num_heads, head_dim) to out_features.
    """

    def __init__(
        self,
        num_heads: int,
        in_features: int,
        qkv_features: int | None = None,
        out_features: int | None = None,
        in_kv_features: int | None = None,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        dropout_rate: float = 0.0,
        deterministic: bool | None = None,
        kernel_init: Initializer = xavier_uniform(),  # noqa: B008  (a pure function, as in flax)
        out_kernel_init: Initializer | None = None,
        bias_init: Initializer = zeros,
        out_bias_init: Initializer | None = None,
        use_bias: bool = True,
        normalize_qk: bool = False,
        rngs: nnx.Rngs,
        keep_rngs: bool = True,
    ):
        """Draws the parameters.

        Args:
            num_heads: heads, N.
            in_features: length of the queries' last axis.
            qkv_features: features of all heads together, N times head_dim; None for in_features.
            out_features: length of the result's last axis; None for in_features.
            in_kv_features: length of the last axis of what is attended to; None for in_features.
            dtype: of the computation; None infers it from inputs and parameters.
            param_dtype: of the parameters.
            dropout_rate: probability that a weight is dropped, in [0, 1].
            deterministic: whether nothing is dropped; None leaves it to `train`, `eval` or the call.
            kernel_init: Xavier uniform unless told.
            out_kernel_init: of the last map; None for kernel_init.
            bias_init: zeros unless told.
            out_bias_init: of the last map; None for bias_init.
            use_bias: whether the maps add biases.
            normalize_qk: whether queries and keys are normalised, head by head, before they meet.
            rngs: source of the `params` keys, and of the `dropout` stream.
            keep_rngs: whether to hold a dropout stream; else every call that drops brings one.

        Raises:
            ValueError: where qkv_features is no multiple of num_heads, or dropout_rate is out of range.
        """
        if not 0 <= dropout_rate <= 1:
            raise ValueError(f"dropout_rate must lie in [0, 1], got {dropout_rate}")
        self.num_heads = num_heads
        self.in_features = in_features
        self.qkv_features = in_features if qkv_features is None else qkv_features
        self.out_features = in_features if out_features is None else out_features
        self.in_kv_features = in_features if in_kv_features is None else in_kv_features
        if self.qkv_features % num_heads:
            raise ValueError(
                f"qkv_features must be a multiple of num_heads {num_heads}, got {self.qkv_features}"
            )
        self.head_dim = self.qkv_features // num_heads
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.dropout_rate = dropout_rate
        self.deterministic = deterministic
        self.use_bias = use_bias
        self.normalize_qk = normalize_qk
        linear = functools.partial(
            LinearGeneral, use_bias=use_bias, dtype=dtype, param_dtype=param_dtype, rngs=rngs
        )
        heads = functools.partial(
            linear, out_features=(num_heads, self.head_dim), kernel_init=kernel_init, bias_init=bias_init
        )
        self.query = heads(self.in_features)
        self.key = heads(self.in_kv_features)
        self.value = heads(self.in_kv_features)
        self.query_ln: LayerNorm | None
        self.key_ln: LayerNorm | None
        if normalize_qk:
            norm = functools.partial(
                LayerNorm, self.head_dim, use_bias=False, dtype=dtype, param_dtype=param_dtype, rngs=rngs
            )
            self.query_ln, self.key_ln = norm(), norm()
        else:
            self.query_ln, self.key_ln = nnx.data(None), nnx.data(None)
        self.out = linear(
            (num_heads, self.head_dim),
            self.out_features,
            axis=(-2, -1),
            kernel_init=out_kernel_init or kernel_init,
            bias_init=out_bias_init or bias_init,
        )
        self.rngs: nnx.RngStream | None
        self.rngs = rngs.dropout.fork() if keep_rngs and dropout_rate > 0 else nnx.data(None)

    def __call__(
        self,
        inputs_q: Float[Array, "... T n"],
        inputs_k: Float[Array, "... S k"] | None = None,
        inputs_v: Float[Array, "... S k"] | None = None,
        *,
        mask: Bool[Array, "..."] | None = None,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | jax.Array | None = None,
    ) -> Float[Array, "... T m"]:
        """Attends.

        Args:
            inputs_q: T inputs that ask.
            inputs_k: S inputs that are compared; None for inputs_q.
            inputs_v: S inputs that answer; None for inputs_k.
            mask: where a query may attend to a key; broadcasts to (..., num_heads, T, S). Numbers count as
                True where they are not 0.
            deterministic: overrides the constructor's.
            rngs: overrides the constructor's; a key is used as it is.

        Raises:
            ValueError: where shapes do not fit, inputs_v comes without inputs_k, or weights are to be dropped
                and nothing says so or there is no stream of keys.
        """
        if inputs_k is None:
            if inputs_v is not None:
                raise ValueError("inputs_k must be given where inputs_v is")
            inputs_k = inputs_q
        query, key = self.query(inputs_q), self.key(inputs_k)
        value = self.value(inputs_k if inputs_v is None else inputs_v)
        if self.query_ln is not None and self.key_ln is not None:
            query, key = self.query_ln(query), self.key_ln(key)
        dropout_key = self._dropout_key(deterministic, rngs)
        y = ops.attention(
            query,
            key,
            value,
            None if mask is None else mask.astype(jnp.bool_),
            dropout_key,
            dropout_rate=0.0 if dropout_key is None else self.dropout_rate,
        )
        return self.out(y)

    def _dropout_key(
        self, deterministic: bool | None, rngs: nnx.Rngs | nnx.RngStream | jax.Array | None
    ) -> jax.Array | None:
        """The key of a call's dropout, or None where nothing is dropped."""
        if self.dropout_rate == 0:
            return None
        deterministic = self.deterministic if deterministic is None else deterministic
        if deterministic is None:
            raise ValueError("deterministic must be given to the constructor or to the call")
        if deterministic:
            return None
        source = self.rngs if rngs is None else rngs
        if source is None:
            raise ValueError("rngs must be given to the call, for the constructor kept none")
        if isinstance(source, nnx.Rngs):
            source = source.dropout
        return source() if isinstance(source, nnx.RngStream) else source

    def set_view(self, deterministic: bool | None = None) -> None:
        """Sets what `nnx.view` may set."""
        if deterministic is not None:
            self.deterministic = deterministic

"""Every operator without its hand-written rule: the usual formula, for JAX to differentiate.

`plain.sigmoid(x)` is the function that `ops.sigmoid(x)` is, called in the same way. It is what the rules are
verified against, and the way out where a custom VJP is refused: forward mode (`jax.jvp`, `jax.jacfwd`,
`jax.linearize`) through an operator raises JAX's "can't apply forward-mode differentiation (jvp) to a
custom_vjp function". Arguments are not checked.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxbackprop._shapes import as_floats

from ._activations import _maxima, _rectifiers, _smooth, _squashing
from ._attention import attention_plain
from ._batch_norm import batch_norm_inference_plain, batch_norm_plain
from ._dropout import as_key, dropout_plain, drops_all
from ._embedding import lookup_plain
from ._gates import add_plain, copy_plain, multiply_plain
from ._l2 import is_penalised, l2_plain
from ._layer_norm import layer_norm_plain
from ._linear import linear_plain
from ._linear_softmax_cross_entropy import linear_softmax_cross_entropy_plain
from ._losses import (
    logsumexp_plain,
    mean_squared_error_plain,
    sigmoid_binary_cross_entropy_plain,
    softmax_plain,
)
from ._pooling import max_pool_plain
from ._rnn import bare_rnn_plain, rnn_plain
from ._softmax_cross_entropy import softmax_cross_entropy_plain
from ._window import window_lookup_plain

# ---- linear maps, lookups, dropout, penalty ---------------------------------------------------------------


def linear(x: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> Array:
    """See `ops.linear`."""
    return linear_plain(jnp.asarray(x), jnp.asarray(W), _array(b))


def embedding(table: ArrayLike, ids: ArrayLike, *, padding_id: int | None = None) -> Array:
    """See `ops.embedding`."""
    return lookup_plain(jnp.asarray(table), jnp.asarray(ids), padding_id)


def window_lookup(table: ArrayLike, ids: ArrayLike, *, padding_id: int | None = None) -> Array:
    """See `ops.window_lookup`."""
    return window_lookup_plain(jnp.asarray(table), jnp.asarray(ids), padding_id)


def dropout(x: ArrayLike, key: ArrayLike | None, rate: float, *, deterministic: bool = False) -> Array:
    """See `ops.dropout`."""
    x = jnp.asarray(x)
    if deterministic or rate == 0:
        return x
    return jnp.zeros_like(x) if drops_all(rate) else dropout_plain(x, as_key(key), rate)


def l2(tree: Any, strength: ArrayLike, *, biases: bool = False, tables: bool = False) -> Array:
    """See `ops.l2`."""
    leaves = [
        jnp.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if is_penalised(path, leaf, biases, tables)
    ]
    return l2_plain(tuple(leaves), jnp.asarray(strength))


# ---- gates ------------------------------------------------------------------------------------------------


def add(x: ArrayLike, y: ArrayLike) -> Array:
    """See `ops.add`."""
    return add_plain(*as_floats(x=x, y=y))


def multiply(x: ArrayLike, y: ArrayLike) -> Array:
    """See `ops.multiply`."""
    return multiply_plain(*as_floats(x=x, y=y))


def copy(x: ArrayLike, n: int) -> tuple[Array, ...]:
    """See `ops.copy`."""
    return copy_plain(jnp.asarray(x), n)


def maximum(x: ArrayLike, y: ArrayLike) -> Array:
    """See `ops.maximum`."""
    return _maxima.maximum_plain(*as_floats(x=x, y=y))


def max(x: ArrayLike, axis: int) -> Array:
    """See `ops.max`."""
    return _maxima.max_plain(jnp.asarray(x), axis)


# ---- activations ------------------------------------------------------------------------------------------


def sigmoid(x: ArrayLike, *, keep: Literal["x", "y"] = "x") -> Array:
    """See `ops.sigmoid`."""
    return _squashing.sigmoid_plain(jnp.asarray(x))


def tanh(x: ArrayLike, *, keep: Literal["x", "y"] = "x") -> Array:
    """See `ops.tanh`."""
    return _squashing.tanh_plain(jnp.asarray(x))


def hardtanh(x: ArrayLike) -> Array:
    """See `ops.hardtanh`."""
    return _squashing.hardtanh_plain(jnp.asarray(x))


def relu(x: ArrayLike) -> Array:
    """See `ops.relu`."""
    return _rectifiers.relu_plain(jnp.asarray(x))


def leaky_relu(x: ArrayLike, slope: float = 0.01) -> Array:
    """See `ops.leaky_relu`."""
    return _rectifiers.leaky_relu_plain(jnp.asarray(x), slope)


def prelu(x: ArrayLike, slope: ArrayLike) -> Array:
    """See `ops.prelu`."""
    return _rectifiers.prelu_plain(*as_floats(x=x, slope=slope))


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """See `ops.elu`."""
    return _rectifiers.elu_plain(jnp.asarray(x), alpha)


def gelu(x: ArrayLike, *, approximate: bool = True) -> Array:
    """See `ops.gelu`."""
    return _smooth.gelu_plain(jnp.asarray(x), approximate)


def softplus(x: ArrayLike) -> Array:
    """See `ops.softplus`."""
    return _smooth.softplus_plain(jnp.asarray(x))


def silu(x: ArrayLike) -> Array:
    """See `ops.silu`."""
    return _smooth.silu_plain(jnp.asarray(x))


# ---- losses -----------------------------------------------------------------------------------------------


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike, *, ignore_label: int | None = None) -> Array:
    """See `ops.softmax_cross_entropy`."""
    return softmax_cross_entropy_plain(jnp.asarray(logits), jnp.asarray(labels), ignore_label)


def linear_softmax_cross_entropy(
    x: ArrayLike,
    W: ArrayLike,
    labels: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    ignore_label: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Literal["none", "sum", "mean"] = "mean",
    chunk: int | Literal["auto", "lean", "fast"] = "auto",
) -> Array:
    """See `ops.linear_softmax_cross_entropy`."""
    return linear_softmax_cross_entropy_plain(
        jnp.asarray(x),
        jnp.asarray(W),
        jnp.asarray(labels),
        _array(bias),
        ignore_label,
        label_smoothing,
        reduction,
    )


def sigmoid_binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """See `ops.sigmoid_binary_cross_entropy`."""
    return sigmoid_binary_cross_entropy_plain(jnp.asarray(logits), jnp.asarray(labels))


def mean_squared_error(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """See `ops.mean_squared_error`."""
    return mean_squared_error_plain(jnp.asarray(predictions), jnp.asarray(targets))


def logsumexp(x: ArrayLike, axis: int = -1) -> Array:
    """See `ops.logsumexp`."""
    return logsumexp_plain(jnp.asarray(x), axis)


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """See `ops.softmax`."""
    return softmax_plain(jnp.asarray(x), axis)


# ---- normalisation ----------------------------------------------------------------------------------------


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    axis_name: Hashable = None,
) -> tuple[Array, Array, Array]:
    """See `ops.batch_norm`."""
    return batch_norm_plain(_array(x), _array(scale), _array(bias), _array(mask), epsilon, axis_name)


def batch_norm_inference(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> Array:
    """See `ops.batch_norm_inference`."""
    return batch_norm_inference_plain(
        _array(x), _array(mean), _array(var), _array(scale), _array(bias), epsilon
    )


def layer_norm(
    x: ArrayLike, scale: ArrayLike | None = None, bias: ArrayLike | None = None, *, epsilon: float = 1e-6
) -> Array:
    """See `ops.layer_norm`."""
    return layer_norm_plain(_array(x), _array(scale), _array(bias), epsilon)


# ---- over time steps --------------------------------------------------------------------------------------


def rnn(
    x: ArrayLike,
    W_x: ArrayLike,
    W_h: ArrayLike,
    b: ArrayLike | None = None,
    h0: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    *,
    activation: Literal["tanh", "relu"] = "tanh",
    keep: Literal["y", "x"] | None = None,
    checkpoint: int | Literal["sqrt"] | None = None,
    return_sequences: bool = True,
) -> Array:
    """See `ops.rnn`."""
    return rnn_plain(
        _array(x),
        _array(W_x),
        _array(W_h),
        _array(b),
        _array(h0),
        _array(mask),
        activation,
        return_sequences,
    )


def bare_rnn(W: ArrayLike, h0: ArrayLike, steps: int) -> Array:
    """See `ops.bare_rnn`."""
    return bare_rnn_plain(jnp.asarray(W), jnp.asarray(h0), steps)


def max_pool(x: ArrayLike, window: int, stride: int = 1) -> Array:
    """See `ops.max_pool`."""
    return max_pool_plain(jnp.asarray(x), window, stride)


def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    mask: ArrayLike | None = None,
    dropout_key: ArrayLike | None = None,
    *,
    dropout_rate: float = 0.0,
    scale: float | None = None,
) -> Array:
    """See `ops.attention`."""
    drawn = None if dropout_rate in (0, 1) else as_key(dropout_key, "dropout_key")
    return attention_plain(
        _array(query), _array(key), _array(value), _array(mask), drawn, dropout_rate, scale
    )


def _array(value: ArrayLike | None) -> Any:
    return None if value is None else jnp.asarray(value)

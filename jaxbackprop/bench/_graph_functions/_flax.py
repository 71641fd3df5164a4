"""Modules of flax.nnx."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ._function import Function, Scale, fixed, integer, real
from ._modules import module, size

_X = real((4, 6), (1024, 256))
_IMAGES = real((2, 6, 6, 3), (16, 32, 32, 3))
_MAPS = real((2, 4, 5, 6), (16, 32, 32, 32))
_WORDS = real((2, 5, 8), (8, 64, 128))

# flax adds biases of one axis to batches.
_layer = functools.partial(module, "flax layers", loose=True)
_model = functools.partial(module, "flax models", loose=True)


class _MLP(nnx.Module):
    """Two hidden layers with LayerNorm and gelu."""

    def __init__(self, inputs: int, hidden: int, outputs: int, rngs: nnx.Rngs, dropout: float = 0.0):
        widths = [inputs, hidden, hidden]
        self.linear = nnx.List(
            [nnx.Linear(i, o, rngs=rngs) for i, o in zip(widths, widths[1:], strict=False)]
        )
        self.norm = nnx.List([nnx.LayerNorm(hidden, rngs=rngs) for _ in widths[1:]])
        self.dropout = nnx.Dropout(dropout, rngs=rngs) if dropout else None
        self.out = nnx.Linear(hidden, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for linear, norm in zip(self.linear, self.norm, strict=True):
            x = nnx.gelu(norm(linear(x)))
            if self.dropout is not None:
                x = self.dropout(x)
        return self.out(x)


class _ConvNet(nnx.Module):
    """Conv, BatchNorm over the batch, relu, pooling, twice; then the mean over the image."""

    def __init__(self, widths: tuple[int, int], rngs: nnx.Rngs):
        first, second = widths
        self.conv1 = nnx.Conv(3, first, (3, 3), rngs=rngs)
        self.norm1 = nnx.BatchNorm(first, rngs=rngs)
        self.conv2 = nnx.Conv(first, second, (3, 3), strides=2, rngs=rngs)
        self.norm2 = nnx.BatchNorm(second, rngs=rngs)
        self.out = nnx.Linear(second, 5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.max_pool(nnx.relu(self.norm1(self.conv1(x))), (2, 2), (2, 2))
        x = nnx.avg_pool(nnx.relu(self.norm2(self.conv2(x))), (2, 2), (1, 1), "SAME")
        return self.out(jnp.mean(x, (1, 2)))


class _Block(nnx.Module):
    """A block of a transformer: attention and a hidden layer, each normalised before and added after."""

    def __init__(self, features: int, heads: int, rngs: nnx.Rngs):
        self.attention = nnx.MultiHeadAttention(heads, features, decode=False, rngs=rngs)
        self.norm1, self.norm2 = nnx.LayerNorm(features, rngs=rngs), nnx.LayerNorm(features, rngs=rngs)
        self.up, self.down = (
            nnx.Linear(features, 4 * features, rngs=rngs),
            nnx.Linear(4 * features, features, rngs=rngs),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        mask = nnx.make_causal_mask(jnp.ones(x.shape[:2]))
        x = x + self.attention(self.norm1(x), mask=mask)
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


def _mlp(scale: Scale, rngs: nnx.Rngs, dropout: float = 0.0) -> nnx.Module:
    return _MLP(size(scale, 6, 256), size(scale, 8, 512), 5, rngs, dropout)


def _classified(model: Any, x: Any, labels: Any) -> Any:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(model(x), labels))


def _attention(scale: Scale, rngs: nnx.Rngs, **settings: Any) -> nnx.Module:
    return nnx.MultiHeadAttention(2, size(scale, 8, 128), decode=False, rngs=rngs, **settings)


def _embedded(model: Any, ids: Any) -> Any:
    # The module remembers the dtype that its table had when it was made.
    model.dtype = model.embedding.dtype
    return model(ids)


def _looked_up(model: Any, ids: Any) -> Any:
    model.dtype = model.embedding.dtype
    return model.attend(jnp.tanh(model(ids)))


def _features(f: Any, small: int, bench: int, **settings: Any) -> Any:
    """A module of so many features."""
    return lambda scale, rngs: f(size(scale, small, bench), rngs=rngs, **settings)


def _linear(f: Any, small: tuple[Any, ...], bench: tuple[Any, ...], **settings: Any) -> Any:
    """A module from so many features to so many."""
    return lambda scale, rngs: f(*(small if scale == "small" else bench), rngs=rngs, **settings)


_LABELS = integer((4,), (1024,), 5)

FUNCTIONS: tuple[Function, ...] = (
    _model("nnx MLP with LayerNorm and gelu", _mlp, fixed(_X), _LABELS, call=_classified, bar=1.1),
    _model("nnx MLP as the argument", _mlp, fixed(_X), _LABELS, call=_classified, whole=True, bar=1.1),
    _model(
        "nnx MLP with dropout", functools.partial(_mlp, dropout=0.3), fixed(_X), _LABELS, call=_classified
    ),
    _model(
        "nnx Conv, BatchNorm, pooling",
        lambda scale, rngs: _ConvNet((4, 5) if scale == "small" else (16, 32), rngs),
        _IMAGES,
    ),
    _model(
        "nnx transformer block",
        lambda scale, rngs: _Block(size(scale, 8, 128), 2, rngs),
        _WORDS,
        precision=jnp.float32,
    ),
    _layer("nnx.Linear", _linear(nnx.Linear, (6, 5), (256, 256)), _X),
    _layer("nnx.LinearGeneral", _linear(nnx.LinearGeneral, (6, (2, 3)), (256, (8, 32))), _X),
    _layer(
        "nnx.Einsum", _linear(nnx.Einsum, ("bi,io->bo", (6, 4), (4,)), ("bi,io->bo", (256, 256), (256,))), _X
    ),
    _layer("nnx.Conv", _linear(nnx.Conv, (3, 4, (3, 3)), (3, 16, (3, 3))), _IMAGES),
    _layer(
        "nnx.Conv, circular", _linear(nnx.Conv, (3, 4, (3, 2)), (3, 16, (3, 2)), padding="CIRCULAR"), _IMAGES
    ),
    _layer(
        "nnx.ConvTranspose",
        _linear(nnx.ConvTranspose, (3, 4, (2, 2)), (3, 8, (2, 2)), strides=(2, 2)),
        _IMAGES,
    ),
    _layer("nnx.BatchNorm", _features(nnx.BatchNorm, 6, 256), _X),
    _layer("nnx.BatchNorm, averages in use", _features(nnx.BatchNorm, 6, 256, use_running_average=True), _X),
    _layer("nnx.LayerNorm", _features(nnx.LayerNorm, 6, 256), _X),
    _layer("nnx.LayerNorm, slow variance", _features(nnx.LayerNorm, 6, 256, use_fast_variance=False), _X),
    _layer("nnx.RMSNorm", _features(nnx.RMSNorm, 6, 256), _X),
    _layer(
        "nnx.GroupNorm",
        lambda scale, rngs: nnx.GroupNorm(size(scale, 6, 32), size(scale, 3, 8), rngs=rngs),
        _MAPS,
    ),
    _layer("nnx.InstanceNorm", _features(nnx.InstanceNorm, 6, 32), _MAPS),
    _layer("nnx.PReLU", lambda scale, rngs: nnx.PReLU(), _X),
    _layer("nnx.Dropout", lambda scale, rngs: nnx.Dropout(0.3, rngs=rngs), _X),
    _layer(
        "nnx.Embed",
        _linear(nnx.Embed, (7, 4), (4096, 128)),
        integer((2, 5), (64, 64), (7, 4096)),
        call=_embedded,
    ),
    _layer(
        "nnx.Embed, in and out",
        _linear(nnx.Embed, (7, 4), (512, 64)),
        integer((2, 5), (8, 64), (7, 512)),
        call=_looked_up,
    ),
    # Without dropout, its softmax is computed in float32.
    _layer("nnx.MultiHeadAttention", _attention, _WORDS, precision=jnp.float32),
    _layer(
        "nnx.MultiHeadAttention with dropout",
        functools.partial(_attention, dropout_rate=0.2, deterministic=False),
        _WORDS,
    ),
    _layer(
        "nnx.MultiHeadAttention to others, normalised",
        functools.partial(_attention, normalize_qk=True),
        _WORDS,
        real((2, 3, 8), (8, 32, 128)),
        call=lambda model, x, others: model(x, others),
        precision=jnp.float32,
    ),
    _layer(
        "nnx.max_pool",
        lambda scale, rngs: nnx.Sequential(),
        _MAPS,
        call=lambda _, x: nnx.max_pool(x, (3, 2), (2, 2), "SAME"),
    ),
    _layer(
        "nnx.avg_pool",
        lambda scale, rngs: nnx.Sequential(),
        _MAPS,
        call=lambda _, x: nnx.avg_pool(x, (2, 3), (2, 1)),
    ),
    _layer("nnx.LoRALinear", _linear(nnx.LoRALinear, (6, 5), (256, 256), lora_rank=2), _X),
)

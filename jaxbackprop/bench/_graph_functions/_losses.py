"""Every loss of optax."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from optax import losses

from ._function import Function, Sizes, fixed, function, integer, mask, real

_SHAPES = (4, 5), (1024, 512)
_SCORES = real(*_SHAPES, -3.0, 3.0)
_TARGETS = fixed(_SCORES)
_SHARES = fixed(real(*_SHAPES, 0.1, 0.9))
_LABELS = integer((4,), (1024,), (5, 512))
_YES = integer(*_SHAPES, 2)


def _loss(name: str, f: Callable[..., Any], *draws: Sizes) -> Function:
    # optax adds arrays of different ranks and multiplies integer labels by logits.
    return function("losses", name, f, *draws, loose=True)


def _plain(f: Callable[..., Any], *draws: Sizes) -> Function:
    return _loss(f"optax.{f.__name__}", f, *draws)


def _distribution(x: Any) -> Any:
    return x / jnp.sum(x, -1, keepdims=True)


def _signs(labels: Any) -> Any:
    return 2 * labels - 1


def _ctc(logits: Any, pads: Any, labels: Any) -> Any:
    """Sequences of which the last has padding, and labels of which it has fewer."""
    label_pads = jnp.zeros(labels.shape, logits.dtype).at[-1, -1].set(1)
    return losses.ctc_loss(logits, pads * jnp.zeros_like(pads).at[-1, -2:].set(1), labels + 1, label_pads)


FUNCTIONS: tuple[Function, ...] = (
    _plain(losses.squared_error, _SCORES, _TARGETS),
    _plain(losses.l2_loss, _SCORES, _SCORES),
    _plain(losses.huber_loss, _SCORES, _TARGETS),
    _plain(losses.log_cosh, _SCORES, _TARGETS),
    _plain(losses.cosine_similarity, _SCORES, _SCORES),
    _plain(losses.cosine_distance, _SCORES, _TARGETS),
    _plain(losses.sigmoid_binary_cross_entropy, _SCORES, _SHARES),
    _plain(losses.sigmoid_focal_loss, _SCORES, _SHARES),
    _loss(
        "optax.sigmoid_focal_loss with alpha",
        lambda x, y: losses.sigmoid_focal_loss(x, y.astype(x.dtype), alpha=0.3),
        _SCORES,
        _YES,
    ),
    _loss("optax.hinge_loss", lambda x, y: losses.hinge_loss(x, _signs(y)), _SCORES, _YES),
    _loss("optax.perceptron_loss", lambda x, y: losses.perceptron_loss(x, _signs(y)), _SCORES, _YES),
    _plain(losses.sparsemax_loss, _SCORES, _YES),
    _plain(losses.softmax_cross_entropy, _SCORES, _SHARES),
    _loss(
        "optax.softmax_cross_entropy, mean",
        lambda x, y: jnp.mean(losses.softmax_cross_entropy(x, y)),
        _SCORES,
        _SHARES,
    ),
    _loss(
        "optax.softmax_cross_entropy where",
        lambda x, y, m: losses.softmax_cross_entropy(x, y, where=m),
        _SCORES,
        _SHARES,
        mask(*_SHAPES),
    ),
    _plain(losses.softmax_cross_entropy_with_integer_labels, _SCORES, _LABELS),
    _loss(
        "optax.softmax_cross_entropy, smooth labels",
        lambda x, i: losses.softmax_cross_entropy(
            x, losses.smooth_labels(jax.nn.one_hot(i, x.shape[1], dtype=x.dtype), 0.1)
        ),
        _SCORES,
        _LABELS,
    ),
    _plain(losses.safe_softmax_cross_entropy, _SCORES, _SHARES),
    _plain(losses.poly_loss_cross_entropy, _SCORES, _SHARES),
    _plain(losses.multiclass_hinge_loss, _SCORES, _LABELS),
    _plain(losses.multiclass_perceptron_loss, _SCORES, _LABELS),
    _plain(losses.multiclass_sparsemax_loss, _SCORES, _LABELS),
    _loss(
        "optax.kl_divergence",
        lambda x, y: losses.kl_divergence(jax.nn.log_softmax(x), _distribution(y)),
        _SCORES,
        _SHARES,
    ),
    _loss(
        "optax.kl_divergence_with_log_targets",
        lambda x, y: losses.kl_divergence_with_log_targets(jax.nn.log_softmax(x), jnp.log(_distribution(y))),
        _SCORES,
        _SHARES,
    ),
    _loss("optax.generalized_kl_divergence", losses.generalized_kl_divergence, _SCORES, _SHARES),
    _plain(losses.ranking_softmax_loss, _SCORES, _SHARES),
    _loss(
        "optax.dice_loss",
        losses.dice_loss,
        real((2, 6, 3), (8, 8192, 8)),
        fixed(real((2, 6, 3), (8, 8192, 8), 0.0, 1.0)),
    ),
    _loss("optax.binary_dice_loss", losses.binary_dice_loss, _SCORES, _SHARES),
    _loss(
        "optax.multiclass_generalized_dice_loss",
        losses.multiclass_generalized_dice_loss,
        real((2, 6, 3), (8, 8192, 8)),
        fixed(real((2, 6, 3), (8, 8192, 8), 0.0, 1.0)),
    ),
    _plain(losses.triplet_margin_loss, _SCORES, _SCORES, _SCORES),
    _plain(losses.ntxent, real((6, 4), (256, 64)), integer((6,), (256,), (3, 32))),
    _loss(
        "optax.ctc_loss",
        _ctc,
        real((2, 6, 4), (16, 64, 32)),
        fixed(real((2, 6), (16, 64), 1.0, 1.0)),
        integer((2, 3), (16, 16), 3),
    ),
    _loss(
        "optax.make_fenchel_young_loss",
        losses.make_fenchel_young_loss(functools.partial(jax.nn.logsumexp, axis=-1)),
        _SCORES,
        _SHARES,
    ),
)

"""How gradients become updates where layers have learning rates and first epochs of their own."""

from __future__ import annotations

from typing import Any

import jax
import optax
from flax import nnx

from jaxbackprop.train import Schedule, kernels, make_clipping, make_optimizer

from ._config import Settings
from ._parts import depth_of, frozen_parts, part_of


def trainable(settings: Settings, layers: int) -> nnx.filterlib.Filter:
    """Which of the parameters are trained: those of no frozen part."""
    frozen = frozen_parts(settings.own.freeze, layers)
    return nnx.All(nnx.Param, lambda path, value: part_of(path) not in frozen)


def make_updates(
    settings: Settings, schedule: Schedule, steps_per_epoch: float, layers: int
) -> optax.GradientTransformation:
    """The optimizer: one for each depth where depths differ.

    With `layerwise_decay` d, a part k below the new layer learns at d^k times the schedule's rate. With
    `unfreeze_gradually` it is left as it is for k epochs, and its optimizer begins there.

    Args:
        settings: of the run.
        schedule: step -> learning rate.
        steps_per_epoch: updates in one pass over the training sentences.
        layers: of the model.

    Source: Howard and Ruder 2018, arXiv:1801.06146 (gradual unfreezing, discriminative rates).
    """
    own, config = settings.own, settings.training
    if own.layerwise_decay == 1 and not own.unfreeze_gradually:
        return make_optimizer(config, schedule, decayed=kernels)

    def of_depth(depth: int) -> optax.GradientTransformation:
        start = round(depth * steps_per_epoch) if own.unfreeze_gradually else 0
        rate = own.layerwise_decay**depth
        # Gradients are clipped together, before they part.
        optimizer = make_optimizer(
            config, lambda step: rate * schedule(step + start), decayed=kernels, clipped=False
        )
        if start == 0:
            return optimizer
        return optax.conditionally_mask(optimizer, lambda step: step >= start)

    def depths(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, _: str(depth_of(part_of(path), layers)), params)

    parted = optax.multi_transform({str(depth): of_depth(depth) for depth in range(layers + 2)}, depths)
    clipping = make_clipping(config)
    return parted if clipping is None else optax.chain(clipping, parted)

"""optax's optimizers by name, with clipping and decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxbackprop.optim import rows

from ._config import Config
from ._schedules import Schedule


def make_optimizer(
    config: Config,
    schedule: Schedule,
    *,
    momentum: Schedule | None = None,
    decayed: Callable[[Any], Any] | None = None,
    clipped: bool = True,
) -> optax.GradientTransformation:
    """The optimizer of optax that has the configured name, driven by a schedule.

    ``clip_norm`` scales all gradients down together where their norm is larger. ``weight_decay`` λ is
    decoupled: beside the optimizer's own step every weight loses λ times the learning rate of itself. With
    sgd that is what an L2 penalty of strength λ/2 does. With adam it is not: the penalty's gradient is
    divided by the size of the gradients with all the rest, so weights with large gradients hardly decay.
    adamw is adam with such a decay.

    Args:
        config: the settings.
        schedule: step -> learning rate.
        momentum: step -> momentum; None takes the configured one throughout.
        decayed: from parameters to a tree of booleans, which of them decay; None for all.
        clipped: whether it clips; not where gradients have been clipped before they come to it.

    Returns:
        An optax gradient transformation.

    Source: lecture, unit 3 "Optimizer"; Loshchilov and Hutter, Decoupled Weight Decay Regularization,
        ICLR 2019; Pascanu et al., ICML 2013 (clipping).
    """
    if config.weight_decay == 0:
        optimizer = _named(config, schedule, momentum)
    else:
        # With a rate of 1 it gives the step to be taken, downwards; the decay goes down too.
        optimizer = optax.chain(
            _named(config, 1.0, momentum),
            optax.add_decayed_weights(-config.weight_decay, decayed),
            optax.scale_by_schedule(schedule),
        )
    clipping = make_clipping(config) if clipped else None
    return optimizer if clipping is None else optax.chain(clipping, optimizer)


def make_row_optimizer(config: Config, schedule: Schedule) -> optax.GradientTransformation | None:
    """The optimizer of that name that updates only the rows of a table that a batch looks up.

    sgd and adagrad follow the trajectory of the dense update exactly. adam and adamw are lazy: a word that
    does not occur in a batch keeps its vector and its running means
    (:func:`jaxbackprop.optim.rows.lazy_adam`). Tables do not decay.

    Args:
        config: the settings.
        schedule: step -> learning rate.

    Returns:
        A gradient transformation, or None for momentum, nesterov, radam and rmsprop, which move every row in
        every step: the table is then updated as a whole.
    """
    match config.optimizer:
        case "sgd":
            return rows.sgd(schedule)
        case "adagrad":
            return rows.adagrad(schedule)
        case "adam" | "adamw":
            return rows.lazy_adam(schedule)
    return None


def make_clipping(config: Config) -> optax.GradientTransformation | None:
    """Clipping by the norm of all gradients that it is given, arrays and rows; None without ``clip_norm``."""
    return None if config.clip_norm is None else rows.clip_by_global_norm(config.clip_norm)


def kernels(params: Any) -> Any:
    """Which parameters are weights of linear layers, on which weight decay acts: a tree of booleans."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: any(getattr(entry, "key", None) == "kernel" for entry in path), params
    )


def _named(config: Config, rate: Schedule | float, momentum: Schedule | None) -> optax.GradientTransformation:
    match config.optimizer:
        case "sgd":
            return optax.sgd(rate)
        case "momentum" | "nesterov":
            nesterov = config.optimizer == "nesterov"
            if momentum is None:
                return optax.sgd(rate, momentum=config.momentum, nesterov=nesterov)
            changing = optax.inject_hyperparams(optax.sgd, static_args="nesterov")
            return changing(learning_rate=rate, momentum=momentum, nesterov=nesterov)
        case "adam" | "adamw":
            return optax.adam(rate)
        case "radam":
            return optax.radam(rate)
        case "adagrad":
            return optax.adagrad(rate)
        case "rmsprop":
            return optax.rmsprop(rate)
    raise ValueError(f"--optimizer {config.optimizer!r} is unknown")

"""What is wrong with a model whose loss is no number, in a sentence."""

from __future__ import annotations

from typing import Any

from flax import nnx

from jaxbackprop.doctor import health
from jaxbackprop.train import Diverged


def first_bad_node(error: Diverged, loss: Any) -> str:
    """The doctor's first finding on the model before the step, with that step's batch and key."""
    graphdef, *states = nnx.split(error.model, nnx.Param, ...)
    params, rest = states

    def training_loss(params: nnx.State, batch: Any) -> Any:
        return loss(nnx.merge(graphdef, params, rest), batch, error.key)

    report = health(training_loss, params, error.batch, argnums=0)
    if not report.findings:
        return ""
    first = report.findings[0]
    return f"{first.name}: {first.message}"

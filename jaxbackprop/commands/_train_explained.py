"""What is wrong with a model whose loss is no number, in a sentence."""

from __future__ import annotations

from typing import Any

from jaxbackprop.doctor import health
from jaxbackprop.train import Diverged

from ._training_loss import training_loss_of


def first_bad_node(error: Diverged, loss: Any) -> str:
    """The doctor's first finding on the model before the step, with that step's batch and key."""
    assert error.key is not None  # there is one where there is a model
    params, training_loss = training_loss_of(error.model, loss, error.key)
    report = health(training_loss, params, error.batch, argnums=0)
    if not report.findings:
        return ""
    first = report.findings[0]
    return f"{first.name}: {first.message}"

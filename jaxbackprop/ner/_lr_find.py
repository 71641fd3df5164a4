"""The learning rates that suit a window classifier, found by Smith's range test."""

from __future__ import annotations

from jaxbackprop.train import Config, Progress, RangeTest, Reporting

from ._prepared import Prepared


def find_learning_rates(
    config: Config, low: float, high: float, steps: int, reporting: Reporting
) -> RangeTest:
    """Trains a fresh model under a growing learning rate; nothing is kept of it.

    Args:
        config: the settings of data, model and optimizer; its schedule plays no part.
        low: the first learning rate, above 0.
        high: the last, above it.
        steps: updates at most.
        reporting: where progress goes.

    Returns:
        The losses by rate, and the rates that they suggest.

    Raises:
        DataError: the data is not what it should be.
        MissingExtra: the default data is not installed.
    """
    prepared = Prepared(config, reporting)
    with Progress(reporting.console, steps) as progress:
        return prepared.training.range_test(low, high, steps, on_steps=progress.steps)

"""The right numbers in other places: transposed, reversed, shifted, summed, another argument's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._axes import axis_orders, axis_subsets, in_words, long_axes, shifted
from .._evidence import Suspicion
from ..mistakes import Mistake
from ._probe import Probe


def transposed_gradient(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The right gradient with its axes in another order."""
    wants = [s.want[leaf] for s in probe.samples]
    for order in axis_orders(wants[0].shape):
        if probe.is_always(leaf, (want.transpose(order) for want in wants)):
            # A gradient that is constant along an axis is the sum over the wrong one, spread out again.
            flat = all(
                any(probe.constant_along(want, axis) for axis in long_axes(want.shape)) for want in wants
            )
            how = "" if len(order) == 2 else f", its axes in the order {order}"
            says = f"is the transpose of what it should be{how}"
            yield from probe.suspect(leaf, says, {Mistake.TRANSPOSED_RESULT: 0.1 if flat else 0.0})
            yield from probe.suspect(leaf, f"is transposed{how}", {Mistake.WRONG_AXIS: 0.05 if flat else 0.3})
            return


def reversed_gradient(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The right gradient backwards."""
    wants = [s.want[leaf] for s in probe.samples]
    for axes in axis_subsets(wants[0].shape):
        if probe.is_always(leaf, (np.flip(want, axes) for want in wants)):
            yield from probe.suspect(
                leaf, f"runs backwards along {in_words(axes)}", {Mistake.ORDER_REVERSED: 0.02}
            )
            return


def shifted_gradient(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The right gradient one place on along an axis."""
    for axis, wants in _varying_axes(probe, leaf):
        for by in (1, -1):
            for wrap in (True, False):
                if probe.is_always(leaf, (shifted(want, by, axis, wrap=wrap) for want in wants)):
                    says = f"is shifted by one along axis {axis}"
                    yield from probe.suspect(leaf, says, {Mistake.OFF_BY_ONE: 0.02, Mistake.TIME_SHIFT: 0.4})


def summed_gradient(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The sum or mean of the right gradient over an axis, spread out again."""
    for axis, wants in _varying_axes(probe, leaf):
        for f, name in ((np.sum, "sum"), (np.mean, "mean")):
            totals = (np.asarray(f(want, axis=axis, keepdims=True)) for want in wants)
            if probe.is_always(leaf, (np.broadcast_to(total, wants[0].shape) for total in totals)):
                says = f"is the {name} over axis {axis} of what it should be, everywhere"
                yield from probe.suspect(leaf, says, {Mistake.EXTRA_SUM: 0.02})


def _varying_axes(probe: Probe, leaf: int) -> Iterator[tuple[int, list[np.ndarray]]]:
    """The axes along which the right gradient is not constant at all samples, and that gradient."""
    wants = [s.want[leaf] for s in probe.samples]
    for axis in long_axes(wants[0].shape):
        if not all(probe.constant_along(want, axis) for want in wants):
            yield axis, wants


def another_arguments(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The right cotangent of another argument."""
    wants = probe.samples[0].want
    for other in range(len(wants)):
        if other == leaf or wants[other].shape != wants[leaf].shape:
            continue
        if probe.is_always(leaf, (s.want[other] for s in probe.samples)):
            both = probe.is_always(other, (s.want[leaf] for s in probe.samples))
            says = f"is what {probe.name(other)} should be"
            yield from probe.suspect(leaf, says, {Mistake.ARGUMENTS_SWAPPED: 0.0 if both else 0.1})

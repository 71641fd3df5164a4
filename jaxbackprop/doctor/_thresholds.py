"""The bounds of what is healthy, each with its reason, in one table."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A bound of what is healthy.

    Attributes:
        value: the bound.
        reason: why it is this value.
    """

    value: float
    reason: str


THRESHOLDS: dict[str, Threshold] = {
    "saturated slope": Threshold(
        0.01,
        "a unit is saturated where its slope is below a hundredth of the largest: |x| > 3 for tanh, |x| > 6 "
        "for the sigmoid; what it still passes drowns in what the others pass",
    ),
    "saturated share": Threshold(
        0.5,
        "at half, the typical unit is saturated; weights that keep the variance saturate 0.3% of tanh units",
    ),
    "saturated input": Threshold(
        8.0,
        "where training drives units to their bounds to fit perfectly, half of them or more, it stops soon "
        "behind: what goes in has size 4 or so. Beyond twice that (for the sigmoid twice again) they did "
        "not get there by learning",
    ),
    "saturated gates": Threshold(
        0.9,
        "a sigmoid or tanh that multiplies something is a gate: open and shut are what it is for, and only "
        "where next to all are stuck can it not learn",
    ),
    "dead share": Threshold(
        0.65,
        "weights drawn symmetrically about 0 leave at most half of the units without an active example, "
        "however deep and alike the layer's inputs: more than that was done by training",
    ),
    "dead share, deviations": Threshold(
        3.0,
        "a layer of few units has more dead ones by chance: so many standard deviations of n fair coins must "
        "lie between half and the share",
    ),
    "dead share, first layer": Threshold(
        0.6,
        "data are less alike than what deep layers make of them: there hardly a unit is dead by "
        "chance, and a "
        "quarter after training that worked",
    ),
    "examples": Threshold(
        8,
        "a unit is called dead after so many examples: among fewer, half the living ones may happen "
        "to be off",
    ),
    "vanishing by depth": Threshold(
        1e-5,
        "a step that trains the last layer moves the first, in proportion to its size, by a "
        "hundred-thousandth: it stays as it was drawn for as long as one trains",
    ),
    "exploding by depth": Threshold(
        1e4,
        "a learning rate that the first layers bear is a ten-thousandth of what the last ones need",
    ),
    "levels": Threshold(
        3,
        "vanishing and exploding compound from layer to layer, over so many at least",
    ),
    "one step": Threshold(
        0.6,
        "a single factor that makes more than this part of the fall or rise (on the logarithmic "
        "scale) is one "
        "scale that the author chose, such as a branch that starts at 1e-6 or at 0",
    ),
    "weight gain": Threshold(
        12.0,
        "weights that keep the variance multiply the size of a layer's input by 1 to 1.4, training makes "
        "that a few times more",
    ),
    "layer gain": Threshold(
        10.0,
        "and so they did on this batch: the layer's result is so many times its input",
    ),
    "vanishing over time": Threshold(
        2.0**-36,
        "float32 loses what is 2^-24 of what it is added to, as the first steps' part of the gradient of the "
        "shared weights is; a tanh layer that starts well passes two thirds a step and is, after "
        "fifty steps, "
        "2^-30: it can still learn to keep more, so another factor of 2^-6 is granted",
    ),
    "fed": Threshold(
        0.01,
        "the loss looks at a step itself where it adds so much to the gradient that comes from later ones; "
        "where it looks at most steps, memory need not be long, and only states that fade out are ill",
    ),
    "exploding over time": Threshold(
        1e4,
        "the gradient of the shared weights is the first steps' alone, and ten thousand times what the last "
        "steps asked for",
    ),
    "steps": Threshold(5, "a rate of growth is taken over so many steps at least"),
    "underflow": Threshold(
        0.1,
        "float16 rounds by a two-thousandth at most; where a tenth of a gradient's norm is lost, many of its "
        "entries are 0 or have hardly a digit",
    ),
    "update": Threshold(
        1.0,
        "an update as large as the weight itself replaces what was learned; a thousandth is usual, a tenth "
        "happens in the first steps of Adam",
    ),
    "update lost, 16 bits": Threshold(
        0.5,
        "where most entries of a weight stay as they are, it hardly learns whatever its gradient is: "
        "bfloat16 loses updates below a 512th of a weight, and usual ones are a thousandth",
    ),
    "update lost": Threshold(
        2.0**-24,
        "an update below half a unit in the last place of float32 leaves the weight as it was (a "
        "note only: a "
        "model that has converged does so too)",
    ),
}


def threshold(name: str) -> float:
    """The bound of this name."""
    return THRESHOLDS[name].value

"""What was measured of one quantity in one dtype."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class AccuracyResult:
    """Errors of one operator's value, or of its gradient with respect to one argument, in one dtype.

    Attributes:
        operator: its name.
        way: the settings with which it was called.
        of: "value", or the argument's name.
        dtype: of the arguments.
        entries: how many numbers were held against the truth.
        largest: the largest error in units in the last place; infinite where a finite number is due and none
            came.
        mean: the mean error.
        worst: where the largest error is; empty where there is none.
        autodiff_largest: the largest error of `jax.vjp` of the plain formula, at the same points.
        autodiff_mean: its mean error.
        bar: the largest error that is promised; None: autodiff's and one unit. Nothing is promised of values.
        problems: where the promise is broken, or why nothing could be measured, in a sentence.
    """

    operator: str
    way: str
    of: str
    dtype: str
    entries: int = 0
    largest: float = 0.0
    mean: float = 0.0
    worst: str = ""
    autodiff_largest: float = 0.0
    autodiff_mean: float = 0.0
    bar: float | None = None
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the promise is kept."""
        return not self.problems

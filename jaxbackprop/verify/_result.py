"""What was measured of one gradient."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class GradientResult:
    """What was measured of one operator's gradient with respect to one argument, at the worst random point.

    Special points (kinks, ties, tails) give a verdict alone: there, autodiff's choice or its rounding would
    be what is measured. Errors in `ulp` are in units in the last place: of the entry itself for elementwise
    operators, else of the array's largest entry (a sum that cancels is not judged by its small result).
    What the truth's own rounding explains is not counted.

    Attributes:
        operator: its name.
        argument: the argument's name.
        float64_ulp: custom VJP against float64 autodiff of the plain oracle, both in float64.
        float32_ulp: custom VJP in float32 against the same truth.
        differences: largest distance in float64 from extrapolated central differences.
        differences_error: the differences' own error estimate there.
        reference: largest distance in float64 from the derivation on paper; None where not asked for.
        jit_ulp: under jit against eager, in float32.
        vmap_ulp: under vmap against a loop, in float32.
        residual_bytes: what the rule keeps for the backward pass, in float32, first case: every array that
            the pullback holds, once; arguments that are kept count like any other array.
        autodiff_bytes: what autodiff of the plain oracle keeps, counted in the same way.
        kinks: points at which the oracle has no derivative and the rule chose a valid generalised gradient.
        problems: what is wrong, a sentence each; empty where nothing is.
    """

    operator: str
    argument: str
    float64_ulp: float = 0.0
    float32_ulp: float = 0.0
    differences: float = 0.0
    differences_error: float = 0.0
    reference: float | None = None
    jit_ulp: float = 0.0
    vmap_ulp: float = 0.0
    residual_bytes: int = 0
    autodiff_bytes: int = 0
    kinks: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def raise_to(self, name: str, error: float) -> None:
        """Raises a largest error where this one is larger."""
        setattr(self, name, max(getattr(self, name) or 0.0, error))

    def blame(self, problem: str) -> None:
        """Adds a problem once."""
        if problem not in self.problems:
            self.problems.append(problem)

"""Names a mistake from the numbers: rule and right gradient are black boxes that can be asked anywhere."""

from ._patterns import structure as structure

"""What a function is, to more than fifty digits: its float64 program, evaluated with long numbers."""

from ._numbers import Truth as Truth
from ._numbers import from_exact as from_exact
from ._numbers import to_exact as to_exact
from ._program import ExactProgram as ExactProgram
from ._program import NoExactRule as NoExactRule
from ._program import evaluate as evaluate

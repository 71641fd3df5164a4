"""Which changes of a program are tried."""

from ._mutate_numbers import Numbers
from ._mutate_pairs import Pairs
from ._mutate_values import Values


class Edits(Values, Numbers, Pairs):
    """All edits of one program, a method a kind: each yields them, cheap ones first."""

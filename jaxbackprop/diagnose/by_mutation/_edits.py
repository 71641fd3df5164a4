"""Which changes of a program are tried."""

from ._numbers import Numbers
from ._pairs import Pairs
from ._values import Values


class Edits(Values, Numbers, Pairs):
    """All edits of one program, a method a kind: each yields them, cheap ones first."""

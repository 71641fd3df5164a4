"""What can go wrong on the way back."""

from __future__ import annotations

from ._graph import Source


class UnsupportedPrimitive(NotImplementedError):
    """A primitive of JAX for whose gradient there is no rule.

    Attributes:
        primitive: its name.
        source: the line of the user's code that it comes from; None where that is not known.
    """

    def __init__(self, primitive: str, source: Source | None, advice: str = ""):
        where = f" ({source})" if source else ""
        advice = advice or (
            f"register one with jaxbackprop.graph.register_rule({primitive!r}, rule), "
            "where rule(dy, *operands, **params) gives one gradient an operand"
        )
        super().__init__(f"there is no rule for the gradient of {primitive!r}{where}: {advice}")
        self.primitive = primitive
        self.source = source

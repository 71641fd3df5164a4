"""An epoch's figures: what the caller's functions give, and how JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

RESERVED = ("epoch", "step", "loss", "lr")
"""What a record holds of its own."""


def named_figures(source: str, found: Any) -> dict[str, float]:
    """Figures by name, as a caller's function gives them.

    Args:
        source: what gave them, for the message.
        found: a mapping of names to scalars.

    Raises:
        TypeError: it is no mapping, or a figure is no number.
        ValueError: a name is one that every record has.
    """
    if not isinstance(found, Mapping):
        raise TypeError(f"{source} must give figures by name, not {type(found).__name__}")
    figures = {}
    for name, value in found.items():
        if name in RESERVED:
            raise ValueError(
                f"{source} gives a figure named {name!r}, which every epoch has of its own: "
                f"name it otherwise, such as dev_{name}"
            )
        try:
            figures[name] = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"{source} gives {name!r}: {value!r:.60}, which is no number") from None
    return figures


def as_json(figures: Mapping[str, float]) -> dict[str, float | None]:
    """The figures with None for nan and infinities, which JSON lacks."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}

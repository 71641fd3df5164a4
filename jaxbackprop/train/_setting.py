"""One setting: its default, range and help text as a field of a dataclass; and its check."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import Field, field
from typing import Any


def setting(
    default: Any,
    kind: Callable[[str], Any],
    text: str,
    *,
    choices: tuple[str, ...] | None = None,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    metavar: str | None = None,
) -> Any:
    """A field of `Config`: its default, and all that a flag needs to know."""
    bounds = {"least": least, "above": above, "most": most, "below": below}
    meta = {"kind": kind, "help": text, "choices": choices, "bounds": bounds, "metavar": metavar}
    return field(default=default, metadata=meta)


def flag(name: str) -> str:
    """The command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def checked(setting: Field[Any], value: Any, name: str | None = None) -> Any:
    """A value of a setting by itself; those of others may rule it out.

    Args:
        setting: a field of Config.
        value: to be looked at.
        name: what errors call it; None takes its flag.

    Returns:
        The value; a float where a float may be written as an integer.

    Raises:
        ValueError: it is out of range.
        TypeError: it has the wrong type.
    """
    meta, name = setting.metadata, name or flag(setting.name)
    if value is None and setting.default is None:
        return None
    kind = meta["kind"]
    # An int is a fine float, but a bool (which Python counts as an int) is neither.
    right = isinstance(value, (float, int) if kind is float else kind)
    if not right or (kind is not bool and isinstance(value, bool)):
        raise TypeError(f"{name} must be {kind.__name__}, not {value!r}")
    if isinstance(value, str) and not encodes(value):
        raise ValueError(f"{name} is not UTF-8")
    if meta["choices"] is not None and value not in meta["choices"]:
        raise ValueError(f"{name} must be one of {', '.join(meta['choices'])}, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {value}")
    bounds = meta["bounds"]
    if bounds["least"] is not None and value < bounds["least"]:
        raise ValueError(f"{name} must be at least {bounds['least']:g}, not {_shown(value)}")
    if bounds["above"] is not None and value <= bounds["above"]:
        raise ValueError(f"{name} must be above {bounds['above']:g}, not {_shown(value)}")
    if bounds["most"] is not None and value > bounds["most"]:
        most = bounds["most"]
        shown = f"{most:.0f}" if most < 1e16 else f"{most:g}"
        raise ValueError(f"{name} must be at most {shown}, not {_shown(value)}")
    if bounds["below"] is not None and value >= bounds["below"]:
        raise ValueError(f"{name} must be below {bounds['below']:g}, not {_shown(value)}")
    return float(value) if kind is float else value


def _shown(number: float) -> str:
    if not isinstance(number, int):
        return f"{number:g}"
    digits = len(str(abs(number)))
    return str(number) if digits < 20 else f"an integer of {digits} digits"


def encodes(text: str) -> bool:
    """Whether bytes of the command line were UTF-8: Python keeps others as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Text for pictures and pages: escaped, measured, cut to a length."""

from __future__ import annotations

import re
import unicodedata
from xml.sax.saxutils import escape

_LISTED = 10

# Widths in shares of the font size: a little more than Helvetica's, Arial's and Liberation Sans's, and enough
# for the wider DejaVu Sans.
_NARROW, _SLIM, _USUAL, _CAPITAL, _BROAD, _FULL = 0.36, 0.43, 0.64, 0.76, 0.9, 1.05


def xml_text(text: str) -> str:
    """Text as XML holds it; a character that no XML may hold becomes U+FFFD."""
    return escape(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def text_width(text: str, size: float) -> float:
    """An upper bound of a text's width at a font size, in any common sans-serif font."""
    return size * sum(map(_share, text))


def _share(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return _FULL
    if character in "ijlI.,:;'|!- ":
        return _NARROW
    if character in "()[]{}rtf/`²":
        return _SLIM
    if character in "mwMW@%…→←":
        return _FULL
    if character.isupper():
        return _CAPITAL
    return _USUAL if ord(character) < 0x250 and character not in "+=<>×÷~#" else _BROAD


def shortened(text: str, length: int) -> str:
    """A text on one line, its middle replaced by "…" where it is too long."""
    text = " ".join(text.split())
    kept = length - 1
    return text if len(text) <= length else f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


def listed(texts: list[str]) -> list[str]:
    """The first ten, and "…" where there are more."""
    return [*texts[:_LISTED], "…"] if len(texts) > _LISTED else texts


def error_text(error: BaseException) -> str:
    """An exception's type and message, on one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__

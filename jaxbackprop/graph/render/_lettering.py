"""Text in a picture: what XML can hold of it, and how wide it may become."""

from __future__ import annotations

import re
import unicodedata
from xml.sax.saxutils import escape

# Widths in shares of the font size: a little more than Helvetica's, Arial's and Liberation Sans's, and enough
# for the wider DejaVu Sans.
_NARROW, _SLIM, _USUAL, _CAPITAL, _BROAD, _FULL = 0.36, 0.43, 0.64, 0.76, 0.9, 1.05


def xml_text(text: str) -> str:
    """Text as XML holds it; a character that no XML may hold becomes U+FFFD."""
    return escape(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def text_width(text: str, size: float) -> float:
    """How wide a text may become at a font size, in whichever common font without serifs shows it."""
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

"""Running text cut into words as the corpora have them, and words with their entities marked."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OPENING = frozenset("""("'[{<“‘«¿¡""")
_CLOSING = frozenset(""")"']}>”’».,;:!?…""")
_CLITIC = re.compile(r"(?i)^([\w@#$].*?)(n['’]t|['’](?:s|m|d|re|ve|ll))$")
# Words that begin or end in marks of their own: initials (U.S.), titles (Mr.), smileys, tags (<url>).
_WHOLE = re.compile(
    r"(?:[^\W\d_]\.){2,}|(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc)\."
    r"|[:;=8xX][-o^']?[()\[\]DPpOo3/\\|*]+|<\w+>|<3+"
)
_LETTER_OR_DIGIT = re.compile(r"\w")
_MARKS = re.compile(r"\.+|[^.]")
_NOT_SPACE = re.compile(r"\S+", re.ASCII)


def tokenize(text: str) -> list[str]:
    """Words and marks of one sentence, in order.

    Text is cut at white space. From each piece brackets, quotes and marks at its ends are split off one by
    one (a run of dots stays together), then the English clitics ('s, n't, 'm, 'd, 're, 've, 'll). Left whole
    are initials such as U.S., a few titles such as Mr., smileys, and pieces without letter or digit;
    ``@name`` and ``#tag`` keep their first sign.

    Args:
        text: a sentence; line breaks are white space too.

    Returns:
        The words; none for text that is all white space. Joined, they are the text without its white space.
    """
    words = []
    for piece in text.split():
        words.extend(_cut(piece))
    return words


def split_at_spaces(text: str) -> list[str]:
    """Words that ASCII white space separates, as in the corpora: a no-break space is part of its word."""
    return _NOT_SPACE.findall(text)


def _cut(piece: str) -> list[str]:
    if not _LETTER_OR_DIGIT.search(piece):
        return [piece]
    # A piece may be a page of brackets: indices move, and nothing is copied or matched again for every mark.
    # One match tells what stays whole, for from inside the longest one no mark is split off.
    begin, end = 0, len(piece)
    while piece[begin] in _OPENING and _end_of_whole(piece, begin) != end:
        begin += 1
    whole = _end_of_whole(piece, begin)
    while end != whole and piece[end - 1] in _CLOSING:
        dot = piece[end - 1] == "."
        end -= 1
        while dot and piece[end - 1] == ".":
            end -= 1
    before, core, after = list(piece[:begin]), piece[begin:end], _MARKS.findall(piece[end:])
    if clitic := _CLITIC.match(core):
        return [*before, *clitic.groups(), *after]
    return [*before, core, *after]


def _end_of_whole(piece: str, begin: int) -> int | None:
    found = _WHOLE.match(piece, begin)
    return found.end() if found else None


def marked(words: Sequence[str], entities: Sequence[tuple[str, int, int]]) -> str:
    """The words in one line, each entity in brackets with its type behind: ``[Empire State](location)``.

    Args:
        words: the sentence.
        entities: (type, first word, word after the last), in order and apart.

    Returns:
        The line. Brackets that are words look no different: machines are better served by JSON.
    """
    pieces: list[str] = []
    at = 0
    for kind, begin, end in entities:
        pieces += words[at:begin]
        pieces.append(f"[{' '.join(words[begin:end])}]({kind})")
        at = end
    return " ".join([*pieces, *words[at:]])

"""Running text cut into words as the corpora have them, and words with their entities marked."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OPENING = re.compile(r"""[("'\[{<“‘«¿¡]""")
_CLOSING = re.compile(r"""(\.{2,}|…|[)"'\]}>”’».,;:!?])$""")
_CLITIC = re.compile(r"(?i)^([\w@#$].*?)(n['’]t|['’](?:s|m|d|re|ve|ll))$")
# Words that end or begin in marks of their own: initials (U.S.), smileys, links, and marks alone.
_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.){2,}|(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc)\.")
_WHOLE = re.compile(r"\W+|[:;=8xX][-o^']?[()\[\]DPpOo3/\\|*]+|<3+|<\w+>")


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


def _cut(piece: str) -> list[str]:
    before: list[str] = []
    after: list[str] = []
    while not _WHOLE.fullmatch(piece) and _OPENING.match(piece):
        before.append(piece[0])
        piece = piece[1:]
    while not (_WHOLE.fullmatch(piece) or _ABBREVIATION.fullmatch(piece)):
        end = _CLOSING.search(piece)
        if end is None:
            break
        after.append(end.group())
        piece = piece[: end.start()]
    if clitic := _CLITIC.match(piece):
        before.append(clitic.group(1))
        piece = clitic.group(2)
    return [*before, piece, *reversed(after)]


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

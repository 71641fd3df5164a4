"""What a word looks like: the forms to look it up by, its shape, its first and last letters."""

import re
import string
import unicodedata

_URL = re.compile(r"(https?://|www\.).+|[\w-]+(\.[\w-]+)*\.[a-z]{2,}/\S*", re.IGNORECASE)
_MENTION = re.compile(r"@\w+")
_HASHTAG = re.compile(r"#+(?=\w)")
_DIGIT = re.compile(r"\d")

SHAPES = (
    "no capitals",
    "initial capital",
    "all capitals",
    "one capital",
    "mixed capitals",
    "digits and no capitals",
    "digits and capitals",
    "number",
    "punctuation",
    "symbol",
    "mention",
    "hashtag",
    "url",
)
"""The shapes of words: capitalisation as in Collobert et al. 2011, digits, and what tweets are made of."""


def word_forms(word: str) -> tuple[str, ...]:
    """The forms under which a word may be found in a table, the most exact first.

    The word itself; lower-cased; without the `#` of a hashtag; with every digit as 0, as in tables that count
    numbers of a length as one word. A URL and a mention (@name) end instead in the words that GloVe's Twitter
    tables have for them, `<url>` and `<user>`: hardly one of them occurs twice.
    """
    lower = word.lower()
    if _URL.fullmatch(word):
        forms = [word, lower, "<url>"]
    elif _MENTION.fullmatch(word):
        forms = [word, lower, "<user>"]
    else:
        bare = _HASHTAG.sub("", lower) if lower.startswith("#") else lower
        forms = [word, lower, bare, _DIGIT.sub("0", bare)]
    return tuple(dict.fromkeys(forms))


def own_form(word: str) -> str:
    """The form under which a word without a vector may have a row of its own.

    The last of its `word_forms`, but with its digits, which tell words apart (B2B, B3B) where each is
    frequent.
    """
    forms = word_forms(word)
    if len(forms) > 1 and forms[-1] == _DIGIT.sub("0", forms[-2]):
        return forms[-2]
    return forms[-1]


def shape(word: str) -> str:
    """The one of `SHAPES` that `word` has."""
    for name, pattern in (("url", _URL), ("mention", _MENTION)):
        if pattern.fullmatch(word):
            return name
    if _HASHTAG.match(word):
        return "hashtag"
    letters = [character for character in word if character.isalpha()]
    capitals = [letter.isupper() or letter.istitle() for letter in letters]
    if any(character.isdigit() for character in word):
        if not letters:
            return "number"
        return "digits and capitals" if any(capitals) else "digits and no capitals"
    if not letters:
        return "punctuation" if all(map(_is_punctuation, word)) else "symbol"
    if not any(capitals):
        return "no capitals"
    if len(letters) == 1:
        return "one capital"
    if all(capitals):
        return "all capitals"
    return "initial capital" if not any(capitals[1:]) else "mixed capitals"


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def prefix(word: str) -> str:
    """The first three characters, lower-cased; all of a shorter word."""
    return word.lower()[:3]


def suffix(word: str) -> str:
    """The last three characters, lower-cased; all of a shorter word."""
    return word.lower()[-3:]

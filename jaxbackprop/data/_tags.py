"""Tagging schemes of named entity recognition, and the way from each to BIO (IOB2).

| scheme | `B-x` | `I-x` | `E-x` (BILOU: `L-x`) | `S-x` (BILOU: `U-x`) |
|---|---|---|---|---|
| IOB1 | begins an entity right after another of its type | any other word of an entity | | |
| IOB2 | begins an entity | continues it | | |
| BIOES | begins an entity of several words | continues it | ends it | is an entity of one word |

Sources: Ramshaw and Marcus 1995 (IOB1); Tjong Kim Sang and Veenstra 1999 (IOB2); Ratinov and Roth 2009
(BILOU).
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from ._errors import DataError
from ._sentence import Sentence

Scheme = Literal["IOB1", "IOB2", "BIOES"]

_TAG = re.compile(r"O|[BIESLU]-\S.*")
_PREFIXES = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIESLU"}
BEGINS = frozenset("BSU")
"""The prefixes that begin an entity, whatever stands before."""
ENDS = frozenset("ESLU")
"""Those that end theirs."""


def is_tag(text: str) -> bool:
    """Whether `text` is `O` or a type with one of the prefixes B-, I-, E-, S-, L-, U-."""
    return _TAG.fullmatch(text) is not None


def detect_scheme(sequences: Iterable[Sequence[str]]) -> Scheme:
    """Which scheme the tags are written in.

    BIOES where an E-, S-, L- or U- tag occurs. IOB1 where some entity begins with I-x (after O, after
    another type or at the start) and every B-x stands right after an entity of its own type, as IOB1
    demands. Otherwise IOB2, be there a stray I-x or not. Give all tags of a data set at once: a part of it
    may hold no evidence.

    Args:
        sequences: one sequence of tags for each sentence.

    Raises:
        DataError: a tag is neither O nor a prefix and a type.
    """
    inside_opens = False
    begin_only_after_same = True
    for index, tags in enumerate(sequences):
        _check(tags, index, "BIOES")
        before = ""
        for tag in tags:
            if tag[0] in ENDS:
                return "BIOES"
            same = before == tag[2:]
            if tag[0] == "I" and not same:
                inside_opens = True
            elif tag[0] == "B" and not same:
                begin_only_after_same = False
            before = tag[2:]
    return "IOB1" if inside_opens and begin_only_after_same else "IOB2"


def to_bio(sequences: Sequence[Sequence[str]], scheme: str | None = None) -> list[tuple[str, ...]]:
    """Tags of any scheme as BIO (IOB2): B-x begins every entity, I-x continues it.

    An I-x or E-x with no open entity of its type before it begins one, as in the conlleval script; so does
    one that follows an E-x or S-x, which have closed theirs. In IOB1 that is the definition, elsewhere a
    repair.

    Args:
        sequences: one sequence of tags for each sentence.
        scheme: 'IOB1', 'IOB2' or 'BIOES' (which reads BILOU too); None detects it over all sequences.

    Returns:
        One tuple of tags for each sequence, of the same lengths.

    Raises:
        ValueError: `scheme` is none of the three.
        DataError: a tag is not one of the scheme's.
    """
    if scheme is None:
        scheme = detect_scheme(sequences)
    if scheme not in _PREFIXES:
        raise ValueError(f"scheme must be one of {', '.join(_PREFIXES)} or None, got {scheme!r}")
    converted = []
    for index, tags in enumerate(sequences):
        _check(tags, index, scheme)
        bio = []
        open_type = ""
        for tag in tags:
            prefix, entity_type = tag[0], tag[2:]
            if prefix == "O":
                bio.append("O")
            elif prefix in BEGINS or entity_type != open_type:
                bio.append("B-" + entity_type)
            else:
                bio.append("I-" + entity_type)
            open_type = "" if prefix in ENDS else entity_type
        converted.append(tuple(bio))
    return converted


def impossible_tags(tags: Sequence[str], scheme: str) -> list[int]:
    """The places of one sentence where a scheme does not allow the tag that stands there.

    Args:
        tags: each `O` or a type after B-, I-, E-, S-, L- or U-.
        scheme: IOB1, IOB2 or BIO, BIOES, BILOU or BMES; in others, IO and IOE, every sequence is allowed.

    Returns:
        Indices; that behind the last tag for an entity that the sentence ends in without ending it.
    """
    found = []
    before = "O"
    for at, tag in enumerate((*tags, "O")):
        continues = before != "O" and before[2:] == tag[2:]
        if scheme in ("IOB2", "BIO"):
            wrong = tag[0] == "I" and not continues
        elif scheme == "IOB1":
            wrong = tag[0] == "B" and not continues
        elif scheme in ("BIOES", "BILOU", "BMES"):
            is_open = before[0] in "BI"
            wrong = (is_open or tag[0] in "IEL") and not (is_open and continues and tag[0] in "IEL")
        else:
            wrong = False
        if wrong:
            found.append(at)
        before = tag
    return found


def tag_set(sentences: Iterable[Sentence], task: str = "spans") -> tuple[str, ...]:
    """The tags that a model of `sentences` chooses from.

    With task spans those of the entity types, ('O', 'B-a', 'I-a', 'B-b', 'I-b', ...), types sorted: B and I
    of a type are both there even when only one was seen, since the decoder needs them. With task tags those
    that occur, sorted.
    """
    return tags_to_choose_from({tag for sentence in sentences for tag in sentence.tags}, task)


def tags_to_choose_from(found: Collection[str], task: str) -> tuple[str, ...]:
    """`tag_set` of sentences with these tags, each `O` or a type behind any prefix with task spans."""
    if task == "tags":
        return tuple(sorted(found))
    types = sorted({tag[2:] for tag in found if tag != "O"})
    return ("O", *(prefix + entity_type for entity_type in types for prefix in ("B-", "I-")))


def _check(tags: Sequence[str], index: int, scheme: str) -> None:
    allowed = _PREFIXES[scheme]
    for tag in tags:
        if not is_tag(tag) or (tag != "O" and tag[0] not in allowed):
            prefixes = ", ".join(prefix + "-" for prefix in allowed)
            raise DataError(f"sequence {index}: expected O or a type after {prefixes}, got {tag!r}")

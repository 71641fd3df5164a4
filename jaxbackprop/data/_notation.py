"""How tags are written: with which prefixes, before which separator, in which case, with types or without.

| written | read as |
|---|---|
| `B-PER`, `B_PER`, `b-PER`, `PER-B`, `PER_B` | `B-PER` |
| `M-PER` (BMES) | `I-PER` |
| `PER` (IO, types alone) | `I-PER` |
| `B` (no types) | `B-entity` |

The files of a corpus write their tags in one way: what most of them look like is the notation, and a tag that
looks otherwise has no reading.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TYPELESS = "entity"
"""The type of entities whose tags name none."""

PREFIXES = {
    "IO": "I",
    "BIO": "BI",
    "IOB1": "BI",
    "IOB2": "BI",
    "IOE": "IE",
    "BIOES": "BIES",
    "BILOU": "BILU",
    "BMES": "BMES",
}
"""The schemes that `--scheme` says, with their prefixes."""

_LETTER = "[BIESLUMbieslum]"
_PREFIXED = re.compile(rf"({_LETTER})([-_])(\S.*)")
_SUFFIXED = re.compile(rf"(\S.*)([-_])({_LETTER})")
_BARE = re.compile(_LETTER)
# Neither a number nor a mark: columns of those hold something else than types of entities.
_TYPE = re.compile(r"[^\W\d_]([\w./:+&-]*\w)?")
# So many different types are believed at once; where there are more they must recur, or they are words.
_FEW_TYPES = 20


@dataclass(frozen=True)
class Notation:
    """What the tags of a corpus mean.

    Attributes:
        readings: tag as written -> `O`, or a type after B-, I-, E-, S-, L- or U-.
        scheme: where the prefixes tell it, or it was said; None where it is to be detected (`detect_scheme`).
        expected: what a tag without a reading should have been.
        unclear: whether the scheme cannot be told.
    """

    readings: Mapping[str, str]
    scheme: str | None
    expected: str
    unclear: bool = False


def is_marked(tag: str) -> bool:
    """Whether a cell looks like a tag: `O`, or one of the prefixes before a type or alone, in any case."""
    return _is_outside(tag) or bool(_PREFIXED.fullmatch(tag) or _BARE.fullmatch(tag))


def read_notation(counts: Counter[str], scheme: str | None) -> Notation:
    """What tags mean.

    Args:
        counts: how often each tag occurs in all files of a corpus.
        scheme: one of `PREFIXES`, or None where the tags tell it.
    """
    outside = max(filter(_is_outside, counts), key=counts.__getitem__, default="O")
    styles: Counter[str | None] = Counter()
    for tag, count in counts.items():
        if not _is_outside(tag):
            styles[_style(tag)] += count
    marked = max(filter(None, styles), key=styles.__getitem__, default="B-x")
    only_inside = {
        _style(tag) is not None and _parts(tag)[0] == "I" for tag in counts if not _is_outside(tag)
    }
    if scheme == "IO" and only_inside != {True}:
        return Notation(_types(counts, outside), scheme, f"{outside} or a type (--scheme IO)")
    # Of equals the one with prefixes: those are no accident.
    unmarked = scheme is None and styles[None] > styles[marked]
    if unmarked and _are_types(
        [tag for tag in counts if _style(tag) is None and not _is_outside(tag)], counts
    ):
        types = _types(counts, outside)
        readings = {tag: types[tag] for tag in types if _style(tag) is None}
        return Notation(readings, "IO", f"{outside} or a type", unclear=len(styles) > 1)

    prefixes: Counter[str] = Counter()
    for tag, count in counts.items():
        if _style(tag) == marked:
            prefixes[_parts(tag)[0]] += count
    if scheme is not None:
        allowed, said = PREFIXES[scheme], f" (--scheme {scheme})"
    else:
        # M stands for the middle beside E and S alone.
        others = prefixes["I"] + prefixes["L"] + prefixes["U"]
        is_bmes = prefixes["M"] > others and (prefixes["E"] or prefixes["S"])
        allowed, said = "BMES" if is_bmes else "BIESLU", ""
    readings = {outside: "O"}
    for tag in counts:
        if _style(tag) == marked and _parts(tag)[0] in allowed:
            prefix, kind = _parts(tag)
            readings[tag] = f"{prefix.replace('M', 'I')}-{kind}"
    expected = _expected(outside, marked, allowed) + said
    return Notation(readings, scheme or _told_by(set(prefixes)), expected, unmarked)


def _is_outside(tag: str) -> bool:
    return tag in ("O", "o")


def _style(tag: str) -> str | None:
    """How a tag is written, as B-x, b_x, x-B or B; None for what has no prefix."""
    if match := _PREFIXED.fullmatch(tag):
        letter, separator, _ = match.groups()
        return ("b" if letter.islower() else "B") + separator + "x"
    if match := _SUFFIXED.fullmatch(tag):
        _, separator, letter = match.groups()
        return "x" + separator + ("b" if letter.islower() else "B")
    if _BARE.fullmatch(tag):
        return "b" if tag.islower() else "B"
    return None


def _parts(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag that has a style."""
    if match := _PREFIXED.fullmatch(tag):
        return match[1].upper(), match[3]
    if match := _SUFFIXED.fullmatch(tag):
        return match[3].upper(), match[1]
    return tag.upper(), TYPELESS


def _are_types(tags: Sequence[str], counts: Counter[str]) -> bool:
    """Whether tags without prefix are types of entities, and not words or parts of speech."""
    if not any(map(_is_outside, counts)) or not all(map(_TYPE.fullmatch, tags)):
        return False
    # Tags that differ in a first letter of the prefixes alone have one, as in BPER and IPER, B:PER and I:PER.
    behind = Counter(tag[1:] for tag in tags if _BARE.fullmatch(tag[0]))
    words = sum(counts[tag] for tag in tags)
    return max(behind.values(), default=0) < 2 and len(tags) <= max(_FEW_TYPES, words // 4)


def _types(counts: Counter[str], outside: str) -> dict[str, str]:
    types = {tag: f"I-{tag}" for tag in counts if not _is_outside(tag) and _TYPE.fullmatch(tag)}
    return {outside: "O", **types}


def _told_by(prefixes: set[str]) -> str | None:
    """The scheme that prefixes alone give away, but for IOB1, IOB2 and BIOES."""
    if "M" in prefixes:
        return "BMES"
    if prefixes & set("LU") and not prefixes & set("ES"):
        return "BILOU"
    return "IOE" if prefixes == set("IE") else None


def _expected(outside: str, style: str, prefixes: str) -> str:
    if style.islower():
        prefixes = prefixes.lower()
    marks = [style.strip("x").replace("B", prefix).replace("b", prefix) for prefix in prefixes]
    listed = " or ".join((", ".join(marks[:-1]), marks[-1])) if len(marks) > 1 else marks[0]
    if "x" not in style:
        return f"{outside}, {listed}"
    return f"{outside} or a type {'after' if style.endswith('x') else 'before'} {listed}"

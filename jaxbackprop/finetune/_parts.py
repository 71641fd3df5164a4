"""The parts of a classifier on BERT: which are frozen, and how deep each lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxbackprop._errors import CannotRun

EMBEDDINGS, POOLER, HEAD = "embeddings", "pooler", "classifier"
_EMBEDDED = ("words", "positions", "types", "norm")


def part_of(path: Sequence[Any]) -> str:
    """The part that a parameter of `BertClassifier` belongs to, by its path in the model's state.

    Returns:
        ``embeddings``, ``layers:N``, ``pooler`` or ``classifier``.
    """
    names = [getattr(entry, "key", entry) for entry in path]
    if names[0] != "bert":
        return HEAD
    if names[1] == "layers":
        return f"layers:{names[2]}"
    return EMBEDDINGS if names[1] in _EMBEDDED else POOLER


def frozen_parts(text: str | None, layers: int) -> frozenset[str]:
    """The parts that a setting such as ``embeddings,layers:0-3`` names.

    Args:
        text: the setting; None for none.
        layers: of the model.

    Raises:
        CannotRun: it names a part that the model has not.
    """
    found: set[str] = set()
    for word in [] if text is None else text.split(","):
        name, colon, span = word.strip().partition(":")
        if name in (EMBEDDINGS, POOLER) and not colon:
            found.add(name)
        elif name == "bert" and not colon:
            found |= {EMBEDDINGS, POOLER, *(f"layers:{n}" for n in range(layers))}
        elif name == "layers":
            found |= {f"layers:{n}" for n in _span(span, layers, word)}
        else:
            raise CannotRun(
                f"--freeze must name embeddings, layers:FIRST-LAST, pooler or bert, not {word.strip()!r:.40}"
            )
    return frozenset(found)


def _span(text: str, layers: int, word: str) -> range:
    first, dash, last = text.partition("-")
    numbers = [first, last if dash else first]
    if all(number.isascii() and number.isdigit() and len(number) < 6 for number in numbers):
        begin, end = map(int, numbers)
        if begin <= end < layers:
            return range(begin, end + 1)
    raise CannotRun(f"--freeze {word.strip():.40}: the model's layers are 0 to {layers - 1}")


def depth_of(part: str, layers: int) -> int:
    """How far below the new layer a part lies: 0 for it and the pooler, 1 for the last layer, and so on."""
    if part in (HEAD, POOLER):
        return 0
    return layers + 1 if part == EMBEDDINGS else layers - int(part.removeprefix("layers:"))

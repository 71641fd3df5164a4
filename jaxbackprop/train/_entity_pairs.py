"""Which predicted entity stands for which true one, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

Entity = tuple[str, int, int]
"""A type, the first word, the word after the last."""


def pair_entities(
    true: Sequence[Entity], predicted: Sequence[Entity]
) -> list[tuple[Entity | None, Entity | None]]:
    """Pairs the true entities of a sentence with the predicted ones that overlap them.

    From left to right each is paired with the first of the other side that overlaps it and is not paired yet.
    nervaluate's strict scheme, by which `score` counts, pairs them so too.

    Args:
        true: the entities of one sentence, in order and apart.
        predicted: likewise.

    Returns:
        (true, predicted) in the order of the sentence, with None for the one that is missing.
    """
    pairs: list[tuple[Entity | None, Entity | None]] = []
    t = p = 0
    while t < len(true) or p < len(predicted):
        if p == len(predicted) or (t < len(true) and true[t][2] <= predicted[p][1]):
            pairs.append((true[t], None))
            t += 1
        elif t == len(true) or predicted[p][2] <= true[t][1]:
            pairs.append((None, predicted[p]))
            p += 1
        else:
            pairs.append((true[t], predicted[p]))
            t += 1
            p += 1
    return pairs


def name_error(true: Entity | None, predicted: Entity | None, label: str = "type") -> str | None:
    """What is wrong with a pair of `pair_entities`.

    Args:
        true: the true one.
        predicted: the predicted one.
        label: what the type is called.

    Returns:
        "missed", "spurious", "wrong type", "wrong boundary", "wrong type and boundary"; None if it is right.
    """
    if true is None:
        return "spurious"
    if predicted is None:
        return "missed"
    wrong = [
        name
        for name, differs in ((label, true[0] != predicted[0]), ("boundary", true[1:] != predicted[1:]))
        if differs
    ]
    return "wrong " + " and ".join(wrong) if wrong else None

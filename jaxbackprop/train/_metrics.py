"""Exact-match entity precision, recall and F1, by nervaluate's strict scheme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 of one entity type (or of all), or likewise of one tag of words.

    Attributes:
        name: the entity type.
        precision: right entities / predicted entities, 0 where none was predicted.
        recall: right entities / true entities, 0 where there is none.
        f1: harmonic mean of the two, 0 where both are 0.
        count: true entities.
    """

    name: str
    precision: float
    recall: float
    f1: float
    count: int

    def to_dict(self) -> dict[str, float | int]:
        """The numbers as JSON holds them."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, "count": self.count}


@dataclass(frozen=True)
class Scores:
    """A score for each entity type that occurs in truth or prediction, and the micro average over all."""

    types: tuple[Score, ...]
    micro: Score

    decides = "f1"

    @property
    def measures(self) -> dict[str, float]:
        """The scores over all types, by name; that of `decides` chooses the best epoch."""
        return {"precision": self.micro.precision, "recall": self.micro.recall, "f1": self.micro.f1}

    def table(self, *, ruled: bool) -> Table:
        """The scores as a rich table: ruled for a terminal, bare columns for a pipe."""
        return score_table("type", self.types, _cells(self.micro), ruled=ruled)

    def to_dict(self) -> dict[str, dict[str, float | int]]:
        """The scores as JSON holds them: one object an entity type, then ``micro avg``."""
        return {score.name: score.to_dict() for score in (*self.types, self.micro)}


def score_table(kind: str, scores: Sequence[Score], last: Sequence[str], *, ruled: bool) -> Table:
    """Scores as a rich table.

    Args:
        kind: of what there is a row for each.
        scores: the rows.
        last: the cells of the row over all.
        ruled: for a terminal; else bare columns for a pipe.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD if ruled else None, pad_edge=False)
    for at, name in enumerate((kind, "precision", "recall", "F1", "count")):
        table.add_column(name, justify="right" if at else "left", no_wrap=True)
    for score in scores:
        table.add_row(*_cells(score))
    table.add_section()
    table.add_row(*last, style="bold")
    return table


def _cells(score: Score) -> tuple[str, ...]:
    numbers = (f"{value:.4f}" for value in (score.precision, score.recall, score.f1))
    return score.name, *numbers, str(score.count)


def score(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Scores:
    """Compares predicted entities with true ones: type and both ends must be right.

    Args:
        true: BIO tags, one sequence a sentence. An ``I-x`` that continues nothing starts an entity.
        predicted: as `true`, of the same lengths.

    Returns:
        The scores, entity types in alphabetical order.

    Raises:
        ValueError: sentences that differ in number or length.
    """
    from nervaluate.entities import Entity, EvaluationResult
    from nervaluate.strategies import StrictEvaluation

    if [len(tags) for tags in true] != [len(tags) for tags in predicted]:
        raise ValueError("true and predicted differ in the number or the lengths of their sentences")
    # nervaluate's Evaluator visits every sentence once a type, and for three other schemes as well: minutes,
    # where types are many. Here its strict strategy alone is asked, for the types that a sentence holds.
    strict = StrictEvaluation()
    types: dict[str, EvaluationResult] = {}
    overall = EvaluationResult()
    for sentence in zip(true, predicted, strict=True):
        found = [[Entity(kind, begin, end - 1) for kind, begin, end in entities(tags)] for tags in sentence]
        present = {entity.label for side in found for entity in side}
        totals = [(types.setdefault(name, EvaluationResult()), {name}) for name in present]
        for total, names in [*totals, (overall, present)]:
            sides = ([entity for entity in side if entity.label in names] for side in found)
            result, _ = strict.evaluate(*sides, list(names))
            for count in ("correct", "incorrect", "partial", "missed", "spurious"):
                setattr(total, count, getattr(total, count) + getattr(result, count))

    def row(name: str, total: EvaluationResult) -> Score:
        total.compute_metrics()
        return Score(name, float(total.precision), float(total.recall), float(total.f1), int(total.possible))

    return Scores(tuple(row(name, types[name]) for name in sorted(types)), row("micro avg", overall))


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The entities of one sentence's BIO tags: (type, first word, word after the last).

    An ``I-x`` that continues no entity of type x starts one, as in the scores.
    """
    found: list[tuple[str, int, int]] = []
    begin = None
    for at, tag in enumerate((*tags, "O")):
        if begin is not None and (tag[:2] != "I-" or tag[2:] != tags[begin][2:]):
            found.append((tags[begin][2:], begin, at))
            begin = None
        if begin is None and tag != "O":
            begin = at
    return found

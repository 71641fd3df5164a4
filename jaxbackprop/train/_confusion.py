"""How often each true label was predicted as which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Confusion:
    """Counts of pairs of labels.

    Attributes:
        counts: (true, predicted) -> how often, for pairs that occur. None is no label: of an entity that was
            missed, or that is none.
    """

    counts: dict[tuple[str | None, str | None], int]

    def table(self, *, ruled: bool) -> Table:
        """True labels down, predicted ones across, ruled for a terminal, bare columns for a pipe."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        labels = sorted({label for pair in self.counts for label in pair}, key=_none_last)
        table = Table(box=SIMPLE_HEAD if ruled else None, pad_edge=False)
        table.add_column("", no_wrap=True)
        for label in labels:
            table.add_column(_said(label), justify="right", no_wrap=True)
        for true in labels:
            table.add_row(_said(true), *(str(self.counts.get((true, label), 0)) for label in labels))
        return table

    def to_dict(self) -> list[dict[str, str | int | None]]:
        """The counts as JSON holds them: an object a pair that occurs."""
        pairs = sorted(self.counts, key=lambda pair: (_none_last(pair[0]), _none_last(pair[1])))
        return [
            {"true": true, "predicted": label, "count": self.counts[true, label]} for true, label in pairs
        ]


def confusion(pairs: Iterable[tuple[str | None, str | None]]) -> Confusion:
    """Counts pairs of a true and a predicted label, None where there is none."""
    return Confusion(dict(Counter(pairs)))


def _none_last(label: str | None) -> tuple[bool, str]:
    return label is None, label or ""


def _said(label: str | None) -> str:
    return "none" if label is None else label

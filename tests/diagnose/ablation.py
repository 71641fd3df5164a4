"""What each detector and each mutation contributes, measured on the corpus.

Run from a checkout as `python -m tests.diagnose.ablation`. Every wrong rule of the corpus is checked once,
and all that is suspected is recorded; what the report would say without a detector or a mutation is ranked
anew from the rest. Writes `jaxbackprop/diagnose/CONTRIBUTIONS.md`. Words after the command restrict the run
to the cases whose names contain one of them; then the page is printed.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Iterable, Sequence
from unittest import mock

import jax

from jaxbackprop.check import Finding
from jaxbackprop.check import _diagnosis as naming
from jaxbackprop.check._examine import _ORDER as ORDER
from jaxbackprop.diagnose import Evidence, Mistake, Suspicion
from jaxbackprop.diagnose._diagnose import ranked, search
from jaxbackprop.diagnose._evidence import Clock
from jaxbackprop.diagnose.by_mutation._search import ROUNDS
from jaxbackprop.diagnose.by_values import DETECTORS
from tests.check.checked import checked
from tests.check.corpus import WRONG, Case

TABLE = pathlib.Path(__file__).parents[2] / "jaxbackprop" / "diagnose" / "CONTRIBUTIONS.md"
Labels = tuple[str, ...]


@dataclasses.dataclass
class Record:
    """What was said of a case.

    Attributes:
        case: a wrong rule.
        explained_by: detectors and mutations that suspect a label which fits.
        labels: the first three of the report.
        without: the first three without a detector or a mutation, by its name; those that change nothing
            are left out.
    """

    case: Case
    explained_by: set[str] = dataclasses.field(default_factory=set)
    labels: Labels = ()
    without: dict[str, Labels] = dataclasses.field(default_factory=dict)

    def right(self, labels: Labels, among: int) -> bool:
        """Whether one of the first labels fits."""
        return not fitting(self.case).isdisjoint(labels[:among])


def fitting(case: Case) -> set[str]:
    """The labels that name a case's mistake."""
    return set(case.mistakes).union(*(m.neighbours for m in Mistake if m in case.mistakes))


def first_three(findings: Iterable[Finding]) -> Labels:
    """The labels that a report of some findings says first."""
    ordered = sorted(findings, key=lambda found: ORDER.index(found.property))
    return tuple(dict.fromkeys(label for found in ordered for label in found.mistakes))[:3]


def recorded(case: Case) -> Record:
    """Checks a case and records what the answer would be without each detector and mutation."""
    record, found, leaves = Record(case), list[Suspicion](), 0
    named = naming.named

    def diagnose(evidence: Evidence, *, quick: bool = False) -> list[Suspicion]:
        nonlocal found, leaves
        found, leaves = search(evidence, quick=quick), len(evidence.wrong)
        return ranked(found, leaves)

    def named_without(
        session: object, findings: Sequence[Finding], suspicions: Sequence[Suspicion]
    ) -> object:
        answer = named(session, findings, suspicions)
        record.labels = first_three(answer)
        record.explained_by = {s.found_by for s in found if s.label in fitting(case)}
        for name in {s.found_by for s in found}:
            rest = ranked([s for s in found if s.found_by != name], leaves)
            labels = first_three(named(session, findings, rest))
            if labels != record.labels:
                record.without[name] = labels
        return answer

    spent = Clock.spent
    with (
        # A busy machine must not change what is found.
        mock.patch.object(Clock, "spent", lambda clock: spent(clock) / 5),
        mock.patch.object(naming, "diagnose", diagnose),
        mock.patch.object(naming, "named", named_without),
    ):
        report = checked(case)
    record.labels = record.labels or first_three(report.findings)
    return record


def row(name: str, records: Sequence[Record]) -> tuple[str, ...]:
    """A line of the table."""

    def lost(among: int) -> int:
        changed = (r for r in records if name in r.without)
        return sum(r.right(r.labels, among) - r.right(r.without[name], among) for r in changed)

    explained = sum(name in r.explained_by for r in records)
    changed = sum(name in r.without for r in records)
    return f"`{name}`", *map(str, (explained, changed, lost(1), lost(3)))


def table(names: Sequence[str], records: Sequence[Record]) -> str:
    """The rows of some detectors or mutations, those first that contribute most."""
    rows = sorted((row(name, records) for name in names), key=lambda r: [-int(r[i]) for i in (4, 3, 2, 1)])
    head = ("found by", "explains", "changes", "first", "in three")
    return "\n".join("| " + " | ".join(r) + " |" for r in (head, ("---",) * len(head), *rows))


def page(records: Sequence[Record]) -> str:
    """The whole page."""
    first, three = (sum(r.right(r.labels, among) for r in records) for among in (1, 3))
    detectors = [find.__name__ for finds in DETECTORS.values() for find in finds]
    mutations = dict.fromkeys(mutation.name for round_ in ROUNDS for mutation in round_.mutations)
    return f"""# What each detector and each mutation contributes

Written by `python -m tests.diagnose.ablation`. Of {len(records)} wrong rules in the corpus, the first label
is right for {first} and one of the first three for {three}.

- explains: cases of which it suspects a label that fits;
- changes: cases whose first three labels are others without it;
- first, in three: cases whose first label, or one of the first three, is no longer right without it
  (negative: it is right only without it).

Each is left out alone: where two see the same, neither is missed. What they suspect is ranked anew without
it; what a search would have found in the time that becomes free is not looked for. One that no case needs
stays where the meaning of its label asks for it.

## Detectors, from the numbers

{table(detectors, records)}

## Mutations, from the programs

{table(tuple(mutations), records)}
"""


def main(parts: Sequence[str], say: Callable[[str], object] = print) -> None:
    """Runs the corpus, or the cases whose names contain one of some parts."""
    records = []
    for n, case in enumerate(WRONG):
        if not parts or any(part in case.name for part in parts):
            records.append(recorded(case))
        if n % 8 == 7:
            jax.clear_caches()
    if parts:
        say(page(records))
    else:
        TABLE.write_text(page(records), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Naming a mistake by editing programs until one answers what is looked for.

Two searches. The rule's own program is repaired by one edit until it answers what is right: the mistake is
what the edit undoes. The right program is made wrong by one edit until it answers what the rule does: the
mistake is the edit. An edit explains only if it does so at every sample and for all leaves together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from jaxbackprop._float64 import float64_on_cpu

from .._evidence import Clock, Evidence, Suspicion
from ..mistakes import Mistake as M
from . import _arithmetic as arithmetic
from . import _masks as masks
from . import _values as values
from ._context import Change, Context, of_equations, steps_of_loops
from ._evaluator import Edit, Meaning, MutantEvaluator
from ._expressions import Words
from ._interpreter import DoesNotFit, NotTraceable
from ._numpy_rules import quiet
from ._replaced import columns, replaced

# Samples that an explanation must hold at.
_FEWEST = 3
# What each program answers, and what its mutants are to answer.
_ANSWERS = {"rule": ("got", "want"), "autodiff": ("want", "got")}


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One kind of edit."""

    name: str  # of the function behind it
    edits: Callable[[Context], Iterator[Edit]]  # all edits of this kind in a program
    cost: float  # of the likeliest; an edit says how much more it costs itself
    labels: tuple[M, ...]  # the mistake, likeliest first, where its edits name none


@dataclasses.dataclass(frozen=True)
class Round:
    """Mutations that share their time."""

    share: float  # of the time that is left, beside the shares of the rounds to come
    mutations: tuple[Mutation, ...]  # in the order in which they are tried


def _values(edits: Callable[[Context], Iterator[Edit]], cost: float, *labels: M) -> Mutation:
    """A mutation of values."""
    return Mutation(edits.__name__, edits, cost, labels)


def _equations(
    primitives: str, changes: Callable[[Context, int, str], Iterator[Change]], cost: float, *labels: M
) -> Mutation:
    """A mutation of the equations of some primitives."""
    edits = partial(of_equations, changes, frozenset(primitives.split()))
    return Mutation(changes.__name__, edits, cost, labels)


_ONE_PLACE = (
    _values(values.flipped_sign, 1.0, M.SIGN),
    _values(values.transposed, 0.9),
    _values(values.left_out, 1.15),
    _values(values.taken_as_one, 1.2),
    _equations("mul div", arithmetic.products, 1.0),
    _equations("add sub add_any", arithmetic.terms, 1.0),
    _equations("select_n", masks.cases, 1.0),
    _equations("gt ge lt le eq", masks.comparisons, 1.0, M.WRONG_MASK),
    _equations("eq", masks.winners, 1.0, M.WRONG_WINNER, M.WRONG_MASK),
    _equations("reduce_max reduce_min argmax argmin", masks.extremes, 1.0, M.WRONG_WINNER),
    _equations("reduce_sum", arithmetic.other_axes, 0.95, M.WRONG_AXIS),
    _equations("reduce_sum", arithmetic.one_entry, 1.0, M.MISSING_SUM),
    _equations("scatter-add scatter_add", arithmetic.overwritten, 0.9, M.SET_NOT_ADD),
    _equations("scatter", arithmetic.accumulated, 0.9),
    _equations("scatter", arithmetic.unset, 1.1, M.PARTLY_WRONG),
    _values(masks.indices, 1.0),
    _values(masks.conditions, 1.0),
    _values(arithmetic.unsummed, 1.0),
)
_ONE_VALUE_MOVED = (
    _values(values.reversed_order, 1.1, M.ORDER_REVERSED),
    _values(values.shifted, 1.2),
    _values(values.summed, 1.25),
    _values(values.lost_edge, 1.35),
)

ROUNDS = (
    Round(6.0, _ONE_PLACE),
    Round(2.0, (_values(columns, 1.0),)),
    Round(3.0, (_values(replaced, 1.0),)),
    Round(2.0, _ONE_VALUE_MOVED),
    Round(1.0, (_values(values.other_constants, 0.9),)),
)


def search(evidence: Evidence, *, budget_s: float = 2.0) -> list[Suspicion]:
    """The mistakes that one edit of a program explains, by one mutation after another.

    After `budget_s` seconds the search stops with what it has. None where neither program can be traced.
    """
    clock = Clock()
    found: list[Suspicion] = []
    with float64_on_cpu(), quiet():
        given = contexts(evidence)
        for n, round_ in enumerate(ROUNDS):
            for m, (stage, context) in enumerate(given.items()):
                later = sum(r.share for r in ROUNDS[n + 1 :]) * len(given)
                waiting = later + round_.share * (len(given) - m)
                now = clock.spent()
                stop = now + (budget_s - now) * min(1.0, 1.5 * round_.share / waiting)
                found += _suspicions(context, stage, round_.mutations, clock, stop)
    if given and all(not np.any(s.got[i]) for s in evidence.samples for i in evidence.wrong):
        found = [s for s in found if s.label is not M.DETACHED]
        found += _named(evidence, "rule", "zero", 0.5, Meaning("zero everywhere", labels=(M.DETACHED,)))
    return found


def ranked(found: Iterable[Suspicion]) -> list[Suspicion]:
    """One suspicion a label, the likeliest first, of what `search` answers."""
    best: dict[M, Suspicion] = {}
    for suspicion in found:
        known = best.get(suspicion.label)
        if known is None or suspicion.cost < known.cost:
            best[suspicion.label] = suspicion
    return sorted(best.values(), key=lambda s: (round(s.cost, 3), s.stage != "rule"))


def contexts(evidence: Evidence) -> dict[str, Context]:
    """What mutations are given, of each program that can be edited."""
    return {
        stage: Context(program, Words(program), steps_of_loops(program), repair=stage == "rule")
        for stage, program in _programs(evidence).items()
    }


def _programs(evidence: Evidence) -> dict[str, MutantEvaluator]:
    """The programs that can be traced, at the samples where both do what the rule and the truth did."""
    given = {"rule": evidence.rule_program, "autodiff": evidence.truth_program}
    programs: dict[str, MutantEvaluator] = {}
    for stage, program in given.items():
        if program is None or not evidence.wrong:
            continue
        try:
            evaluator = MutantEvaluator(evidence, program, *_ANSWERS[stage])
        except (NotTraceable, DoesNotFit):
            continue
        if sum(evaluator.reproduced) >= _FEWEST:
            programs[stage] = evaluator
    agreed = [all(flags) for flags in zip(*(p.reproduced for p in programs.values()), strict=True)]
    if all(agreed):
        return programs
    if sum(agreed) < _FEWEST:
        return {}
    kept = tuple(s for s, agrees in zip(evidence.samples, agreed, strict=True) if agrees)
    return _programs(dataclasses.replace(evidence, samples=kept))


def _suspicions(
    context: Context, stage: str, mutations: tuple[Mutation, ...], clock: Clock, stop: float
) -> Iterator[Suspicion]:
    """What the edits of one round explain, until the time is up."""
    program = context.program
    for mutation in mutations:
        for edit in mutation.edits(context):
            if clock.spent() > stop:
                return
            meaning = _explanation(program, edit)
            if meaning is not None:
                meaning = dataclasses.replace(meaning, labels=meaning.labels or mutation.labels)
                yield from _named(program.evidence, stage, mutation.name, mutation.cost, meaning)


def _explanation(program: MutantEvaluator, edit: Edit) -> Meaning | None:
    """What an edit means where it explains the evidence; None where it does not."""
    if not program.reaches_all_wrong(edit):
        return None
    try:
        if edit.solve is not None:
            return values.solved(program, edit.solve)
        return edit.meaning if program.explains(edit) else None
    except DoesNotFit:
        return None


def _named(evidence: Evidence, stage: str, by: str, cost: float, meaning: Meaning) -> Iterator[Suspicion]:
    """One suspicion a label: the first likeliest, and edits of the rule before those of autodiff."""
    leaf = evidence.wrong[0] if len(evidence.wrong) == 1 else None
    message = f"{', '.join(evidence.names[i] for i in evidence.wrong)}: {meaning.what}"
    cost += meaning.more + (0.0 if stage == "rule" else 0.1)
    for k, label in enumerate(meaning.labels):
        yield Suspicion(label, message, leaf, round(cost + 0.06 * k, 6), stage, by)

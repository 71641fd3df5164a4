"""Edits that take another value of the program instead of one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._context import Context, another
from ._evaluator import Edit, Meaning
from ._relations import in_every_step, relation

Column = tuple[int, ...]


def replaced(context: Context) -> Iterator[Edit]:
    """Another value of the same shape in the place of one."""
    by_shape = _distinct_by_shape(context)
    for i in context.floats:
        for j in by_shape.get(context.shape(i), ()):
            if i == j or context.on_dy(j) and not context.on_dy(i) and not context.repair:
                continue
            # A value that depends on the place it is to be put in is not there yet.
            uses = [
                (e, k)
                for e, k in context.uses(i)
                if context.is_end(e) or not context.above(j).intersection(context.equation(e).outputs)
            ]
            if not uses:
                continue
            meaning = relation(context, i, j)
            doubt = 0.0 if context.repair else context.doubt(i)
            scopes = [(uses, 0.0)]
            if 1 < len(uses) <= 6:
                scopes += [([use], 0.15) for use in uses]
            for chosen, more in scopes:
                said = Meaning(meaning.what, meaning.more + more + doubt, meaning.labels)
                yield Edit(said, dict.fromkeys(chosen, another(j)))


def _distinct_by_shape(context: Context) -> dict[tuple[int, ...], list[int]]:
    """The float values that are no constants, one of those that are equal."""
    found: dict[tuple[int, ...], list[int]] = {}
    seen = set()
    values = context.program.values
    for i in range(len(values[0])):
        if i in context.flat.constants or any(v[i] is None for v in values) or not context.is_float(i):
            continue
        key = tuple(np.asarray(values[s][i]).tobytes() for s in (0, -1))
        if key not in seen:
            seen.add(key)
            found.setdefault(context.shape(i), []).append(i)
    return found


def columns(context: Context) -> Iterator[Edit]:
    """In all steps of a loop at once, what stands there in another step or on another line."""
    places, known = _places(context)
    for steps, k, column in places:
        others = [c for c in known if c != column and len(c) == len(column)]
        if len(set(column)) > 1:
            others += [(column[0],) * len(column), (column[-1],) * len(column)]
            others += [column[1:] + column[-1:], column[:1] + column[:-1]]
        for other in others:
            pairs = list(zip(column, other, strict=True))
            if any(context.shape(i) != context.shape(j) for i, j in pairs):
                continue
            if any(context.on_dy(j) and not context.on_dy(i) for i, j in pairs):
                continue
            operands = {(e, k): another(j) for e, j in zip(steps, other, strict=True)}
            yield Edit(in_every_step(context, column, other), operands)


def _places(context: Context) -> tuple[list[tuple[Column, int, Column]], list[Column]]:
    """Each operand of a loop: its equations, which operand, its values; and all values that loops hold."""
    places: list[tuple[Column, int, Column]] = []
    known: dict[Column, None] = {}
    for steps in dict.fromkeys(context.steps.values()):
        if len(steps) == 1:
            continue
        steps = tuple(sorted(steps, key=lambda e: context.equation(e).step))
        for k in range(len(context.equation(steps[0]).inputs)):
            column = tuple(context.equation(e).inputs[k] for e in steps)
            if all(map(context.is_float, column)):
                places.append((steps, k, column))
                known[column] = None
        made = tuple(map(context.result, steps))
        if all(map(context.is_float, made)):
            known[made] = None
    return places, list(known)

"""Edits that take another value of the program instead of one, and what that means."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..mistakes import Mistake as M
from ._context import MOVES, Context, another
from ._evaluator import Edit, Labels, Meaning

Column = tuple[int, ...]
# What makes a function of the cotangent non-linear.
_BENDS = set("max min clamp abs sign tanh sqrt rsqrt log exp log1p pow reduce_max".split())
_ACTIVATIONS = set("tanh logistic exp log sqrt rsqrt expm1 log1p sin cos erf square".split())
_SPREAD_SUM = {"reduce_sum", "broadcast_in_dim", "reshape"}
_SOFTMAX = {"div", "reduce_sum", "exp", "sub", "reduce_max", "max", "stop_gradient"}
_SILENT = {"broadcast_in_dim", "reshape", "convert_element_type", "squeeze"}

_STALE_OR_INPUT = (M.STALE_RESIDUAL, M.INPUT_FOR_OUTPUT)
_INPUT_OR_STALE = (M.INPUT_FOR_OUTPUT, M.STALE_RESIDUAL)
_TRANSPOSE = (M.MISSING_TRANSPOSE, M.TRANSPOSED_RESULT)


def relation(context: Context, i: int, j: int) -> Meaning:
    """What it means that i stands where j should (repair), or j where i should."""
    wrong, right = (i, j) if context.repair else (j, i)
    labels, more = _labels(context, wrong, right)
    what = f"{context.words.name(wrong)} stands where {context.words.name(right)} should"
    return Meaning(what, more, labels)


def meaning_in_every_step(context: Context, column: tuple[int, ...], other: tuple[int, ...]) -> Meaning:
    """As `relation`, of the values that stand in one place of a loop, step by step."""
    wrong, right = (column, other) if context.repair else (other, column)
    meaning = relation(context, column[-1], other[-1])
    what = f"{meaning.what}, in every step"
    if wrong[1:] == right[:-1] or wrong[:-1] == right[1:]:
        return Meaning(what, 0.0, (M.TIME_SHIFT, M.OFF_BY_ONE))
    if len(set(wrong)) == 1:
        return Meaning(what, 0.1, (M.STALE_RESIDUAL, M.TIME_SHIFT))
    return Meaning(what, meaning.more + 0.1, meaning.labels)


def _labels(context: Context, wrong: int, right: int) -> tuple[Labels, float]:
    """The mistake, and how unlikely it is."""
    pairs = [(values[wrong], values[right]) for values in context.program.values]
    if all(np.size(a) and np.max(np.abs(a - b)) < 0.02 * np.max(np.abs(b)) for a, b in pairs):
        return (M.SMALL_CONSTANT,), 0.0
    if wrong in context.program.above[right] and wrong != right:
        return _earlier(context, wrong, right)
    if right in context.program.above[wrong]:
        return _later(context, wrong, right)
    inputs = context.flat.inputs
    if context.on_dy(wrong) != context.on_dy(right):
        label = M.UPSTREAM_IGNORED if context.on_dy(right) else M.WRONG_DERIVATIVE
        return (label,), 0.6
    if context.flat.loops and _same_line(context, wrong, right):
        return (M.TIME_SHIFT, M.OFF_BY_ONE), 0.2
    if wrong < inputs and right < inputs:
        return (M.ARGUMENTS_SWAPPED, M.STALE_RESIDUAL), 0.5
    if context.on_dy(wrong):
        return (M.PATH_FORGOTTEN, M.WRONG_DERIVATIVE), 0.6
    return (M.STALE_RESIDUAL, M.WRONG_DERIVATIVE), 0.5


def _earlier(context: Context, wrong: int, right: int) -> tuple[Labels, float]:
    """The right value is computed from the one that was taken."""
    between = context.words.between(wrong, right)
    names = {context.equation(e).name for e in between}
    if len(between) <= 6:
        if names <= MOVES:
            return _moved(names), 0.05
        found = _one_step_short(context, wrong, right, between, names - _SILENT)
        if found is not None:
            return found
    is_input, is_result = wrong < context.flat.inputs, right in context.words.results
    if is_result:
        return (_INPUT_OR_STALE, 0.05) if is_input else (_STALE_OR_INPUT, 0.1)
    if names <= _ACTIVATIONS:
        return _INPUT_OR_STALE, 0.1
    if is_input:
        return _STALE_OR_INPUT, 0.1
    return (*_STALE_OR_INPUT, M.MISSING_FACTOR), 0.25


def _later(context: Context, wrong: int, right: int) -> tuple[Labels, float]:
    """The value that was taken is computed from the right one."""
    names = {context.equation(e).name for e in context.words.between(right, wrong)}
    if names <= MOVES:
        return _moved(names), 0.05
    if context.on_dy(right) and names & _BENDS:
        return (M.NON_LINEAR,), 0.0
    if not context.on_dy(wrong) and _same_line(context, wrong, right):
        return (M.TIME_SHIFT, M.OUTPUT_FOR_INPUT), 0.1
    if context.on_dy(right):
        if "reduce_sum" in names and names <= _SPREAD_SUM | {"mul", "div"}:
            return (M.EXTRA_SUM,), 0.0
        return (M.WRONG_DERIVATIVE, M.MISSING_FACTOR), 0.5
    if wrong in context.words.results and right < context.flat.inputs:
        timed = (M.TIME_SHIFT,) if "dot_general" in names else ()
        return (M.OUTPUT_FOR_INPUT, *timed), 0.05
    if "reduce_sum" in names and names <= _SPREAD_SUM:
        return (M.EXTRA_SUM,), 0.0
    return (M.OUTPUT_FOR_INPUT, M.STALE_RESIDUAL), 0.25


def _moved(names: set[str]) -> Labels:
    if "transpose" in names:
        return _TRANSPOSE
    if "rev" in names:
        return (M.ORDER_REVERSED, M.OFF_BY_ONE)
    return (M.OFF_BY_ONE, M.TIME_SHIFT)


def _same_line(context: Context, i: int, j: int) -> bool:
    e, f = context.program.equation(i), context.program.equation(j)
    return e is not None and f is not None and e.place == f.place


def _one_step_short(
    context: Context, wrong: int, right: int, between: list[int], names: set[str]
) -> tuple[Labels, float] | None:
    """The right value is the wrong one and a little more: a factor, a mask, a term, a sum."""
    dy, residual = context.on_dy(wrong), wrong < context.flat.inputs and not context.on_dy(wrong)
    made = {i for e in between for i in context.equation(e).outputs}
    others = {i for e in between for i in context.equation(e).inputs} - {wrong} - made
    if names and names <= {"mul", "div", "sub", "add"} and all(map(context.is_constant, others)):
        if names <= {"mul", "div"}:
            return (M.CONSTANT_FACTOR,), 0.1
        if max((abs(float(np.max(context.at(i)))) for i in others), default=1.0) < 0.02:
            return (M.SMALL_CONSTANT,), 0.0
        return (M.SMOOTHING_FORGOTTEN, M.MISSING_TERM, M.WRONG_DERIVATIVE), 0.05
    if "select_n" in names or names == {"mul"} and any(map(context.is_mask, others)):
        if residual:
            return (M.STALE_RESIDUAL, M.WRONG_MASK, M.PADDING), 0.1
        masks = [i for i in others if context.has_kind(i, "b") or context.is_mask(i)]
        given = () if any(map(context.on_floats, masks)) else (M.PADDING,)
        return (*given, M.WRONG_MASK, M.MISSING_FACTOR), 0.1
    if names in ({"mul"}, {"div"}):
        return (*((M.STALE_RESIDUAL,) if residual else ()), M.MISSING_FACTOR), 0.1
    if names == {"div", "reduce_sum"}:
        return (M.UNNORMALISED, M.MISSING_FACTOR), -0.1
    if {"exp", "div"} <= names <= _SOFTMAX:
        return (M.INPUT_FOR_OUTPUT, M.UNNORMALISED, M.STALE_RESIDUAL), 0.1
    if names and names <= {"add", "sub", "add_any"}:
        return (M.PATH_FORGOTTEN if dy else M.STALE_RESIDUAL, M.MISSING_TERM), 0.1
    if names == {"reduce_sum"}:
        return (M.DIAGONAL_ONLY, M.MISSING_SUM), 0.0
    if names == {"transpose"}:
        return _TRANSPOSE, -0.05
    if names == {"rev"}:
        return (M.ORDER_REVERSED,), 0.0
    if not dy:
        return None
    if names <= {"mul", "div", "sub", "add", "add_any", "neg", "integer_pow", "square"}:
        joined = any(context.on_dy(i) and wrong not in context.program.above[i] for i in others)
        if joined or _branches(context, between):
            return (M.PATH_FORGOTTEN, M.MISSING_TERM, M.MISSING_FACTOR), 0.15
        return (M.MISSING_FACTOR, M.WRONG_DERIVATIVE, M.PATH_FORGOTTEN), 0.1
    return (M.MISSING_FACTOR, M.PATH_FORGOTTEN), 0.4


def _branches(context: Context, between: list[int]) -> bool:
    """Whether autodiff's fan-in adds terms that share no line of the source."""
    for e in between:
        equation = context.equation(e)
        makers = [context.program.equation(i) for i in equation.inputs]
        if equation.name == "add_any" and len({m.place[2:] for m in makers if m is not None}) > 1:
            return True
    return False


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
                if context.is_end(e) or not context.program.above[j].intersection(context.equation(e).outputs)
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
            yield Edit(meaning_in_every_step(context, column, other), operands)


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

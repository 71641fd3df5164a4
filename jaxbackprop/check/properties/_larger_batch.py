"""What is right for a batch of one is right for a larger one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxbackprop.diagnose import Mistake

from .._attempt import attempt
from .._comparison import Comparison, compare
from .._evaluator import Point
from .._findings import finding, raised
from .._layout import CannotCheck, Layout
from .._record import Observations, Record
from .._report import Finding
from .._sampling import Kind, Sampled, cotangents, larger_shapes, redraws
from .._session import CheckSession
from ._values import wrong_leaves

_KINDS = {Kind.GENERIC: Kind.LARGER_GENERIC, Kind.FLIPPED: Kind.LARGER_FLIPPED}
_MISTAKES = (Mistake.BATCH_OF_ONE.value,)


def larger_batch(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Axes of length one are made longer, in the first way that both function and rule take."""
    if record.wrong or not session.traced:
        return []
    failure: Exception | None = None
    for points in _larger_points(session):
        ran = attempt(functools.partial(compare, session, points))
        if ran.error is None:
            record.points += len(ran.value)
            return _findings(session, ran.value, record)
        # A row of biases must not grow with the batch: another way to grow may be right.
        failure = failure or ran.error
    return [] if failure is None else [raised(failure, "for a larger batch", _MISTAKES)]


def _findings(session: CheckSession, comparisons: list[Comparison], record: Record) -> list[Finding]:
    findings = []
    for leaf, (shown, worst) in wrong_leaves(session, comparisons, record).items():
        message = f"{session.names[leaf]} is right for a batch of one and wrong for a larger one"
        point = session.layout.args(shown.point.leaves)
        findings.append(finding(session, leaf, "value", message, worst, mistakes=_MISTAKES, point=point))
    return findings


def _larger_points(session: CheckSession) -> Iterator[list[Sampled]]:
    """Redrawn arguments whose axes of length one are longer, in each way the function takes them."""
    layout, functions = session.layout, (session.subject.value, session.subject.plain)
    for shapes in larger_shapes(layout):
        structs = tuple(
            jax.ShapeDtypeStruct(s, leaf.dtype) for s, leaf in zip(shapes, layout.leaves, strict=True)
        )
        with session.native_setting():
            value, plain = (attempt(functools.partial(_result_shapes, layout, f, structs)) for f in functions)
        if value.error or plain.error or value.value != plain.value:
            continue
        rng = np.random.default_rng(3)
        try:
            drawn = list(redraws(layout, session.domains, rng, quick=True, shapes=shapes))
        except CannotCheck:
            # The caller's own function draws for the caller's shapes alone.
            continue
        yield [
            Sampled(_KINDS[one.kind], Point(one.leaves, cotangents(value.value, rng)))
            for one in drawn
            if one.kind in _KINDS
        ]


def _result_shapes(
    layout: Layout, f: Callable[..., Any], structs: tuple[jax.ShapeDtypeStruct, ...]
) -> list[tuple[int, ...]]:
    ys = jax.eval_shape(lambda *leaves: layout.results(f, leaves), *structs)
    return [y.shape for y in ys]

"""The rule runs, its forward pass gives the function's value, and that is the oracle's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import to_numpy64
from jaxbackprop.diagnose import Mistake

from .._comparison import Comparison, Violation, worst_violation
from .._complex import OtherField
from .._evaluator import Answer, in_haste
from .._record import Observations, Record, finding, raised
from .._report import Finding
from .._rounding import eps_of, largest
from .._session import CheckSession

_MISMATCH = (Mistake.FORWARD_MISMATCH.value,)


def structure(session: CheckSession) -> list[Finding]:
    """What the rule's first run showed: it can be traced, does not raise, and keeps dtypes."""
    run, layout = session.first_run, session.layout
    findings: list[Finding] = []
    if run.untraceable is not None:
        message = f"the rule cannot be traced, though the function can: {first_line(run.untraceable)}"
        findings.append(Finding("jit", message, mistakes=(Mistake.NOT_TRACEABLE.value,)))
    if isinstance(run.error, OtherField):
        leaf, message = run.error.leaf, f"is {run.error.have}, but the argument is {run.error.due}"
        mistakes = (Mistake.COTANGENT_DTYPE.value,)
        said = f"{session.names[leaf]} {message}"
        return [*findings, finding(session, leaf, "structure", said, mistakes=mistakes)]
    if run.error is not None:
        return [*findings, raised(run.error)]
    for leaf, cotangent in enumerate(run.gradient):
        have, due = jnp.dtype(cotangent.dtype), layout.dtypes[leaf]
        if have != due and not layout.from_python[leaf]:
            message = f"{session.names[leaf]} is {have.name}, but the argument is {due.name}"
            mistakes = (Mistake.COTANGENT_DTYPE.value,)
            findings.append(finding(session, leaf, "structure", message, mistakes=mistakes))
    return findings


def forward(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """One finding at most: in float64, of results that are no floats, or in the arguments' own dtypes."""
    in_float64 = _in_float64(session, observed.comparisons)
    found = in_float64 or _other_results(session) or _in_own_dtypes(session, observed.native)
    return [] if found is None else [found]


def _in_float64(session: CheckSession, comparisons: Sequence[Comparison]) -> Finding | None:
    shown = [
        eps_of(y.dtype) for y in jax.tree.leaves(session.result) if jnp.issubdtype(y.dtype, jnp.floating)
    ]
    # What the results' own digits cannot show is no other value.
    relative = max(1e-9 * 64, 64e3 * session.eps, *shown)
    for comparison in comparisons:
        args = session.layout.args(comparison.point.leaves)
        given = comparison.got.value, comparison.got.y, comparison.y, session.result_is_pairs
        for value, y, true, is_pairs in zip(*given, strict=True):
            differs = partial(_differs, relative=relative, args=args, is_pairs=is_pairs)
            if found := differs(y, value, what="forward rule", beside="the function"):
                return found
            if session.subject.oracle is not None and (
                found := differs(value, true, what="function", beside="the oracle")
            ):
                return found
    return None


def _differs(
    got: Any, right: Any, *, relative: float, what: str, beside: str, args: tuple[Any, ...], is_pairs: bool
) -> Finding | None:
    if np.shape(got) != np.shape(right):
        return None
    got, right = to_numpy64(got), to_numpy64(right)
    size = np.abs(right) + 1e-3 * largest(right)
    worst = worst_violation(got, right, relative * size + 1e-290)
    return None if worst is None else _finding(what, beside, worst, args, is_pairs)


def _in_own_dtypes(session: CheckSession, answers: Sequence[Answer]) -> Finding | None:
    for answer in answers:
        for value, y, is_pairs in zip(answer.value, answer.y, session.result_is_pairs, strict=True):
            right, info = to_numpy64(value), jnp.finfo(y.dtype)
            noise = 64 * eps_of(y.dtype) * largest(right) + float(info.tiny)
            if worst := worst_violation(to_numpy64(y), right, noise):
                # Rounding apart: the same value in float64 and another one in the arguments' own dtype.
                return _finding("forward rule", "the function", worst, None, is_pairs)
    return None


def _other_results(session: CheckSession) -> Finding | None:
    """Results that are no floats, as the forward rule gives them, beside the function's."""
    subject, layout, native = session.subject, session.layout, session.rule_native
    if subject.rule is not None or subject.forward or not native.traced:
        return None
    if len(jax.tree.leaves(session.result)) == len(session.shapes):
        return None

    def both(leaves: tuple[Any, ...]) -> list[list[jax.Array]]:
        def of_floats(*floats: Any) -> Any:
            return subject.value(*layout.args(layout.with_floats(leaves, floats)))

        y, _ = jax.vjp(of_floats, *layout.floats_of(leaves))
        both_flat = (
            map(jnp.asarray, jax.tree.leaves(results)) for results in (y, subject.value(*layout.args(leaves)))
        )
        return [[leaf for leaf in flat if not jnp.issubdtype(leaf.dtype, jnp.inexact)] for flat in both_flat]

    with native.setting():
        ruled, plain = jax.jit(both, compiler_options=in_haste())(native.cast(session.base.leaves))
    for value, right in zip(ruled, plain, strict=True):
        if not jnp.issubdtype(right.dtype, jax.dtypes.prng_key) and not np.array_equal(value, right):
            message = f"the forward rule gives another {right.dtype.name} result than the function"
            return Finding("forward", message, mistakes=_MISMATCH)
    return None


def _finding(
    what: str, beside: str, worst: Violation, point: tuple[Any, ...] | None, is_pairs: bool
) -> Finding:
    worst = worst.of_complex(1) if is_pairs else worst
    said = f"{worst.got:.6g} instead of {worst.want:.6g} at {list(worst.index)}"
    message = f"the {what} gives another value than {beside}: {said}"
    return Finding("forward", message, mistakes=_MISMATCH, point=point, **worst.numbers())

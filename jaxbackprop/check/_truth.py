"""What a gradient is held against: autodiff of the oracle or an intended rule, where it can be run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxbackprop._errors import first_line

from ._attempt import attempt
from ._evaluator import Evaluator, Point, autodiff_pull
from ._layout import CannotCheck, Layout
from ._strip import strip
from ._subject import Subject


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is right.

    Attributes:
        wide: in float64, or in the arguments' own dtypes where the function cannot be run in float64; None
            where differences alone judge.
        native: in the arguments' own dtypes; None with `wide`.
        notes: what is remarkable about it.
        in_float64: whether the function can be run in float64; else the rule is judged in the arguments' own
            dtypes too.
    """

    wide: Evaluator | None = None
    native: Evaluator | None = None
    notes: tuple[str, ...] = ()
    in_float64: bool = True


def find_truth(
    subject: Subject, layout: Layout, base: Point, *, traced: bool, x64: bool, rules: Sequence[Evaluator]
) -> Truth:
    """Runs what may judge at the caller's arguments, and answers with what can.

    Args:
        subject: the rule and what it is judged by.
        layout: of the arguments.
        base: the caller's arguments.
        traced: whether the function can be traced.
        x64: jax's x64 setting for the arguments' own dtypes.
        rules: the rule in float64 and in the arguments' own dtypes: they are compiled beside the truth.

    Raises:
        CannotCheck: where `oracle_vjp` raises.
    """
    if subject.intended is not None:
        pull = subject.by_rule(layout, subject.plain, subject.intended)
    elif not traced and subject.rule is not None and subject.oracle is subject.value:
        return Truth()
    else:
        pull = autodiff_pull(layout, strip(subject.plain) if traced else subject.plain)
    wide = Evaluator(pull, layout, dtype=np.float64, x64=x64)
    native = Evaluator(pull, layout, traced=traced, x64=x64)
    if traced:
        _compile(base, (rules[0], wide, rules[1]))
    for through_jit in (True, False):
        wide = wide.through_jit(through_jit)
        ran = attempt(functools.partial(wide.run, [base]))
        if ran.error is None:
            return Truth(wide, native.through_jit(through_jit))
    if subject.intended is not None:
        raise CannotCheck(f"oracle_vjp raises at these arguments: {first_line(ran.error)}") from ran.error
    if attempt(lambda: native.run([base])).error is not None:
        said = f"autodiff cannot follow the function ({first_line(ran.error)}): differences alone judge"
        return Truth(notes=(said,))
    # A dtype is written into the function: what judges it runs in the arguments' own, as the rule.
    said = f"the function cannot be run in float64: {first_line(ran.error)}"
    return Truth(native, native, (said,), in_float64=False)


def _compile(base: Point, evaluators: Sequence[Evaluator]) -> None:
    """All programs, two at a time: XLA compiles without holding Python's lock."""
    with ThreadPoolExecutor(2) as pool:
        for evaluator in evaluators:
            # One after another, for rules with a memory; the lowered program is all that a thread gets.
            evaluator.prepare(base, pool)

"""Opens a session: takes arguments apart, compiles, and finds out what can judge."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import to_numpy64

from ._attempt import UNTRACEABLE, Outcome, attempt
from ._evaluator import Axes, Evaluator, Point, autodiff_pull
from ._layout import CannotCheck, Layout
from ._nondiff import positions, refuse_forbidden
from ._sampling import EXAMPLES, cotangents
from ._session import LARGE, VERY_MANY, CheckSession, FirstRun
from ._strip import holds, strip
from ._subject import Subject


def open_session(
    subject: Subject,
    args: tuple[Any, ...],
    *,
    domains: Any = None,
    in_axes: Any = 0,
    nondiff: Any = (),
    quick: bool = False,
    figures: bool = False,
    seed: int = 0,
) -> CheckSession:
    """Opens a session; raises CannotCheck where there is nothing to judge. Else see `check_vjp`."""
    x64 = _needs_x64(subject, args)
    layout, traced = _layout(subject, args, positions(nondiff, len(args)), x64)
    floats = layout.floats_of(layout.leaves)
    if not floats:
        raise CannotCheck(f"{subject.name} has no floating-point argument to be differentiated")
    if not any(map(np.size, floats)):
        raise CannotCheck(f"the floating-point arguments of {subject.name} are empty: no number to judge")
    ran = _results(subject.value, layout, traced, x64)
    if ran.error is not None:
        raise CannotCheck(f"{subject.name} raises at these arguments: {first_line(ran.error)}") from ran.error
    shapes = _float_shapes(ran.value)
    if not shapes:
        raise CannotCheck(f"{subject.name} has no floating-point result to be differentiated")
    if subject.forward and traced:
        _must_have_tangents(subject, layout, x64)
    leaves = tuple(
        to_numpy64(leaf) if i in layout.all_floats else leaf for i, leaf in enumerate(layout.leaves)
    )
    base = Point(leaves, cotangents(shapes, np.random.default_rng(seed)))
    pull, x64_native = subject.rule_pull(layout), x64 or layout.has_keys
    rule = Evaluator(pull, layout, dtype=np.float64, traced=traced, x64=x64_native)
    # The rule as its users have it: with all optimisations.
    native = Evaluator(pull, layout, traced=traced, x64=x64_native, hasty=False)
    if subject.oracle is not None and subject.oracle is not subject.value and subject.intended is None:
        _must_fit(subject, shapes, _results(subject.oracle, layout, traced, x64))
    axes = layout.axes(in_axes)
    few_enough = sum(map(np.size, layout.leaves)) <= (VERY_MANY if quick else LARGE)
    batch = axes if few_enough and any(axis is not None for axis in axes) else None
    truth = find_truth(
        subject, layout, base, traced=traced, x64=x64_native, rules=(rule, native), batch=batch
    )
    first_run = _first_run(native, base, traced, x64)
    if first_run.error is not None:
        refuse_forbidden(subject, args, layout, x64=x64_native)
    if first_run.untraceable is not None:
        rule, native = rule.through_jit(False), native.through_jit(False)
    return CheckSession(
        subject=subject,
        layout=layout,
        domains=domains,
        axes=axes,
        seed=seed,
        quick=quick,
        figures=figures,
        x64=x64,
        traced=traced,
        result=ran.value,
        base=base,
        rule=rule if truth.in_float64 else native,
        rule_native=native,
        truth=truth.wide,
        truth_native=truth.native,
        first_run=first_run,
        notes=truth.notes,
    )


def _needs_x64(subject: Subject, args: tuple[Any, ...]) -> bool:
    if jax.dtypes.canonicalize_dtype(np.float64) == np.float64:
        return True
    arrays = [leaf for leaf in jax.tree.leaves(args) if isinstance(leaf, jax.Array)]
    # Float64 is what NumPy computes in, whatever jax is set to.
    in_numpy = subject.rule is not None and not arrays
    return in_numpy or any(leaf.dtype in (np.float64, np.int64, np.complex128) for leaf in arrays)


def _layout(
    subject: Subject, args: tuple[Any, ...], nondiff: frozenset[int], x64: bool
) -> tuple[Layout, bool]:
    """The arguments taken apart so that the function can be traced, and whether it can."""

    def trace(layout: Layout) -> None:
        ys = jax.eval_shape(lambda *leaves: layout.results(subject.value, leaves), *layout.structs)
        if subject.rule is not None:
            # A pair need not be traceable: in NumPy it is not.
            jax.eval_shape(subject.rule_pull(layout), layout.structs, ys)

    failure: Exception | None = None
    for trace_floats, hold_integers in ((True, False), (False, False), (False, True)):
        layout = Layout.of(
            args,
            subject.static,
            nondiff=nondiff,
            trace_floats=trace_floats,
            hold_integers=hold_integers,
            x64=x64,
        )
        with jax.enable_x64(x64):
            ran = attempt(functools.partial(trace, layout))
        if ran.error is None:
            return layout, True
        failure = failure or ran.error
    if subject.rule is None and not isinstance(failure, UNTRACEABLE):
        raise CannotCheck(f"{subject.name} raises at these arguments: {first_line(failure)}")
    return Layout.of(args, subject.static, nondiff=nondiff, trace_floats=True, x64=x64), False


def _results(f: Callable[..., Any], layout: Layout, traced: bool, x64: bool) -> Outcome[Any]:
    """A function's results, or their shapes where they can be had without computing."""

    def results() -> Any:
        if not traced:
            return jax.tree.map(np.asarray, f(*layout.args(layout.leaves)))
        return jax.eval_shape(lambda *leaves: f(*layout.args(leaves)), *layout.structs)

    with jax.enable_x64(x64):
        return attempt(results)


def _must_have_tangents(subject: Subject, layout: Layout, x64: bool) -> None:
    with jax.enable_x64(x64):
        program = jax.make_jaxpr(lambda *leaves: layout.results(subject.value, leaves))(*layout.structs)
    if holds(program, "custom_vjp_call"):
        raise CannotCheck(f"{subject.name} has a custom VJP inside, which has no JVP: check_vjp judges it")


def _float_shapes(results: Any) -> list[tuple[int, ...]]:
    found = [y for y in jax.tree.leaves(results) if jnp.issubdtype(y.dtype, jnp.inexact)]
    # A complex number counts as two.
    return [(*y.shape, 2) if jnp.issubdtype(y.dtype, jnp.complexfloating) else tuple(y.shape) for y in found]


def _must_fit(subject: Subject, shapes: list[tuple[int, ...]], ran: Outcome[Any]) -> None:
    """The oracle's results have the shapes of the operator's."""
    if isinstance(ran.error, UNTRACEABLE):
        return
    if ran.error is not None:
        raise CannotCheck(f"the oracle raises at these arguments: {first_line(ran.error)}") from ran.error
    if (found := _float_shapes(ran.value)) != shapes:
        raise CannotCheck(f"the oracle's results have shapes {found}, but those of {subject.name} {shapes}")


def _first_run(native: Evaluator, base: Point, traced: bool, x64: bool) -> FirstRun:
    untraceable = None
    if traced:
        dy = tuple(jax.ShapeDtypeStruct(d.shape, np.float32) for d in base.dy)
        with jax.enable_x64(x64):
            ran = attempt(lambda: jax.eval_shape(native.pull, native.layout.structs, dy))
        if ran.error is None:
            return FirstRun(ran.value.gradient)
        if not isinstance(ran.error, UNTRACEABLE):
            return FirstRun(error=ran.error)
        untraceable = ran.error
    with native.setting():
        ran = attempt(lambda: native.call(base))
    if ran.error is not None:
        return FirstRun(untraceable=untraceable, error=ran.error)
    return FirstRun(ran.value.gradient, untraceable)


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is right."""

    wide: Evaluator | None = None  # in float64 where it can be run so; None where differences alone judge
    native: Evaluator | None = None  # in the arguments' own dtypes; None with `wide`
    notes: tuple[str, ...] = ()  # what is remarkable about it
    in_float64: bool = True  # else the rule is judged in the arguments' own dtypes too


def find_truth(
    subject: Subject,
    layout: Layout,
    base: Point,
    *,
    traced: bool,
    x64: bool,
    rules: Sequence[Evaluator],
    batch: Axes | None = None,
) -> Truth:
    """Runs what may judge at the caller's arguments, and answers with what can.

    The rule, in float64 and in the arguments' own dtypes, is compiled beside it; also for a batch where its
    axes are given. Raises CannotCheck where `oracle_vjp` raises.
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
        # Two at a time, while this goes on: XLA compiles without holding Python's lock.
        pool = ThreadPoolExecutor(2)
        for evaluator in (rules[0], wide, rules[1]):
            # One after another, for rules with a memory; the lowered program is all that a thread gets.
            evaluator.prepare(base, pool)
        if batch is not None:
            rules[1].prepare_batch(base, EXAMPLES, batch, pool)
        pool.shutdown(wait=False)
    for through_jit in (True, False):
        wide = wide.through_jit(through_jit)
        ran = attempt(functools.partial(wide.run, [base]))
        if ran.error is None:
            return Truth(wide, native.through_jit(through_jit))
    if subject.intended is not None:
        raise CannotCheck(f"oracle_vjp raises at these arguments: {first_line(ran.error)}") from ran.error
    if (error := attempt(lambda: native.run([base])).error) is not None:
        said = f"autodiff cannot follow the function ({first_line(error)}): differences alone judge"
        return Truth(notes=(said,))
    # A dtype is written into the function: what judges it runs in the arguments' own, as the rule.
    said = f"the function cannot be run in float64: {first_line(ran.error)}"
    return Truth(native, native, (said,), in_float64=False)

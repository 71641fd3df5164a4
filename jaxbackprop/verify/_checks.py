"""One operator through the harness, and what the harness cannot know: its tails, its derivation on paper."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop.check import Compared, Evaluator, Examination, Layout, Point, examine
from jaxbackprop.ops.catalogue import Case, RuledFunction

from ._result import GradientResult

Pair = tuple[Callable[..., Any], Callable[..., Any]]
_Results = dict[int, GradientResult]


def verify_operator(row: RuledFunction, pair: Pair | None, effort: str = "quick") -> list[GradientResult]:
    """One result a differentiable argument.

    Args:
        row: the function, of the catalogue or a primitive of the graph.
        pair: the derivation on paper, `f` and `f_vjp`; None where there is none to be compared.
        effort: "quick" calls the operator in the first of its ways, and in those that have a gradient for
            another argument, in float32; "thorough" in all of them, in every dtype, at its kinks and ties,
            and over the whole range of its argument.
    """
    # What the caller has set for other random bits would be judged instead of the rule.
    with jax.threefry_partitionable(True):
        return _verify_operator(row, pair, effort)


def _verify_operator(row: RuledFunction, pair: Pair | None, effort: str) -> list[GradientResult]:
    parameters = list(inspect.signature(row.op).parameters)
    results: _Results = {}
    rng = np.random.default_rng(0)
    thorough = effort == "thorough"
    for number, case in enumerate(row.cases):
        args = case.draw(rng)
        positions = set(Layout.of(args).arguments)
        if number and not thorough and positions <= set(results):
            continue
        for position in positions:
            results.setdefault(position, GradientResult(row.name, parameters[position]))
        try:
            examination = _examined(row, case, _in(jnp.float32, args), effort)
            _judge(row, examination, results, measure=True)
            if number == 0 and examination.kept is not None:
                for result in results.values():
                    result.residual_bytes, result.autodiff_bytes = examination.kept
            if pair is not None:
                _check_reference(row, case, args, examination, pair, results)
            if thorough and number == 0:
                _check_other_dtypes(row, case, args, results)
        except Exception as error:
            # A rule that raises where nobody expects it is wrong, and the others still have their turn.
            _blame_all(results, _raised(error))
    if thorough:
        _check_special(row, results)
        if row.sweep is not None:
            _check_sweep(row, results)
    return [results[position] for position in sorted(results)]


def _raised(error: Exception) -> str:
    return f"the rule raised {first_line(error)}"


def _blame_all(results: _Results, problem: str) -> None:
    for result in results.values():
        result.blame(problem)


def _in(dtype: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments as arrays of jax, floats in a dtype."""

    def cast(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return jnp.asarray(leaf, dtype if np.issubdtype(leaf.dtype, np.floating) else leaf.dtype)

    with jax.enable_x64(True):
        return jax.tree.map(cast, args)


def _examined(
    row: RuledFunction, case: Case, args: tuple[Any, ...], effort: str, domains: Any = None
) -> Examination:
    return examine(row.op, *args, oracle=row.oracle, kwargs=case.keywords, effort=effort, domains=domains)


def _judge(
    row: RuledFunction, examination: Examination, results: _Results, *, measure: bool, where: str = ""
) -> None:
    for found in examination.report.findings:
        said = f"{found.message}{where}"
        if found.mistakes:
            said += f" (looks like: {', '.join(found.mistakes[:3])})"
        blamed = results.values() if found.argument is None else [results[found.argument]]
        for result in blamed:
            result.blame(f"{found.property}: {said}")
    for leaf, at_kink in enumerate(examination.kinks):
        results[examination.arguments[leaf]].kinks += at_kink
    if measure:
        for compared in examination.compared:
            _measure(row, compared, results[examination.arguments[compared.leaf]])


_COLUMNS = {"float64": "float64_ulp", "native": "float32_ulp", "jit": "jit_ulp", "vmap": "vmap_ulp"}


def _measure(row: RuledFunction, compared: Compared, result: GradientResult) -> None:
    if compared.how == "differences":
        distance = np.abs(compared.got - compared.want)
        if distance.size:
            worst = int(np.argmax(distance))
            if distance.flat[worst] >= result.differences:
                result.differences = float(distance.flat[worst])
                result.differences_error = float(np.broadcast_to(compared.noise, distance.shape).flat[worst])
    elif compared.how in _COLUMNS:
        dtype = jnp.float64 if compared.how == "float64" else jnp.float32
        result.raise_to(
            _COLUMNS[compared.how], ulp(row, compared.got, compared.want, dtype, 8 * compared.noise)
        )


def ulp(
    row: RuledFunction, got: np.ndarray, want: np.ndarray, dtype: Any, noise: np.ndarray | float = 0.0
) -> float:
    """Largest distance beyond `noise` in units in the last place; see `GradientResult`."""
    info = jnp.finfo(dtype)
    scale = np.abs(want.astype(np.float64))
    if not row.elementwise and scale.size:
        scale = np.full_like(scale, np.max(scale))
    spacing = float(info.eps) * 2.0 ** np.floor(np.log2(np.maximum(scale, float(info.tiny))))
    with np.errstate(over="ignore", invalid="ignore"):
        # A wrong rule may be anywhere: infinitely many units off where the truth is 0, or nan.
        return float(np.max((np.abs(got.astype(np.float64) - want) - noise) / spacing, initial=0.0))


def _check_other_dtypes(row: RuledFunction, case: Case, args: tuple[Any, ...], results: _Results) -> None:
    for dtype in row.dtypes:
        if dtype != jnp.float32:
            examination = _examined(row, case, _in(dtype, args), "quick")
            _judge(row, examination, results, measure=False, where=f", in {np.dtype(dtype).name}")


def _check_special(row: RuledFunction, results: _Results) -> None:
    """At kinks, ties and in tails the verdict alone counts: autodiff's choice there is one of many."""
    for args in row.special:
        fixed = ("fixed",) * len(args)
        try:
            examination = _examined(row, row.cases[0], _in(jnp.float32, args), "quick", fixed)
        except Exception as error:
            _blame_all(results, _raised(error))
            continue
        _judge(row, examination, results, measure=False, where=", at a special point")


def _check_sweep(row: RuledFunction, results: _Results) -> None:
    """Every entry accurate by itself over a wide range, in float32.

    Autodiff of the usual formula may cancel in the tails, so its own error is no excuse here: where both
    agree in float64 and float32 can hold the result, what the catalogue promises must do, or eight units in
    the last place.
    """
    assert row.sweep is not None
    low, high = row.sweep
    # Off the round numbers, where kinks are; float32 numbers, so that rounding x is no part of the error.
    x = np.linspace(low, high, 4001).astype(np.float32).astype(np.float64) + 2.0**-10
    layout, one = Layout.of((x,)), Point((x,), (np.ones_like(x),))
    try:
        (truth,), (same,), (got,) = (
            Evaluator.of(f, layout, dtype).run_one(one).gradient
            for f, dtype in ((row.oracle, jnp.float64), (row.op, jnp.float64), (row.op, jnp.float32))
        )
    except Exception as error:
        _blame_all(results, _raised(error))
        return
    # XLA flushes subnormal numbers on the CPU, intermediate ones too, hence some room above the smallest.
    case = row.cases[0]
    held = np.abs(truth) >= max(16 * float(jnp.finfo(jnp.float32).tiny), case.least)
    known = held & (np.abs(truth - same) <= 1e-8 * np.abs(truth))
    off = ulp(row, got[known], truth[known], jnp.float32)
    (result,) = results.values()
    if not off <= (case.bar or 8):
        result.blame(f"loses digits between {low:g} and {high:g}: off by {off:.3g} ulp in float32")


def _check_reference(
    row: RuledFunction,
    case: Case,
    args: tuple[Any, ...],
    examination: Examination,
    pair: Pair,
    results: _Results,
) -> None:
    """The operator in float64 beside the derivation on paper, at the caller's point."""
    base = examination.base
    if base is None:
        return
    f, f_vjp = pair
    positional = [
        p for p in inspect.signature(f).parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    layout = Layout.of(args)
    # What the operator was looked at: its arguments rounded to float32.
    floats = layout.floats_of(layout.leaves)
    rounded = layout.put(tuple(np.asarray(leaf, np.float32).astype(np.float64) for leaf in floats))
    full = rounded + tuple(p.default for p in positional[len(args) :])
    paper_y = f(*full, **case.keywords)
    paper_dy = jax.tree.unflatten(jax.tree.structure(paper_y), base.point.dy)
    paper = jax.tree.leaves(f_vjp(*full, paper_dy, **case.keywords))
    if not all(_close(y, true) for y, true in zip(base.got.value, jax.tree.leaves(paper_y), strict=True)):
        _blame_all(results, "the forward value differs from the reference's")
    for position, got, want in _of_arguments(examination, base.got.gradient, paper):
        distance = float(np.abs(got - want).max(initial=0.0))
        results[position].raise_to("reference", distance)
        if not _close(got, want):
            results[position].blame(f"differs from the reference by {distance:.3g}")


def _of_arguments(examination: Examination, *gradients: Any) -> Iterator[tuple[Any, ...]]:
    return zip(examination.arguments, *gradients, strict=True)


def _close(got: np.ndarray, want: np.ndarray) -> bool:
    return np.allclose(got, want, rtol=1e-10, atol=1e-12 * (1 + float(np.abs(want).max(initial=0.0))))

"""Operators of the catalogue, one after another or side by side, and the derivations beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import import_module, importable_from_here
from jaxbackprop.ops.catalogue import Operator, operators

from ._checks import verify_operator
from ._result import GradientResult

_Row = TypeVar("_Row")
_Result = TypeVar("_Result")


class CannotVerify(CannotRun, ValueError):
    """What was asked for is not there: an operator, a rule, a derivation."""


def verify(
    names: list[str] | None = None,
    reference: str | None = None,
    *,
    effort: str = "quick",
    workers: int = 1,
) -> list[GradientResult]:
    """Verifies operators and returns one result an operator and differentiable argument.

    Args:
        names: operators; None for all of the catalogue.
        reference: a package whose modules hold `f` and `f_vjp` under the operators' names: "reference".
        effort: "quick" (at most a second an operator: the first way to call it, in float32) or "thorough"
            (every way to call it, every dtype, kinks and ties, the whole range of elementwise functions).
        workers: threads; most of the time goes to compilation, which needs one core each. jax settings that
            hold in the calling thread alone (`with jax.default_matmul_precision(...)`) do not reach them.

    Raises:
        CannotVerify: where a name is not in the catalogue, the reference lacks a function, or the effort is
            unknown.
    """
    try:
        rows = operators(names)
    except ValueError as error:
        raise CannotVerify(str(error)) from None
    if effort not in ("quick", "thorough"):
        raise CannotVerify(f"effort must be 'quick' or 'thorough', got {effort!r}")
    pairs = {} if reference is None else {row.name: _reference_pair(reference, row) for row in rows}
    return side_by_side(lambda row: verify_operator(row, pairs.get(row.name), effort), rows, workers)


def side_by_side(one: Callable[[_Row], list[_Result]], rows: Sequence[_Row], workers: int) -> list[_Result]:
    """What comes of each row, in their order, in so many threads."""
    if workers == 1:
        found = [one(row) for row in rows]
    else:
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(one, rows))
    return [result for results in found for result in results]


def _reference_pair(reference: str, row: Operator) -> tuple[Callable, Callable]:
    try:
        with importable_from_here():
            module = import_module(f"{reference}.{row.family}")
    except CannotRun as error:
        raise CannotVerify(f"--reference {reference}: {error}") from None
    missing = [name for name in (row.name, f"{row.name}_vjp") if not callable(getattr(module, name, None))]
    if missing:
        raise CannotVerify(f"--reference {reference}: {module.__name__} has no function {missing[0]}")
    return getattr(module, row.name), getattr(module, f"{row.name}_vjp")

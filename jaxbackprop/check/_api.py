"""Is a hand-written VJP right and, if not, where and which mistake does it look like."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jaxbackprop._output import first_line

from ._diagnosis import diagnosed
from ._evaluator import Answer
from ._findings import raised
from ._report import Finding, Report
from ._reproducer._smallest import shown_by, simplified
from ._session import Compared, Look, Trial
from ._subject import CannotCheck, Subject
from .properties import _properties as properties
from .properties import _transformations as transformations
from .properties._values import against_differences, values

_EFFORTS = ("quick", "thorough")
_ORDER = (
    "structure",
    "jit",
    "forward",
    "linearity",
    "value",
    "vmap",
    "precision",
    "scan",
    "checkpoint",
    "determinism",
)


def check_vjp(
    op: Callable[..., Any],
    *args: Any,
    oracle: Callable[..., Any] | None = None,
    oracle_vjp: Callable[..., Any] | None = None,
    domains: Any = None,
    in_axes: Any = 0,
    kwargs: Mapping[str, Any] | None = None,
    effort: str = "thorough",
    seed: int = 0,
) -> Report:
    """Says of a hand-written VJP whether it is right and, if not, where and which mistake it looks like.

    The gradient at the arguments, and at others drawn from them, is held against autodiff in float64 and
    against extrapolated differences. What rounding explains is measured, never asked of the caller. The
    caller's x64, precision and promotion settings are left as they are.

    Args:
        op: a `jax.custom_vjp` function, or any function built on some: under jit or vmap, a method, a lambda.
        *args: its positional arguments, pytrees of arrays of any shapes. Floats are differentiated; integers,
            booleans and random keys are redrawn; None, strings, functions, Python integers and what
            `nondiff_argnums` names stay as they are. A Python float whose cotangent is None is a setting.
        oracle: the same function without custom rules. By default that under the custom VJPs themselves.
        oracle_vjp: (*args, dy) -> one cotangent an argument, for a rule that is deliberately not the
            derivative: a straight-through estimator, gradient reversal, clipping, an implicit solve.
        domains: where arguments may be redrawn, one entry an argument: (lo, hi), "positive", "simplex" (rows
            that sum to one), "fixed", a function (rng, like) -> value with NumPy's generator, or None. By
            default integers stay within the range seen, an ascending vector beside others stays ascending, a
            mask of zeros and ones stays one, and a redraw where the function is not finite is dropped.
        in_axes: as in jax.vmap, for the check under vmap; None shares an argument.
        kwargs: keyword arguments of `op`, of the oracle and of `oracle_vjp`.
        effort: "quick" (about a second: fewer redraws, nothing run operation by operation) or "thorough".
        seed: of redraws and cotangents.

    Returns:
        A report; it is printed to be read, and `report.ok` is True where nothing is wrong.

    Raises:
        CannotCheck: where there is nothing to judge: no float among arguments or results, a function that
            raises, domains or axes that do not fit. Never for a wrong gradient.
    """
    return _check(Subject.of_op(op, oracle, oracle_vjp, kwargs), args, domains, in_axes, effort, seed)


def assert_vjp(op: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Raises AssertionError, with the report as its message, where `check_vjp` finds something wrong.

    Args:
        op: see `check_vjp`.
        *args: see `check_vjp`.
        **options: see `check_vjp`.
    """
    report = check_vjp(op, *args, **options)
    if not report.ok:
        raise AssertionError(str(report))


def check_pair(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    *args: Any,
    oracle: Callable[..., Any] | None = None,
    domains: Any = None,
    in_axes: Any = 0,
    kwargs: Mapping[str, Any] | None = None,
    effort: str = "thorough",
    seed: int = 0,
) -> Report:
    """Says of a function and its rule, in NumPy or JAX, whether the rule is right.

    Args:
        f: f(*args) -> results, arrays or a pytree of them.
        f_vjp: f_vjp(*args, dy) -> one cotangent an argument (None for those without), with dy of the results'
            structure.
        *args: see `check_vjp`.
        oracle: f in JAX, for autodiff to differentiate where f is in NumPy. Without it differences alone
            judge.
        domains: see `check_vjp`.
        in_axes: see `check_vjp`.
        kwargs: keyword arguments of both.
        effort: see `check_vjp`.
        seed: see `check_vjp`.

    Returns:
        See `check_vjp`.

    Raises:
        CannotCheck: see `check_vjp`.
    """
    return _check(Subject.of_pair(f, f_vjp, oracle, kwargs), args, domains, in_axes, effort, seed)


@dataclasses.dataclass(frozen=True)
class Examination:
    """A report, and the numbers it rests on.

    Attributes:
        report: the verdict.
        compared: every gradient beside what it was held against, at points that are not extreme.
        arguments: for each differentiable leaf, the position of its argument.
        base: the caller's arguments with their cotangents, in float64, and the rule's answer there.
        kept: bytes of residuals in the arguments' own dtypes, the rule's and autodiff's; None if unknown.
        kinks: for each differentiable leaf, whether it was at a kink and right.
    """

    report: Report
    compared: tuple[Compared, ...]
    arguments: tuple[int, ...]
    base: Look | None
    kept: tuple[int, int] | None
    kinks: tuple[bool, ...]


def examine(
    op: Callable[..., Any],
    *args: Any,
    oracle: Callable[..., Any] | None = None,
    domains: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    effort: str = "thorough",
    seed: int = 0,
) -> Examination:
    """As `check_vjp`, with the numbers behind the verdict; operation by operation is run at any effort."""
    subject = Subject.of_op(op, oracle, None, kwargs)
    return _examine(subject, args, domains, 0, effort, seed, figures=True)


def _check(subject: Subject, args: Any, domains: Any, in_axes: Any, effort: str, seed: int) -> Report:
    return _examine(subject, args, domains, in_axes, effort, seed).report


def _examine(
    subject: Subject, args: Any, domains: Any, in_axes: Any, effort: str, seed: int, *, figures: bool = False
) -> Examination:
    if effort not in _EFFORTS:
        raise CannotCheck(f"effort must be 'quick' or 'thorough', got {effort!r}")
    if not isinstance(seed, int) or seed < 0:
        raise CannotCheck(f"seed must be a whole number from 0 on, got {seed!r}")
    # What the caller has set to hunt for nans would raise where a nan is what is looked for.
    with jax.debug_nans(False), jax.debug_infs(False), jax.disable_jit(False):
        trial = Trial(subject, args, quick=effort == "quick", figures=figures, domains=domains, seed=seed)
        findings, looks, points = _findings(trial, trial.layout.axes(in_axes))
    findings.sort(key=lambda f: _ORDER.index(f.property))
    report = Report(subject.name, tuple(findings), tuple(trial.notes), points, shown_by(trial, findings))
    leaves = range(len(trial.layout.floats))
    return Examination(
        report,
        tuple(trial.compared),
        trial.layout.arguments,
        looks[0] if looks else None,
        trial.kept,
        tuple(leaf in trial.kinks for leaf in leaves),
    )


def _findings(trial: Trial, axes: tuple[int | None, ...]) -> tuple[list[Finding], list[Look], int]:
    findings, runs = properties.structure(trial)
    if not runs:
        return findings, [], 0
    spots = list(trial.spots())
    try:
        own = trial.own.run([spot for _, spot in spots])
    except Exception as error:
        return [*findings, raised(error)], [], 0
    try:
        looks = trial.looks(spots)
    except Exception as error:
        trial.notes.append(f"the rule cannot be run in float64: {first_line(error)}")
        trial.rule = trial.own
        looks = trial.looks(spots)
    place = {id(spot): n for n, (_, spot) in enumerate(spots)}
    beside = [own[place[id(look.spot)]] for look in looks]
    findings += properties.forward(trial, looks, beside)
    wrong, shown = values(trial, looks)
    straight = properties.linearity(trial, looks) + properties.outputs_used(trial, looks, set(shown))
    findings += straight + wrong
    findings += against_differences(trial, looks, set(shown))
    findings += properties.precision(trial, looks, beside, set(shown))
    points = len(looks) + (0 if wrong else _larger(trial, findings))
    findings += _transformed(trial, axes, own[0])
    trial.notes += transformations.notes(trial)
    if trial.narrows and trial.rule is not trial.own:
        trial.notes.append(f"computes in {trial.narrows} whatever it is given: judged at its rounding")
    if wrong:
        findings = _explained(trial, findings, looks, shown)
    return findings, looks, points


def _explained(
    trial: Trial, findings: list[Finding], looks: list[Look], shown: dict[int, Look]
) -> list[Finding]:
    try:
        return [simplified(trial, found, shown) for found in diagnosed(trial, findings, looks, shown)]
    except Exception as error:
        # A rule may answer once and raise elsewhere; what was found wrong stays wrong.
        trial.notes.append(f"the mistake could not be looked into: {first_line(error)}")
        return findings


def _larger(trial: Trial, findings: list[Finding]) -> int:
    """A batch of three where the caller's holds one; adds what is wrong and answers with the points."""
    failure: Exception | None = None
    looks: list[Look] = []
    for spots in transformations.larger_batches_taken(trial):
        try:
            looks = trial.looks(spots)
        except Exception as error:
            # A row of biases must not grow with the batch: another way to grow may be right.
            failure = failure or error
            continue
        break
    else:
        if failure is not None:
            findings.append(raised(failure, "for a larger batch", ("batch of one",)))
        return 0
    for found in values(trial, looks)[0]:
        message = (
            found.message.partition(" is wrong")[0]
            + " is right for a batch of one and wrong for a larger one"
        )
        findings.append(dataclasses.replace(found, mistakes=("batch of one",), message=message))
    return len(looks)


def _transformed(trial: Trial, axes: tuple[int | None, ...], answer: Answer) -> list[Finding]:
    findings = transformations.determinism(trial, answer)
    if trial.own.traced:
        findings += transformations.vmap(trial, axes)
        findings += transformations.checkpoint_and_scan(trial, answer)
        if trial.figures or not trial.quick:
            findings += transformations.jit(trial, answer)
    return findings

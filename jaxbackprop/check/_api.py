"""Is a hand-written VJP right and, if not, where and which mistake does it look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._attempt import judges
from ._examine import Examination, examine_subject
from ._report import Report
from ._subject import Subject


@judges
def check_vjp(
    op: Callable[..., Any],
    *args: Any,
    oracle: Callable[..., Any] | None = None,
    oracle_vjp: Callable[..., Any] | None = None,
    domains: Any = None,
    in_axes: Any = 0,
    nondiff: int | Sequence[int] = (),
    kwargs: Mapping[str, Any] | None = None,
    effort: str = "thorough",
    budget: float | None = None,
    seed: int = 0,
) -> Report:
    """Says of a hand-written VJP whether it is right and, if not, where and which mistake it looks like.

    The gradient at the arguments, and at others drawn from them, is held against autodiff in float64 and
    against extrapolated differences: where autodiff is not the function's derivative, as through a bisection,
    differences alone judge. What rounding explains is measured, never asked of the caller; what only float64
    can show, or only arguments far larger than the caller's, is noted. The caller's x64, precision and
    promotion settings are left as they are.

    Args:
        op: a `jax.custom_vjp` or `jax.custom_jvp` function, or any function built on some: under jit or vmap,
            a method, a lambda. The custom JVPs of JAX's own functions count as autodiff.
        *args: its positional arguments, pytrees of arrays of any shapes. Floats and complex numbers, these in
            JAX's convention, are differentiated; integers, booleans and random keys are redrawn; None,
            strings, functions, Python integers and what `nondiff_argnums` names stay as they are. A Python
            float whose cotangent is None is a setting.
        oracle: the same function without custom rules. By default that under the custom rules themselves.
        oracle_vjp: (*args, dy) -> one cotangent an argument, for a rule that is deliberately not the
            derivative: a straight-through estimator, gradient reversal, clipping, an implicit solve.
        domains: where arguments may be redrawn, one entry an argument: (lo, hi), "positive", "simplex" (rows
            that sum to one), "fixed", a function (rng, like) -> value with NumPy's generator, or None. By
            default integers stay within the range seen, an ascending vector beside others stays ascending, a
            mask of zeros and ones stays one, a permutation too, and a redraw where the function raises or is
            not finite is dropped. Of complex numbers (lo, hi) bounds both parts.
        in_axes: as in jax.vmap, for the check under vmap; None shares an argument.
        nondiff: positions of arguments that hold floats and have no gradient by design, such as targets. They
            are redrawn like the others, and nothing is asked of their cotangents.
        kwargs: keyword arguments of `op`, of the oracle and of `oracle_vjp`.
        effort: "quick" (about a second: fewer redraws, nothing run operation by operation) or "thorough".
        budget: after so many seconds nothing more is begun, and the report says what was not looked at; what
            is under way, such as a compilation, is not cut short.
        seed: of redraws and cotangents.

    Returns:
        A report; it is printed to be read, and `report.ok` is True where nothing is wrong. A note says what
        redraws kept of the arguments, and whether the rule is right without it.

    Raises:
        CannotCheck: where there is nothing to judge: no float among arguments or results, or empty ones, a
            function that raises, domains or axes that do not fit. Never for a wrong gradient, and whatever
            the functions raise: nothing else is raised.
    """
    options: dict[str, Any] = {"domains": domains, "in_axes": in_axes, "nondiff": nondiff}
    subject = Subject.of_op(op, oracle, oracle_vjp, kwargs)
    return examine_subject(subject, args, **options, effort=effort, budget=budget, seed=seed).report


@judges
def check_jvp(
    op: Callable[..., Any],
    *args: Any,
    oracle: Callable[..., Any] | None = None,
    domains: Any = None,
    in_axes: Any = 0,
    nondiff: int | Sequence[int] = (),
    kwargs: Mapping[str, Any] | None = None,
    effort: str = "thorough",
    budget: float | None = None,
    seed: int = 0,
) -> Report:
    """Says of a hand-written JVP whether it is right and, if not, where and which mistake it looks like.

    `jax.jvp` of the operator is held against autodiff of its primal function, in float64, and against
    differences; it must be linear in the tangents, and its transpose what reverse mode gives. `check_vjp`
    judges such a rule by reverse mode alone.

    Args:
        op: a `jax.custom_jvp` function, or any function built on some.
        *args: see `check_vjp`.
        oracle: the same function without custom rules. By default that under the custom JVPs themselves.
        domains: see `check_vjp`.
        in_axes: see `check_vjp`.
        nondiff: see `check_vjp`; these arguments have no tangent.
        kwargs: keyword arguments of `op` and of the oracle.
        effort: see `check_vjp`.
        budget: see `check_vjp`.
        seed: of redraws and tangents.

    Returns:
        See `check_vjp`.

    Raises:
        CannotCheck: see `check_vjp`; also for a function with a custom VJP inside, which has no JVP.
    """
    options: dict[str, Any] = {"domains": domains, "in_axes": in_axes, "nondiff": nondiff}
    subject = Subject.of_jvp(op, oracle, kwargs)
    return examine_subject(subject, args, **options, effort=effort, budget=budget, seed=seed).report


def assert_vjp(op: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Raises AssertionError, with the report as its message, where `check_vjp` finds something wrong.

    Args:
        op: see `check_vjp`.
        *args: see `check_vjp`.
        **options: see `check_vjp`.
    """
    __tracebackhide__ = True
    report = check_vjp(op, *args, **options)
    if not report.ok:
        raise AssertionError(str(report))


@judges
def check_pair(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    *args: Any,
    oracle: Callable[..., Any] | None = None,
    domains: Any = None,
    in_axes: Any = 0,
    nondiff: int | Sequence[int] = (),
    kwargs: Mapping[str, Any] | None = None,
    effort: str = "thorough",
    budget: float | None = None,
    seed: int = 0,
) -> Report:
    """Says of a function and its rule, in NumPy or JAX, whether the rule is right.

    Args:
        f: f(*args) -> results, arrays or a pytree of them.
        f_vjp: f_vjp(*args, dy) -> one cotangent an argument (None for those without), with dy of the results'
            structure. That of a complex z is dz where a change δz counts
            by the real part of dz δz, as in JAX.
        *args: see `check_vjp`.
        oracle: f in JAX, for autodiff to differentiate where f is in NumPy. Without it differences alone
            judge.
        domains: see `check_vjp`.
        in_axes: see `check_vjp`.
        nondiff: see `check_vjp`.
        kwargs: keyword arguments of both.
        effort: see `check_vjp`.
        budget: see `check_vjp`.
        seed: see `check_vjp`.

    Returns:
        See `check_vjp`.

    Raises:
        CannotCheck: see `check_vjp`.
    """
    options: dict[str, Any] = {"domains": domains, "in_axes": in_axes, "nondiff": nondiff}
    subject = Subject.of_pair(f, f_vjp, oracle, kwargs)
    return examine_subject(subject, args, **options, effort=effort, budget=budget, seed=seed).report


@judges
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
    return examine_subject(subject, args, domains=domains, effort=effort, seed=seed, figures=True)

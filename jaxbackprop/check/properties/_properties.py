"""What must hold of a right rule: its structure, forward rule, linearity, and its digits. A function each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import to_numpy64
from jaxbackprop._output import first_line

from .._around import kink
from .._evaluator import Answer
from .._findings import Worst, beyond, finding, raised
from .._report import Finding
from .._rounding import Blur, eps_of, largest
from .._session import BASE_KINDS, Look, Trial, usual_sizes
from .._subject import UNTRACEABLE
from ._values import mismatch

# -- structure ---------------------------------------------------------------------------------------------


def structure(trial: Trial) -> tuple[list[Finding], bool]:
    """Shapes and dtypes of the cotangents; whether the rule can be run at all, and through jit.

    Returns:
        The findings, and whether there are values to look at.
    """
    layout = trial.layout
    pull = trial.subject.rule_pull(layout)
    findings: list[Finding] = []
    answer = None
    if trial.traced:
        try:
            with trial.own_setting():
                dy = tuple(jax.ShapeDtypeStruct(shape, np.float32) for shape in trial.shapes)
                answer = jax.eval_shape(pull, layout.structs, dy)
        except UNTRACEABLE as error:
            findings.append(
                Finding(
                    "jit",
                    f"the rule cannot be traced, though the function can: {first_line(error)}",
                    mistakes=("not traceable",),
                )
            )
            trial.own.traced = trial.rule.traced = False
        except Exception as error:
            return [raised(error)], False
    if answer is None:
        try:
            with trial.own.setting():
                answer = trial.own.once(trial.base)
        except Exception as error:
            return [*findings, raised(error)], False
    for leaf, (slot, cotangent) in enumerate(zip(layout.floats, answer[2], strict=True)):
        have, due = jnp.dtype(cotangent.dtype), layout.leaves[slot].dtype
        if have != due and not layout.from_python[leaf]:
            message = f"{trial.names[leaf]} is {have.name}, but the argument is {due.name}"
            findings.append(finding(trial, leaf, "structure", message, mistakes=("cotangent dtype",)))
    return findings, True


# -- the forward rule --------------------------------------------------------------------------------------


def forward(trial: Trial, looks: Sequence[Look], own: Sequence[Answer]) -> list[Finding]:
    """The forward rule gives the function's value, and the function the oracle's."""
    for look in looks:
        for again, y, true in zip(look.got.again, look.got.y, look.y, strict=True):
            for what, value, right in (("forward rule", y, again), ("function", again, true)):
                if np.shape(value) != np.shape(right):
                    continue
                if what == "function" and trial.subject.oracle is None:
                    continue
                value, right = to_numpy64(value), to_numpy64(right)
                size = np.abs(right) + 1e-3 * largest(right)
                if worst := beyond(value, right, max(1e-9, 1e3 * trial.wide_eps) * 64 * size + 1e-290):
                    beside = "the function" if what == "forward rule" else "the oracle"
                    point = trial.layout.args(look.spot.leaves)
                    return [_forward_finding(what, beside, worst, point)]
    if (other := _other_results(trial)) is not None:
        return [other]
    for answer in own:
        for again, y in zip(answer.again, answer.y, strict=True):
            value, right = to_numpy64(y), to_numpy64(again)
            noise = 64 * eps_of(y.dtype) * largest(right) + float(jnp.finfo(y.dtype).tiny)
            if worst := beyond(value, right, noise):
                # Rounding apart: the same value in float64 and another one in the arguments' own dtype.
                return [_forward_finding("forward rule", "the function", worst, None)]
    return []


def _other_results(trial: Trial) -> Finding | None:
    """Results that are no floats, as the forward rule gives them, beside the function's."""
    subject, layout = trial.subject, trial.layout
    if (
        subject.rule is not None
        or not trial.own.traced
        or len(jax.tree.leaves(trial.result)) == len(trial.shapes)
    ):
        return None

    def both(leaves: tuple[Any, ...]) -> Any:
        def of_floats(*floats: Any) -> Any:
            return subject.value(*layout.args(layout.with_floats(leaves, floats)))

        y, _ = jax.vjp(of_floats, *layout.floats_of(leaves))
        return [
            [leaf for leaf in jax.tree.leaves(results) if not jnp.issubdtype(leaf.dtype, jnp.floating)]
            for results in (y, subject.value(*layout.args(leaves)))
        ]

    with trial.own.setting():
        ruled, plain = jax.jit(both)(trial.own.cast(trial.base.leaves))
    for value, right in zip(ruled, plain, strict=True):
        if not jnp.issubdtype(right.dtype, jax.dtypes.prng_key) and not np.array_equal(value, right):
            message = f"the forward rule gives another {right.dtype.name} result than the function"
            return Finding("forward", message, mistakes=("forward mismatch",))
    return None


def _forward_finding(what: str, beside: str, worst: Worst, point: tuple[Any, ...] | None) -> Finding:
    said = f"{worst.got:.6g} instead of {worst.want:.6g} at {list(worst.index)}"
    message = f"the {what} gives another value than {beside}: {said}"
    return Finding("forward", message, mistakes=("forward mismatch",), point=point, **vars(worst))


# -- linearity ---------------------------------------------------------------------------------------------


def linearity(trial: Trial, looks: Sequence[Look]) -> list[Finding]:
    """Linear in the cotangent: scaled, of the other sign, summed, zero; every result's cotangent used."""
    if trial.subject.intended is not None:
        return []
    by_kind = {look.kind: look for look in looks if look.kind in BASE_KINDS}
    if not {"base", "fresh", "sum", "zero"} <= set(by_kind):
        return []
    findings = []
    for leaf in range(len(trial.layout.floats)):
        g = {kind: to_numpy64(look.got.gradient[leaf]) for kind, look in by_kind.items()}
        base = g["base"]
        if not all(np.all(np.isfinite(v)) for v in g.values()):
            continue
        scale = max(float(np.max(np.abs(v), initial=0.0)) for kind, v in g.items() if kind != "much")
        # A sum that cancels leaves rounding of the cotangents' size.
        blur = np.sum([by_kind[kind].noise[leaf] for kind in ("base", "fresh", "sum")], axis=0)
        tolerance = max(1e-9, 1e3 * trial.wide_eps * 64) * scale + 4 * blur + 1e-290
        broken = [
            ("sum", g["sum"], base + g["fresh"], 1),
            ("minus twice", g["minus twice"], -2 * base, 1),
            ("zero", g["zero"], 0 * base, 1),
            ("much", g["much"], trial.much * base, trial.much),
            ("little", g["little"], base / trial.much, 1 / trial.much),
        ]
        off = [kind for kind, got, want, much in broken if not np.all(np.abs(got - want) <= tolerance * much)]
        if not off:
            continue
        mistakes, how = _how_not_linear(g, off, tolerance * 1024)
        message = f"{trial.names[leaf]} {how}"
        findings.append(finding(trial, leaf, "linearity", message, mistakes=mistakes))
    return findings


def _how_not_linear(
    g: dict[str, np.ndarray], off: Sequence[str], tolerance: np.ndarray
) -> tuple[tuple[str, ...], str]:
    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return bool(np.all(np.abs(a - b) <= tolerance))

    base = g["base"]
    if same(g["minus twice"], base) and same(g["fresh"], base):
        return ("upstream ignored",), "does not depend on the incoming cotangent"
    if same(g["minus twice"], 4 * base):
        return ("upstream squared",), "grows with the square of the incoming cotangent"
    if same(g["minus twice"], -2 * base) and "sum" not in off:
        return ("non-linear in cotangent",), "is not proportional to a large or small incoming cotangent"
    if "zero" in off:
        return (
            "upstream ignored",
            "non-linear in cotangent",
        ), "is not zero for an incoming cotangent of zero"
    mistakes = ("non-linear in cotangent", "upstream squared", "upstream ignored")
    return mistakes, "is not linear in the incoming cotangent"


def outputs_used(trial: Trial, looks: Sequence[Look], wrong: set[int]) -> list[Finding]:
    """A leaf that ignores the cotangent of one of several results."""
    alone = [look for look in looks if look.kind == "alone"]
    findings = []
    for leaf in sorted(wrong):
        for k, look in enumerate(alone):
            got, want = to_numpy64(look.got.gradient[leaf]), look.want[leaf]
            if np.any(np.abs(want) > look.noise[leaf]) and not np.any(got):
                others = [mismatch(other, leaf) for j, other in enumerate(alone) if j != k]
                if all(m is None for m in others):
                    message = f"{trial.names[leaf]} ignores the cotangent of result {k}"
                    findings.append(finding(trial, leaf, "linearity", message, mistakes=("output ignored",)))
    return findings


# -- the arguments' own dtype ------------------------------------------------------------------------------


def precision(trial: Trial, looks: Sequence[Look], own: Sequence[Answer], wrong: set[int]) -> list[Finding]:
    """In the arguments' own dtype no worse than autodiff by more than rounding explains."""
    if trial.rough is None:
        return []
    # In float64 there is nothing between rounding and wrongness.
    narrow = any(trial.layout.leaves[i].dtype != np.float64 for i in trial.layout.floats)
    findings = []
    for leaf, usual_size in enumerate(usual_sizes(looks)):
        for look, answer in zip(looks, own, strict=True):
            if look.kind == "base":
                trial.record("own", leaf, to_numpy64(answer.gradient[leaf]), look.want[leaf])
            if leaf in wrong or not narrow:
                continue
            judge = partial(_unstable, trial, look, answer, leaf=leaf, usual_size=usual_size)
            if found := trial.excused(look.spot, answer, judge):
                findings.append(found)
                wrong = wrong | {leaf}
    return findings


def _unstable(
    trial: Trial, look: Look, answer: Answer, blur: Blur, *, leaf: int, usual_size: float
) -> Finding | None:
    if not all(np.all(np.isfinite(v)) for v in (*answer.again, *answer.y)):
        return None
    usual = look.kind in ("base", "fresh")
    info = jnp.finfo(trial.layout.leaves[trial.layout.floats[leaf]].dtype)
    # The rule's own answer in float64, which is known to be right: at a kink it tells which side was taken.
    right = to_numpy64(look.got.gradient[leaf])
    right = np.where(np.isfinite(right) & (not trial.rounds_alone(leaf)), right, look.want[leaf])
    got = to_numpy64(answer.gradient[leaf])
    held = np.isfinite(right) & (np.abs(right) < float(info.max) / 2)
    if not usual and not blur.finite[leaf]:
        # Where autodiff overflows too, a redraw has gone too far for the function itself.
        held &= np.isfinite(got)
    noise = blur.noise[leaf]
    if not usual:
        noise = 4 * (noise + float(info.eps) * usual_size)
    worst = beyond(got, np.where(held, right, np.nan), noise)
    if worst is None or (look.redrawn and kink(trial, look, leaf) is not None):
        return None
    what = "is not finite" if not np.isfinite(worst.got) else "loses its digits"
    error = f"off by {blur.error[leaf]:.2g}" if blur.finite[leaf] else "not finite either"
    message = (
        f"{trial.names[leaf]} {what} in {info.dtype.name}, though the formula is right: autodiff is {error}"
    )
    point = trial.layout.args(look.spot.leaves)
    return finding(trial, leaf, "precision", message, worst, mistakes=("numerically unstable",), point=point)

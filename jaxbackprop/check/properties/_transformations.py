"""The rule under jax's transformations, call after call, in larger batches, and what it keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import to_numpy64
from jaxbackprop._output import first_line

from .._evaluator import Answer, Machine, Spot
from .._findings import beyond, finding
from .._report import Finding
from .._residuals import held_bytes
from .._rounding import Blur
from .._sampling import cotangents, larger_batches, redraws
from .._session import VERY_MANY, Trial
from .._subject import CannotCheck


def _compare(
    trial: Trial,
    got: Sequence[Any],
    want: Sequence[Any],
    noise: Sequence[float],
    what: str,
    how: str,
    mistakes: tuple[str, ...],
) -> list[Finding]:
    findings = []
    for leaf, (g, w, n) in enumerate(zip(got, want, noise, strict=True)):
        g, w = to_numpy64(g), to_numpy64(w)
        trial.record(what, leaf, g, w, np.zeros(()))
        if g.shape != w.shape:
            message = f"{trial.names[leaf]} has shape {g.shape} {how}, {w.shape} without"
            findings.append(finding(trial, leaf, what, message, mistakes=mistakes))
        elif worst := beyond(g, w, n):
            said = f"{worst.got:.6g} instead of {worst.want:.6g} at {list(worst.index)}"
            message = f"{trial.names[leaf]} is another {how}: {said}"
            findings.append(finding(trial, leaf, what, message, worst, mistakes=mistakes))
    return findings


def determinism(trial: Trial, answer: Answer) -> list[Finding]:
    """Two calls give the same bits."""
    again = trial.own.run([trial.base])[0]
    for leaf, (a, b) in enumerate(zip(answer.gradient, again.gradient, strict=True)):
        if a.tobytes() != b.tobytes() and not np.array_equal(to_numpy64(a), to_numpy64(b), equal_nan=True):
            return [finding(trial, leaf, "determinism", f"{trial.names[leaf]} changes from call to call")]
    return []


def jit(trial: Trial, answer: Answer) -> list[Finding]:
    """Operation by operation the same as compiled, within a few units in the last place."""
    try:
        with trial.own.setting():
            eager = trial.own.once(trial.base)
    except Exception as error:
        return [Finding("jit", f"the rule runs under jit but not without: {first_line(error)}")]

    def judge(blur: Blur) -> list[Finding]:
        return _compare(trial, answer.gradient, eager[2], blur.noise, "jit", "under jit", ())

    return trial.excused(trial.base, answer, judge)


def vmap(trial: Trial, axes: tuple[int | None, ...]) -> list[Finding]:
    """A batch of three fresh draws at once against one after another."""
    if trial.quick and trial.numbers > VERY_MANY:
        trial.notes.append("not looked at under vmap: the arguments are large and the effort is quick")
        return []
    layout = trial.layout
    if all(axis is None for axis in axes):
        return []
    drawn = [trial.base.leaves]
    drawn += [
        r.leaves
        for r in redraws(layout, trial.domains, np.random.default_rng(5), quick=False)
        if r.kind in ("generic", "other")
    ]
    examples = [
        tuple(
            leaf if axis is not None else shared
            for leaf, axis, shared in zip(leaves, axes, trial.base.leaves, strict=True)
        )
        for leaves in drawn
    ]
    spots = [Spot(leaves, cotangents(trial.shapes, trial.rng)) for leaves in examples]
    apart = trial.own.run(spots)
    try:
        together = _vmapped(trial.own, spots, axes)
    except Exception as error:
        rough = trial.rough
        if rough is not None:
            try:
                _vmapped(rough, spots, axes)
            except Exception:
                trial.notes.append(f"cannot be vmapped, nor can the oracle: {first_line(error)}")
                return []
        said = f"the rule raises under vmap {first_line(error)}"
        return [Finding("vmap", said, mistakes=("not traceable", "batch-global"))]
    findings: list[Finding] = []
    for n, (spot, answer) in enumerate(zip(spots, apart, strict=True)):
        if not all(np.all(np.isfinite(to_numpy64(y))) for y in answer.y):
            continue
        got = [leaf[n] for leaf in together]

        def judge(blur: Blur, got: list[Any] = got, answer: Answer = answer) -> list[Finding]:
            return _compare(trial, got, answer.gradient, blur.noise, "vmap", "under vmap", ("batch-global",))

        new = trial.excused(spot, answer, judge)
        known = {(f.argument, f.path) for f in findings}
        findings += [f for f in new if (f.argument, f.path) not in known]
    return findings


def _vmapped(machine: Machine, spots: Sequence[Spot], axes: tuple[Any, ...]) -> list[Any]:
    with machine.setting():
        cast = [machine.cast(spot.leaves) for spot in spots]
        stacked = [
            leaves[0] if axis is None else jnp.stack(leaves, axis=axis)
            for leaves, axis in zip(zip(*cast, strict=True), axes, strict=True)
        ]
        dy = tuple(jnp.asarray(np.stack(d)) for d in zip(*(s.dy for s in spots), strict=True))
        gradient = jax.jit(jax.vmap(lambda *a: machine.pull(a[:-1], a[-1])[2], in_axes=(*axes, 0)))(
            *stacked, dy
        )
        return [np.asarray(leaf) for leaf in gradient]


def larger_batches_taken(trial: Trial) -> Iterator[list[tuple[str, Spot]]]:
    """Redrawn arguments whose axes of length one are longer, in each way the function takes them."""
    if not trial.traced:
        return
    layout, subject = trial.layout, trial.subject
    for shapes in larger_batches(layout):
        structs = tuple(
            jax.ShapeDtypeStruct(s, leaf.dtype) for s, leaf in zip(shapes, layout.leaves, strict=True)
        )
        try:
            with trial.own_setting():
                ys = [
                    jax.eval_shape(lambda *v, f=f: subject.results(layout, f, v), *structs)
                    for f in (subject.value, subject.oracle or subject.value)
                ]
        except Exception:
            continue
        if [y.shape for y in ys[0]] != [y.shape for y in ys[1]]:
            continue
        rng = np.random.default_rng(3)
        sizes = [y.shape for y in ys[0]]
        try:
            drawn = list(redraws(layout, trial.domains, rng, quick=True, shapes=shapes))
        except CannotCheck:
            # The caller's own function draws for the caller's shapes alone.
            continue
        yield [
            (f"batch of three, {one.kind}", Spot(one.leaves, cotangents(sizes, rng)))
            for one in drawn
            if one.kind in ("generic", "flipped")
        ]


def checkpoint_and_scan(trial: Trial, answer: Answer) -> list[Finding]:
    """Under jax.checkpoint and inside lax.scan: the same gradients, twice added up."""
    layout, subject, machine = trial.layout, trial.subject, trial.own
    if subject.rule is not None:
        return []
    # A rule that is meant to clip is not linear in the cotangent.
    part = 0.5 if subject.intended is None else 1.0

    def twice(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
        again = jax.checkpoint(subject.of_floats(layout, subject.value, leaves))

        def of_floats(*floats: Any) -> Any:
            return jax.lax.scan(lambda carry, _: (carry, again(*carry)), floats, None, length=2)[1]

        y, pullback = jax.vjp(of_floats, *layout.floats_of(leaves))
        doubled = tuple(
            jnp.stack([d.astype(v.dtype), part * d.astype(v.dtype)]).astype(v.dtype)
            for d, v in zip(dy, y, strict=True)
        )
        return pullback(doubled)

    try:
        with machine.setting():
            leaves, dy = machine.cast(trial.base.leaves), tuple(map(jnp.asarray, trial.base.dy))
            if trial.quick:
                jax.eval_shape(twice, leaves, dy)
                return []
            got = [np.asarray(leaf) for leaf in jax.jit(twice)(leaves, dy)]
    except Exception as error:
        if machine.x64 != trial.x64 and _fits_the_callers_setting(trial, twice):
            return []
        what, where = (
            ("scan", "lax.scan") if _works_under_checkpoint(trial) else ("checkpoint", "jax.checkpoint")
        )
        return [Finding(what, f"the rule fails under {where}: {first_line(error)}")]
    want = [(1 + part) * to_numpy64(g) for g in answer.gradient]

    def judge(blur: Blur) -> list[Finding]:
        noise = [4 * n for n in blur.noise]
        return _compare(trial, got, want, noise, "scan", "under jax.checkpoint inside lax.scan", ())

    return trial.excused(trial.base, answer, judge)


def _structs(trial: Trial) -> tuple[Any, Any]:
    """Array leaves and cotangents to trace with."""
    return trial.layout.structs, tuple(jax.ShapeDtypeStruct(shape, np.float32) for shape in trial.shapes)


def _fits_the_callers_setting(trial: Trial, twice: Callable[..., Any]) -> bool:
    """Whether a scan traces as the caller runs it: random numbers are wider where the harness does."""
    try:
        with trial.own_setting():
            jax.eval_shape(twice, *_structs(trial))
        return True
    except Exception:
        return False


def _works_under_checkpoint(trial: Trial) -> bool:
    subject, layout = trial.subject, trial.layout

    def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
        again = jax.checkpoint(subject.of_floats(layout, subject.value, leaves))
        y, pullback = jax.vjp(again, *layout.floats_of(leaves))
        return pullback(tuple(d.astype(v.dtype) for d, v in zip(dy, y, strict=True)))

    try:
        with trial.own.setting():
            jax.eval_shape(pull, trial.own.cast(trial.base.leaves), tuple(map(jnp.asarray, trial.base.dy)))
        return True
    except Exception:
        return False


def notes(trial: Trial) -> list[str]:
    """Residual bytes against autodiff's, and whether the rule can be differentiated again."""
    if not trial.own.traced or trial.subject.rule is not None:
        return []
    layout, subject = trial.layout, trial.subject
    said = []
    # What autodiff cannot follow keeps nothing that could be compared.
    with contextlib.suppress(Exception), trial.own_setting():
        mine, theirs = (_kept(trial, f) for f in (subject.value, subject.oracle or subject.value))
        trial.kept = mine, theirs
        if subject.oracle is not None and trial.truth is not None:
            said.append(f"keeps {mine:,} bytes for the backward pass; autodiff keeps {theirs:,}")

    def again(leaves: Any, dy: Any) -> Any:
        gradient, pullback = jax.vjp(
            lambda *x: trial.own.pull(layout.with_floats(leaves, x), dy)[2], *layout.floats_of(leaves)
        )
        return pullback(gradient)

    try:
        with trial.own_setting():
            jax.eval_shape(again, *_structs(trial))
    except Exception as error:
        said.append(f"the rule cannot be differentiated again: {first_line(error)}")
    return said


def _kept(trial: Trial, f: Callable[..., Any]) -> int:
    """Bytes of what a function's pullback holds; see `held_bytes`."""
    layout = trial.layout
    found: list[int] = []

    def of(*leaves: Any) -> Any:
        y, pullback = jax.vjp(trial.subject.of_floats(layout, f, leaves), *layout.floats_of(leaves))
        found.append(held_bytes(pullback))
        return y

    jax.eval_shape(of, *layout.structs)
    return found[0]

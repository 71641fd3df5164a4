"""What must hold of a right rule: a small function each, which answers with findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._machine import Answer, Machine, Spot
from ._probes import cotangents, larger_batches, redraws
from ._report import Finding
from ._subject import UNTRACEABLE, is_array
from ._trial import BASE_KINDS, Blur, Compared, Look, Trial
from ._truth import to_numpy64



def name_of(trial: Trial, leaf: int) -> str:
    """How messages call the cotangent of a differentiable leaf."""
    return trial.names[leaf]


def finding(trial: Trial, leaf: int | None, what: str, message: str, **more: Any) -> Finding:
    """A finding about a differentiable leaf, or about none in particular."""
    if leaf is not None:
        more = {"argument": trial.layout.arguments[leaf], "path": trial.layout.paths[leaf], **more}
    return Finding(what, message, **more)


# -- structure ---------------------------------------------------------------------------------------------


def structure(trial: Trial) -> tuple[list[Finding], bool]:
    """Shapes and dtypes of the cotangents; whether the rule can be run at all, and through jit.

    Returns:
        The findings, and whether there are values to look at.
    """
    layout = trial.layout
    pull = trial.subject.rule_pull(layout)
    structs = tuple(jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype) for leaf in layout.leaves)
    findings: list[Finding] = []
    answer = None
    if trial.traced:
        try:
            with trial.own_setting():
                dy = tuple(jax.ShapeDtypeStruct(shape, np.float32) for shape in trial.shapes)
                answer = jax.eval_shape(pull, structs, dy)
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
            message = f"{name_of(trial, leaf)} is {have.name}, but the argument is {due.name}"
            findings.append(finding(trial, leaf, "structure", message, mistakes=("cotangent dtype",)))
    return findings, True


def raised(error: Exception, when: str = "", mistakes: tuple[str, ...] = ()) -> Finding:
    """The finding that a rule raises."""
    return Finding(
        "structure", f"the rule raises {when + ': ' if when else ''}{first_line(error)}", mistakes=mistakes
    )


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


# -- the forward rule --------------------------------------------------------------------------------------


def forward(trial: Trial, looks: Sequence[Look], own: Sequence[Answer]) -> list[Finding]:
    """The forward rule gives the function's value, and the function the oracle's."""
    for look in looks:
        for again, y, true in zip(look.got.again, look.got.y, look.y, strict=True):
            for what, value, right in (("forward rule", y, again), ("function", again, true)):
                if np.shape(value) != np.shape(right):
                    continue
                value, right = to_numpy64(value), to_numpy64(right)
                scale = float(np.max(np.abs(right), initial=0.0, where=np.isfinite(right)))
                tolerance = max(1e-9, 1e3 * trial.wide_eps) * 64 * (np.abs(right) + scale * 1e-3) + 1e-290
                if found := _beyond(value, right, tolerance):
                    beside = "the function" if what == "forward rule" else "the oracle"
                    if what == "function" and trial.subject.oracle is None:
                        continue
                    return [_forward_finding(trial, look, what, beside, *found)]
    for answer in own:
        for again, y in zip(answer.again, answer.y, strict=True):
            eps = float(jnp.finfo(y.dtype).eps)
            value, right = to_numpy64(y), to_numpy64(again)
            scale = float(np.max(np.abs(right), initial=0.0, where=np.isfinite(right)))
            if found := _beyond(value, right, 64 * eps * scale + float(jnp.finfo(y.dtype).tiny)):
                # Rounding apart: the same value in float64 and another one in the arguments' own dtype.
                return [_forward_finding(trial, None, "forward rule", "the function", *found)]
    return []


def _forward_finding(
    trial: Trial,
    look: Look | None,
    what: str,
    beside: str,
    index: tuple[int, ...],
    got: float,
    want: float,
    error: float,
    noise: float,
) -> Finding:
    return Finding(
        "forward",
        f"the {what} gives another value than {beside}: {got:.6g} instead of {want:.6g} at {list(index)}",
        mistakes=("forward mismatch",),
        index=index,
        got=got,
        want=want,
        error=error,
        noise=noise,
        point=None if look is None else trial.layout.args(look.spot.leaves),
    )


def _beyond(
    got: np.ndarray, want: np.ndarray, noise: Any
) -> tuple[tuple[int, ...], float, float, float, float] | None:
    """The entry that is furthest beyond its noise, if one is. Where the truth is not finite nothing is asked."""
    with np.errstate(all="ignore"):
        distance = np.where(np.isfinite(want), np.abs(got - want), 0.0)
        noise = np.broadcast_to(noise, distance.shape)
        over = ~(distance <= noise)
        if not np.any(over):
            return None
        excess = np.where(over, np.where(np.isfinite(distance), distance / (noise + 1e-300), np.inf), -1.0)
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
    index = tuple(int(i) for i in worst)
    return index, float(got[worst]), float(want[worst]), float(distance[worst]), float(noise[worst])


# -- values ------------------------------------------------------------------------------------------------


def values(trial: Trial, looks: Sequence[Look]) -> tuple[list[Finding], dict[int, Look]]:
    """Every gradient against the truth, at every spot; at a kink any generalised gradient passes.

    Returns:
        One finding a wrong leaf, and for each the look that shows it.
    """
    findings, shown = [], {}
    for leaf in range(len(trial.layout.floats)):
        _record(trial, looks, leaf)
        if trial.layout.from_python[leaf] and all(not np.any(look.got.gradient[leaf]) for look in looks):
            if any(np.any(look.want[leaf]) for look in looks):
                where = f"argument {trial.layout.arguments[leaf]}"
                trial.notes.append(f"{where} is a Python float and gets no gradient: taken as a setting")
            continue
        judged = _judge(trial, looks, leaf)
        if judged is not None:
            look, found = judged
            findings.append(_value_finding(trial, leaf, look, found))
            shown[leaf] = look
    return findings, shown


def _record(trial: Trial, looks: Sequence[Look], leaf: int) -> None:
    for look in looks:
        if look.kind == "base":
            got = to_numpy64(look.got.gradient[leaf])
            trial.compared.append(Compared("float64", leaf, got, look.want[leaf], trial.rounding[leaf]))


def _value_finding(trial: Trial, leaf: int, look: Look, found: Any) -> Finding:
    index, got, want, error, noise = found
    where = "" if not look.redrawn else f" at redrawn arguments ({look.kind})"
    return finding(
        trial,
        leaf,
        "value",
        f"{name_of(trial, leaf)} is wrong{where}",
        index=index,
        got=got,
        want=want,
        error=error,
        noise=noise,
        point=trial.layout.args(look.spot.leaves),
    )


def _judge(trial: Trial, looks: Sequence[Look], leaf: int) -> tuple[Look, Any] | None:
    """The first look at which a leaf is wrong, and its worst entry there."""
    smooth: dict[int, bool] = {}
    for look in looks:
        found = mismatch(look, leaf)
        if look.kind in BASE_KINDS and not np.all(np.isfinite(look.want[leaf])) and trial.truth is not None:
            found = _beside_nonfinite(trial, look, leaf) or found
        if found is None:
            continue
        point = id(look.spot.leaves) if look.redrawn else 0
        if smooth.get(point):
            return look, found
        kink = trial.kink(look, leaf)
        if kink is None:
            smooth[point] = True
            return look, found
        if not kink.outside <= 1e-2:
            return look, found
        trial.kinks.add(leaf)
        index, got, want, *_ = found
        note = f"{name_of(trial, leaf)} is a valid subgradient at a kink"
        if not any(n.startswith(note) for n in trial.notes):
            other = "autodiff" if trial.truth is not None else "differences"
            at = f" at {list(index)}" if index else ""
            trial.notes.append(f"{note} ({look.kind} arguments): {got:.4g}{at}, where {other} has {want:.4g}")
    return None


def mismatch(look: Look, leaf: int) -> Any:
    """The worst entry of a leaf beyond its noise at a look; None where there is none."""
    return _beyond(to_numpy64(look.got.gradient[leaf]), look.want[leaf], look.noise[leaf])


def _beside_nonfinite(trial: Trial, look: Look, leaf: int) -> Any:
    """Where autodiff is not finite: the gradients around tell what a rule may answer."""
    if not all(np.all(np.isfinite(d)) for d in look.y) or look.kind not in ("base", "fresh"):
        return None
    mean, spread = trial.nearby_mean(look, leaf)
    if not np.all(np.isfinite(mean)):
        return None
    unknown = ~np.isfinite(look.want[leaf])
    got = to_numpy64(look.got.gradient[leaf])
    size = float(np.max(np.abs(mean), initial=0.0))
    if np.all(np.isfinite(got)) and trial.kink(look, leaf) is not None:
        # The caller asks for the hull.
        return _beyond(got, mean, np.zeros_like(mean))
    return _beyond(np.where(unknown, got, mean), mean, 2 * spread + 1e-3 * size + 1e-290)


def against_differences(trial: Trial, looks: Sequence[Look], wrong: set[int]) -> list[Finding]:
    """Autodiff of the oracle beside extrapolated differences of it: two opinions that fail separately."""
    if (
        trial.truth is None
        or trial.subject.intended is not None
        or trial.subject.oracle is None
        and trial.quick
    ):
        return []
    from ._differences import Directions

    differences = trial.differences
    candidates = [
        look for look in looks if look.kind in (("base", "other") if not trial.quick else ("base",))
    ]
    for look in candidates:
        if not all(np.all(np.isfinite(w)) for w in look.want):
            continue
        floats = tuple(np.asarray(look.spot.leaves[i], np.float64) for i in trial.layout.floats)
        directions = Directions.of(floats, np.random.default_rng(0))
        try:
            estimate = differences.along(look.spot, directions)
        except Exception as error:
            trial.notes.append(f"differences cannot be taken: {first_line(error)}")
            return []
        ends = np.cumsum([0, *(leaf.size for leaf in floats)])
        for leaf in range(len(floats)):
            here = slice(int(ends[leaf]), int(ends[leaf + 1]))
            ways = directions.ways[:, here]
            mine = np.any(ways != 0, axis=1)
            got = ways @ to_numpy64(look.got.gradient[leaf]).reshape(-1)
            trial.compared.append(
                Compared("differences", leaf, got[mine], estimate.value[mine], estimate.error[mine])
            )
            if leaf in wrong:
                continue
            scale = float(np.max(np.abs(got), initial=0.0))
            backward = trial.backward_error(look.spot, look.y, trial.layout.floats[leaf])
            noise = 20 * estimate.error + 1e-7 * scale + 1e-9 * backward + 1e-40
            sure = mine & (estimate.error <= 1e-4 * (np.abs(estimate.value) + 1e-2 * scale))
            off = sure & ~(np.abs(got - estimate.value) <= noise)
            if not np.any(off) or trial.kink(look, leaf) is not None:
                continue
            row = int(np.argmax(np.where(off, np.abs(got - estimate.value), -1)))
            message = f"{name_of(trial, leaf)} differs from differences of the function, though autodiff of the oracle agrees with it"
            return [
                finding(
                    trial,
                    leaf,
                    "value",
                    message,
                    got=float(got[row]),
                    want=float(estimate.value[row]),
                    error=float(abs(got[row] - estimate.value[row])),
                    noise=float(noise[row]),
                    point=trial.layout.args(look.spot.leaves),
                )
            ]
    return []


# -- linearity ---------------------------------------------------------------------------------------------


def linearity(trial: Trial, looks: Sequence[Look]) -> list[Finding]:
    """Linear in the cotangent: scaled, of the other sign, summed, zero; every result's cotangent used."""
    if trial.subject.intended is not None:
        return []
    by_kind = {look.kind: look for look in looks if look.kind in BASE_KINDS}
    if not {"base", "fresh", "sum"} <= set(by_kind):
        return []
    findings = []
    for leaf in range(len(trial.layout.floats)):
        g = {kind: to_numpy64(look.got.gradient[leaf]) for kind, look in by_kind.items()}
        base = g["base"]
        if not all(np.all(np.isfinite(v)) for v in g.values()):
            continue
        scale = max(float(np.max(np.abs(v), initial=0.0)) for kind, v in g.items() if kind != "much")
        # A sum that cancels leaves rounding of the cotangents' size.
        blur = sum(by_kind[kind].noise[leaf] for kind in ("base", "fresh", "sum"))
        tolerance = max(1e-9, 1e3 * trial.wide_eps * 64) * scale + 4 * blur + 1e-290
        broken = [
            ("sum", g["sum"], base + g["fresh"], 1),
            ("minus twice", g["minus twice"], -2 * base, 1),
            ("zero", g["zero"], 0 * base, 1),
            ("much", g["much"], 1024 * base, 1024),
            ("little", g["little"], base / 1024, 1),
        ]
        off = [kind for kind, got, want, much in broken if not np.all(np.abs(got - want) <= tolerance * much)]
        if not off:
            continue
        mistakes, how = _how_not_linear(g, off, tolerance * 1024)
        message = f"{name_of(trial, leaf)} {how}"
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
        return ("upstream ignored", "non-linear in cotangent"), "is not zero for an incoming cotangent of zero"
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
                    message = f"{name_of(trial, leaf)} ignores the cotangent of result {k}"
                    findings.append(finding(trial, leaf, "linearity", message, mistakes=("output ignored",)))
    return findings


# -- the arguments' own dtype ------------------------------------------------------------------------------


def precision(
    trial: Trial, looks: Sequence[Look], own: Sequence[Answer], blur: Sequence[Blur], wrong: set[int]
) -> list[Finding]:
    """In the arguments' own dtype no worse than autodiff by more than rounding explains."""
    if trial.rough is None:
        return []
    findings = []
    for leaf in range(len(trial.layout.floats)):
        for look, answer, here in zip(looks, own, blur, strict=True):
            if look.kind == "base":
                got = to_numpy64(answer.gradient[leaf])
                trial.compared.append(Compared("own", leaf, got, look.want[leaf], trial.rounding[leaf]))
            if leaf not in wrong and (found := _unstable(trial, look, answer, here, leaf)):
                findings.append(found)
                wrong = wrong | {leaf}
    return findings


def _unstable(trial: Trial, look: Look, answer: Answer, blur: Blur, leaf: int) -> Finding | None:
    if not all(np.all(np.isfinite(v)) for v in (*answer.again, *answer.y)):
        return None
    usual = look.kind in ("base", "fresh")
    info = jnp.finfo(trial.layout.leaves[trial.layout.floats[leaf]].dtype)
    # The rule's own answer in float64, which is known to be right: at a kink it tells which side was taken.
    right = to_numpy64(look.got.gradient[leaf])
    right = np.where(np.isfinite(right), right, look.want[leaf])
    got = to_numpy64(answer.gradient[leaf])
    held = np.isfinite(right) & (np.abs(right) < float(info.max) / 2)
    if not usual and not blur.finite[leaf]:
        # Where autodiff overflows too, a redraw has gone too far for the function itself.
        held &= np.isfinite(got)
    noise = blur.noise[leaf] * (1.0 if usual else 4.0)
    found = _beyond(got, np.where(held, right, np.nan), noise)
    if found is None or (look.redrawn and trial.kink(look, leaf) is not None):
        return None
    index, g, w, error, _ = found
    what = "is not finite" if not np.isfinite(g) else "loses its digits"
    autodiff = (
        f"autodiff is off by {blur.error[leaf]:.2g}" if blur.finite[leaf] else "autodiff is not finite either"
    )
    return finding(
        trial,
        leaf,
        "precision",
        f"{name_of(trial, leaf)} {what} in {info.dtype.name}, though the formula is right: {autodiff}",
        mistakes=("numerically unstable",),
        index=index,
        got=g,
        want=w,
        error=error,
        noise=noise,
        point=trial.layout.args(look.spot.leaves),
    )


# -- transformations ---------------------------------------------------------------------------------------


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
        trial.compared.append(Compared(what, leaf, g, w))
        if g.shape != w.shape:
            message = f"{name_of(trial, leaf)} has shape {g.shape} {how}, {w.shape} without"
            findings.append(finding(trial, leaf, what, message, mistakes=mistakes))
        elif found := _beyond(g, w, n):
            index, a, b, error, _ = found
            message = f"{name_of(trial, leaf)} is another {how}: {a:.6g} instead of {b:.6g} at {list(index)}"
            findings.append(
                finding(
                    trial,
                    leaf,
                    what,
                    message,
                    mistakes=mistakes,
                    index=index,
                    got=a,
                    want=b,
                    error=error,
                    noise=float(n),
                )
            )
    return findings


def determinism(trial: Trial, answer: Answer) -> list[Finding]:
    """Two calls give the same bits."""
    again = trial.own.run([trial.base])[0]
    for leaf, (a, b) in enumerate(zip(answer.gradient, again.gradient, strict=True)):
        if a.tobytes() != b.tobytes() and not np.array_equal(to_numpy64(a), to_numpy64(b), equal_nan=True):
            return [finding(trial, leaf, "determinism", f"{name_of(trial, leaf)} changes from call to call")]
    return []


def jit(trial: Trial, answer: Answer, blur: Blur) -> list[Finding]:
    """Operation by operation the same as compiled, within a few units in the last place."""
    if not trial.own.traced:
        return []
    try:
        with trial.own.setting():
            eager = trial.own.once(trial.base)
    except Exception as error:
        return [Finding("jit", f"the rule runs under jit but not without: {first_line(error)}")]
    return _compare(trial, answer.gradient, eager[2], blur.noise, "jit", "under jit", ())


def vmap(trial: Trial, in_axes: Any) -> list[Finding]:
    """A batch of three fresh draws at once against one after another."""
    if not trial.own.traced:
        return []
    layout = trial.layout
    axes = layout.axes(in_axes)
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
    pull = trial.own.pull
    try:
        together = _vmapped(trial.own, spots, axes, pull)
    except Exception as error:
        rough = trial.rough
        if rough is not None:
            try:
                _vmapped(rough, spots, axes, rough.pull)
            except Exception:
                trial.notes.append(f"cannot be vmapped, nor can the oracle: {first_line(error)}")
                return []
        return [Finding("vmap", f"the rule raises under vmap {first_line(error)}")]
    findings: list[Finding] = []
    for n, (answer, blur) in enumerate(zip(apart, trial.blur(spots), strict=True)):
        if not all(np.all(np.isfinite(to_numpy64(y))) for y in answer.y):
            continue
        got = [leaf[n] for leaf in together]
        new = _compare(trial, got, answer.gradient, blur.noise, "vmap", "under vmap", ("batch-global",))
        known = {(f.argument, f.path) for f in findings}
        findings += [f for f in new if (f.argument, f.path) not in known]
    return findings


def _vmapped(machine: Machine, spots: Sequence[Spot], axes: tuple[Any, ...], pull: Any) -> list[Any]:
    with machine.setting():
        cast = [machine.cast(spot.leaves) for spot in spots]
        stacked = [
            leaves[0] if axis is None else jnp.stack(leaves, axis=axis)
            for leaves, axis in zip(zip(*cast, strict=True), axes, strict=True)
        ]
        dy = tuple(jnp.asarray(np.stack(d)) for d in zip(*(s.dy for s in spots), strict=True))
        gradient = jax.jit(jax.vmap(lambda *a: pull(a[:-1], a[-1])[2], in_axes=(*axes, 0)))(*stacked, dy)
        return [np.asarray(leaf) for leaf in gradient]


def larger_batch(trial: Trial) -> list[tuple[str, Spot]]:
    """Redrawn arguments whose axes of length one are longer, where the function takes them; else nothing."""
    if not trial.traced:
        return []
    layout, subject = trial.layout, trial.subject
    if callable(trial.domains) or any(callable(d) or d == "fixed" for d in trial.domains or ()):
        return []
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
        return [
            (f"batch of three, {drawn.kind}", Spot(drawn.leaves, cotangents(sizes, rng)))
            for drawn in redraws(layout, trial.domains, rng, quick=True, shapes=shapes)
            if drawn.kind in ("generic", "flipped")
        ]
    return []


def transformations(trial: Trial, answer: Answer, blur: Blur) -> list[Finding]:
    """Under jax.checkpoint and inside lax.scan: the same gradients, twice added up."""
    if not trial.own.traced:
        return []
    layout, subject = trial.layout, trial.subject

    def twice(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
        def of_floats(*floats: Any) -> Any:
            def step(carry: Any, _: Any) -> Any:
                again = jax.checkpoint(
                    lambda *f: subject.results(layout, subject.value, layout.with_floats(leaves, f))
                )
                return carry, again(*carry)

            return jax.lax.scan(step, floats, None, length=2)[1]

        y, pullback = jax.vjp(of_floats, *(leaves[i] for i in layout.floats))
        doubled = tuple(
            jnp.stack([d.astype(v.dtype), 0.5 * d.astype(v.dtype)]).astype(v.dtype)
            for d, v in zip(dy, y, strict=True)
        )
        return pullback(doubled)

    if subject.rule is not None:
        return []
    machine = trial.own
    try:
        with machine.setting():
            leaves, dy = machine.cast(trial.base.leaves), tuple(map(jnp.asarray, trial.base.dy))
            if trial.quick:
                jax.eval_shape(twice, leaves, dy)
                return []
            got = [np.asarray(leaf) for leaf in jax.jit(twice)(leaves, dy)]
    except Exception as error:
        for name, one in (("jax.checkpoint", jax.checkpoint), ("lax.scan", None)):
            if one is None or not _works_under_checkpoint(trial):
                return [
                    Finding(
                        "checkpoint" if one else "scan", f"the rule fails under {name}: {first_line(error)}"
                    )
                ]
        return []
    want = [1.5 * to_numpy64(g) for g in answer.gradient]
    return _compare(
        trial, got, want, [4 * n for n in blur.noise], "scan", "under jax.checkpoint inside lax.scan", ()
    )


def _works_under_checkpoint(trial: Trial) -> bool:
    subject, layout = trial.subject, trial.layout

    def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
        again = jax.checkpoint(
            lambda *f: subject.results(layout, subject.value, layout.with_floats(leaves, f))
        )
        y, pullback = jax.vjp(again, *(leaves[i] for i in layout.floats))
        return pullback(tuple(d.astype(v.dtype) for d, v in zip(dy, y, strict=True)))

    try:
        with trial.own.setting():
            jax.eval_shape(pull, trial.own.cast(trial.base.leaves), tuple(map(jnp.asarray, trial.base.dy)))
        return True
    except Exception:
        return False


# -- what is remarkable ------------------------------------------------------------------------------------


def notes(trial: Trial) -> list[str]:
    """Residual bytes against autodiff's, and whether the rule can be differentiated again."""
    if not trial.own.traced or trial.subject.rule is not None:
        return []
    layout, subject = trial.layout, trial.subject
    said = []

    def kept(f: Callable[..., Any]) -> int:
        found: list[int] = []

        def of(*leaves: Any) -> Any:
            floats = tuple(leaves[i] for i in layout.floats)
            y, pullback = jax.vjp(
                lambda *x: subject.results(layout, f, layout.with_floats(leaves, x)), *floats
            )
            held = {id(r): r for r in jax.tree.leaves(pullback) if is_array(r) or hasattr(r, "aval")}
            found.append(sum(int(np.prod(r.shape)) * r.dtype.itemsize for r in held.values()))
            return y

        jax.eval_shape(of, *(jax.ShapeDtypeStruct(np.shape(v), v.dtype) for v in layout.leaves))
        return found[0]

    try:
        with trial.own_setting():
            mine, theirs = kept(subject.value), kept(subject.oracle or subject.value)
            trial.kept = mine, theirs
        if subject.oracle is not None:
            said.append(f"keeps {mine:,} bytes for the backward pass; autodiff keeps {theirs:,}")
    except Exception:  # noqa: S110
        pass
    pull = trial.own.pull

    def again(leaves: Any, dy: Any) -> Any:
        gradient, pullback = jax.vjp(
            lambda *x: pull(layout.with_floats(leaves, x), dy)[2], *(leaves[i] for i in layout.floats)
        )
        return pullback(gradient)

    try:
        with trial.own_setting():
            structs = tuple(jax.ShapeDtypeStruct(np.shape(v), v.dtype) for v in layout.leaves)
            jax.eval_shape(again, structs, tuple(jax.ShapeDtypeStruct(s, np.float32) for s in trial.shapes))
    except Exception as error:
        said.append(f"the rule cannot be differentiated again: {first_line(error)}")
    return said

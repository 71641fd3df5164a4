"""One operator at its random and special points: a small function a check."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.check import (
    Point,
    Program,
    distance_to_hull,
    extrapolated_differences,
    float64_on_cpu,
    generalised_gradients,
    noise_floor,
    rounding_noise,
)
from jaxbackprop.ops._catalogue import Case, Operator

from ._result import GradientResult

_Arrays = tuple[np.ndarray, ...]


@dataclasses.dataclass
class _Trial:
    """One operator at one point: what every check needs."""

    row: Operator
    case: Case
    args: tuple[Any, ...]
    results: dict[int, GradientResult]
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.point = Point.of(*self.args)
        self.op = Program(self.call(self.row.op), self.point)
        self.oracle = Program(self.call(self.row.oracle), self.point)
        with float64_on_cpu():
            shapes = jax.eval_shape(self.oracle.function, *self.point.cast(jnp.float64))
        self.dy: _Arrays = tuple(
            self.rng.uniform(0.5, 2.0, s.shape) * self.rng.choice([-1.0, 1.0], s.shape) for s in shapes
        )

    def call(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: f(*args, **self.case.keywords)

    def attempt(self, *checks: Callable[[_Trial], None]) -> None:
        """Runs checks; a rule that raises is wrong, and the others are still looked at."""
        for check in checks:
            try:
                check(self)
            except Exception as error:
                said = (str(error).splitlines() or [""])[0]
                for position in self.point.arguments:
                    self.results[position].blame(f"the rule raised {type(error).__name__}: {said}")

    def ulp(self, got: np.ndarray, want: np.ndarray, dtype: Any, noise: np.ndarray | float = 0.0) -> float:
        """Largest distance beyond `noise` in units in the last place; see `GradientResult`."""
        info = jnp.finfo(dtype)
        scale = np.abs(want.astype(np.float64))
        if not self.row.elementwise and scale.size:
            scale = np.full_like(scale, np.max(scale))
        spacing = float(info.eps) * 2.0 ** np.floor(np.log2(np.maximum(scale, float(info.tiny))))
        with np.errstate(over="ignore", invalid="ignore"):
            # A wrong rule may be anywhere: infinitely many units off where the truth is 0, or nan.
            return float(np.max((np.abs(got.astype(np.float64) - want) - noise) / spacing, initial=0.0))

    def of_arguments(self, *gradients: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """The result of each differentiable leaf, beside what was found for it."""
        return zip((self.results[i] for i in self.point.arguments), *gradients, strict=True)


def verify_operator(row: Operator, pair: tuple[Callable, Callable] | None) -> list[GradientResult]:
    """One result a differentiable argument; `pair` is the derivation on paper, `f` and `f_vjp`."""
    # What the caller has set for hunting nans or for other random bits would be judged instead of the rule.
    with jax.debug_nans(False), jax.threefry_partitionable(True):
        return _verify_operator(row, pair)


def _verify_operator(row: Operator, pair: tuple[Callable, Callable] | None) -> list[GradientResult]:
    parameters = list(inspect.signature(row.op).parameters)
    results: dict[int, GradientResult] = {}
    rng = np.random.default_rng(0)
    on_paper = () if pair is None else (partial(_check_reference, pair=pair),)
    for number, case in enumerate(row.cases):
        args = case.draw(rng)
        for position in Point.of(*args).arguments:
            results.setdefault(position, GradientResult(row.name, parameters[position]))
        trial = _Trial(row, case, args, results, rng)
        trial.attempt(_check_values, _check_differences, _check_jit, _check_vmap, *on_paper)
        if number == 0:
            trial.attempt(_check_half_precision, _measure_residuals)
            if row.sweep is not None:
                trial.attempt(_check_sweep)
    for args in row.special:
        trial = _Trial(row, row.cases[0], args, results, rng)
        trial.attempt(partial(_check_values, special=True), *on_paper)
    return [results[position] for position in sorted(results)]


def _check_values(trial: _Trial, *, special: bool = False) -> None:
    """Value and gradient in float64 and float32 against float64 autodiff of the oracle."""
    true_y, truth = trial.oracle.run(jnp.float64, trial.dy)
    blur = rounding_noise(trial.oracle, trial.dy)
    for dtype in (jnp.float64, jnp.float32):
        name = np.dtype(dtype).name
        y, gradient = trial.op.run(dtype, trial.dy)
        floor = noise_floor(trial.oracle, dtype, trial.dy, draws=0 if special else 6)
        outside = _outside(gradient, truth, floor)
        at_kink = special and any(outside) and _is_generalised_gradient(trial, dtype)
        for result, g, t, noise, out in trial.of_arguments(gradient, truth, blur, outside):
            error = trial.ulp(g, t, dtype, 8 * noise)
            if g.dtype != dtype:
                result.blame(f"the cotangent of a {name} argument is {g.dtype.name}")
            if out and not at_kink:
                result.blame(f"differs from autodiff in {name} by {error:.3g} ulp")
            if special:
                result.kinks += out and at_kink
            else:
                result.raise_to(f"{name}_ulp", error)
        tolerance = 64 * float(jnp.finfo(dtype).eps)
        for got, want in zip(y, true_y, strict=True):
            if not np.allclose(got.astype(np.float64), want, tolerance, tolerance):
                for result in trial.results.values():
                    result.blame(f"the forward value differs from the oracle's in {name}")


def _outside(gradient: _Arrays, truth: _Arrays, floor: _Arrays) -> list[bool]:
    """Whether each gradient is further from the truth than rounding explains, or not a number."""
    return [
        g.shape != t.shape or not np.all(np.abs(g.astype(np.float64) - t) <= f)
        for g, t, f in zip(gradient, truth, floor, strict=True)
    ]


def _check_half_precision(trial: _Trial) -> None:
    truth = trial.oracle.gradient(jnp.float64, trial.dy)
    for dtype in trial.row.dtypes:
        if jnp.finfo(dtype).bits > 16:
            continue
        name = np.dtype(dtype).name
        gradient = trial.op.run(dtype, trial.dy)[1]
        outside = _outside(gradient, truth, noise_floor(trial.oracle, dtype, trial.dy))
        for result, g, out in trial.of_arguments(gradient, outside):
            if g.dtype != dtype:
                result.blame(f"the cotangent of a {name} argument is {g.dtype.name}")
            if out:
                result.blame(f"differs from autodiff in {name}")


def _check_sweep(trial: _Trial) -> None:
    """Every entry accurate by itself over a wide range, in float32.

    Autodiff of the usual formula may cancel in the tails, so its own error is no excuse here: where both
    agree in float64 and float32 can hold the result, eight units in the last place must do.
    """
    assert trial.row.sweep is not None
    low, high = trial.row.sweep
    # Off the round numbers, where kinks are; float32 numbers, so that rounding x is no part of the error.
    x = np.linspace(low, high, 4001).astype(np.float32).astype(np.float64) + 2.0**-10
    at = Point.of(x)
    oracle, op = Program(trial.row.oracle, at), Program(trial.row.op, at)
    one = (np.ones_like(x),)
    (truth,), (same,) = oracle.gradient(jnp.float64, one), op.gradient(jnp.float64, one)
    (got,) = op.run(jnp.float32, one)[1]
    # XLA flushes subnormal numbers on the CPU, intermediate ones too, hence some room above the smallest.
    held = np.abs(truth) >= 16 * float(jnp.finfo(jnp.float32).tiny)
    known = held & (np.abs(truth - same) <= 1e-8 * np.abs(truth))
    error = trial.ulp(got[known], truth[known], jnp.float32)
    (result,) = trial.results.values()
    if not error <= 8:
        result.blame(f"loses digits between {low:g} and {high:g}: off by {error:.3g} ulp in float32")


def _is_generalised_gradient(trial: _Trial, dtype: Any) -> bool:
    """Whether the gradient of each single result lies in the hull of the oracle's gradients nearby."""
    for i, d in enumerate(trial.dy):
        for entry in np.ndindex(d.shape):
            one = tuple(np.zeros_like(other) for other in trial.dy)
            one[i][entry] = 1.0
            hull = generalised_gradients(trial.oracle, one)
            spread = max(float(np.abs(leaf).max(initial=0.0)) for leaf in jax.tree.leaves(hull))
            if not distance_to_hull(trial.op.gradient(dtype, one), hull) <= 1e-4 * max(spread, 1e-30):
                return False
    return True


def _check_differences(trial: _Trial) -> None:
    gradient = trial.op.gradient(jnp.float64, trial.dy)
    for which, (result, g) in enumerate(trial.of_arguments(gradient)):
        if g.size == 0:
            continue
        estimate = extrapolated_differences(trial.oracle, trial.dy, which)
        distance = np.abs(g - estimate.value)
        worst = int(np.argmax(distance))
        if distance.flat[worst] >= result.differences:
            result.differences = float(distance.flat[worst])
            result.differences_error = float(estimate.error.flat[worst])
        scale = 1 + np.abs(g)
        if not np.all(distance <= 10 * estimate.error + 1e-12 * scale):
            error = estimate.error.flat[worst]
            result.blame(
                f"differs from central differences by {distance.max():.3g}, which err by {error:.1g}"
            )
        elif np.any(estimate.error > 1e-4 * scale):
            result.blame(f"central differences do not converge: they err by {estimate.error.max():.1g}")


def _check_jit(trial: _Trial) -> None:
    floats = trial.point.cast(jnp.float32)
    cotangents = tuple(jnp.asarray(d, jnp.float32) for d in trial.dy)
    eager = jax.vjp(trial.op.function, *floats)[1](cotangents)
    jitted = trial.op.run(jnp.float32, trial.dy)[1]
    for result, e, j in trial.of_arguments(eager, jitted):
        error = trial.ulp(j, np.asarray(e), jnp.float32)
        result.raise_to("jit_ulp", error)
        if not error <= 2:
            result.blame(f"differs under jit by {error:.3g} ulp")


def _check_vmap(trial: _Trial) -> None:
    """Three fresh draws at once against one after another."""
    draws = [jax.tree.flatten(trial.case.draw(trial.rng)) for _ in range(3)]
    first, treedef = draws[0]
    mapped = [i for i, leaf in enumerate(first) if isinstance(leaf, np.ndarray)]
    dtype = {np.dtype(np.float64): jnp.float32}
    stacked = [
        jnp.asarray(np.stack([leaves[i] for leaves, _ in draws]), dtype.get(first[i].dtype, first[i].dtype))
        for i in mapped
    ]
    cotangents = tuple(jnp.asarray(d, jnp.float32) for d in trial.dy)
    op = trial.call(trial.row.op)

    def pull(*arrays: jax.Array) -> tuple[jax.Array, ...]:
        leaves = list(first)
        for i, array in zip(mapped, arrays, strict=True):
            leaves[i] = array
        point = Point.of(*jax.tree.unflatten(treedef, leaves))
        return jax.vjp(point.function(op), *point.floats)[1](cotangents)

    together = jax.jit(jax.vmap(pull))(*stacked)
    one = jax.jit(pull)
    for i in range(len(draws)):
        for result, got, want in trial.of_arguments(together, one(*(array[i] for array in stacked))):
            error = trial.ulp(np.asarray(got[i]), np.asarray(want), jnp.float32)
            result.raise_to("vmap_ulp", error)
            # A batched product may add in another order; what else vmap can break is far larger.
            if not error <= 16:
                result.blame(f"differs under vmap from a loop by {error:.3g} ulp")


def _check_reference(trial: _Trial, pair: tuple[Callable, Callable]) -> None:
    f, f_vjp = pair
    positional = [
        p for p in inspect.signature(f).parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    full = trial.args + tuple(p.default for p in positional[len(trial.args) :])
    paper_y = f(*full, **trial.case.keywords)
    paper_dy = jax.tree.unflatten(jax.tree.structure(paper_y), trial.dy)
    paper = jax.tree.leaves(f_vjp(*full, paper_dy, **trial.case.keywords))
    y, gradient = trial.op.run(jnp.float64, trial.dy)
    if not all(map(_close, y, jax.tree.leaves(paper_y))):
        for result in trial.results.values():
            result.blame("the forward value differs from the reference's")
    for result, got, want in trial.of_arguments(gradient, paper):
        distance = float(np.abs(got - want).max(initial=0.0))
        result.raise_to("reference", distance)
        if not _close(got, want):
            result.blame(f"differs from the reference by {distance:.3g}")


def _close(got: np.ndarray, want: np.ndarray) -> bool:
    return np.allclose(got, want, rtol=1e-10, atol=1e-12 * (1 + float(np.abs(want).max(initial=0.0))))


def _measure_residuals(trial: _Trial) -> None:
    floats = trial.point.cast(jnp.float32)
    kept = []
    for program in (trial.op, trial.oracle):
        leaves = jax.tree.leaves(jax.vjp(program.function, *floats)[1])
        kept.append(sum({id(leaf): leaf.nbytes for leaf in leaves if isinstance(leaf, jax.Array)}.values()))
    for result in trial.results.values():
        result.residual_bytes, result.autodiff_bytes = kept

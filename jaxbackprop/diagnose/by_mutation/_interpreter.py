"""A traceable function as a flat list of equations over NumPy arrays.

Dispatching jax's primitives one at a time costs tens of microseconds each. So calls are inlined, short
scans unrolled, equal equations merged and constants folded; each equation then runs a NumPy rule, or, for a
primitive that has none here, the primitive itself on the CPU.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxbackprop._jaxpr import binder, call_body, interpret, is_jaxpr, opened, scan_parts
from jaxbackprop._shapes import broadcasts_to

from ._numpy_rules import RULES, quiet

LONGEST_UNROLLED = 16

# jax's errors for branching on a traced value are type and index errors; shapes give the others.
_UNTRACEABLE = (TypeError, ValueError, IndexError, NotImplementedError, jax.errors.UnexpectedTracerError)

# They hand on what they are given.
_PASS = {"copy", "copy_p", "stop_gradient", "optimization_barrier", "device_put", "reduce_precision", "pvary"}
# They do nothing where neither the shape nor the kind of number changes.
_VIEWS = {"convert_element_type", "reshape", "broadcast_in_dim", "squeeze"}
_COMMUTE = {"add", "add_any", "mul", "max", "min", "eq", "ne", "and", "or"}

Rule = Callable[..., tuple[Any, ...]]
# Equal where one line of the source, or of a loop's body, stands behind.
Place = tuple[Any, ...]


class NotTraceable(Exception):
    """A function that jax cannot trace."""


class DoesNotFit(Exception):
    """An equation cannot take the arrays it is given."""


@dataclasses.dataclass(frozen=True)
class Equation:
    """One step of a program."""

    name: str  # of the primitive
    params: dict[str, Any]  # its parameters
    inputs: tuple[int, ...]  # which values it takes
    outputs: tuple[int, ...]  # which values it gives
    rule: Rule  # the arrays it takes to the tuple of arrays it gives
    place: Place
    step: int = -1  # which step of an unrolled scan; -1 outside

    def run(self, *arrays: Any) -> tuple[Any, ...]:
        """Its results; raises `DoesNotFit` where shapes are wrong, as an edit may make them."""
        try:
            return self.rule(*arrays)
        except (ValueError, IndexError) as error:
            raise DoesNotFit(f"{self.name}: {error}") from error


@dataclasses.dataclass(frozen=True)
class Flat:
    """A program: values are numbered, the inputs first."""

    inputs: int  # how many values are inputs
    constants: dict[int, Any]  # the values that are the same everywhere
    equations: tuple[Equation, ...]  # in the order of evaluation
    outputs: tuple[int, ...]  # which values are the results
    loops: bool  # whether a scan was unrolled

    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        """Every value at these inputs."""
        made = (i for e in self.equations for i in e.outputs)
        values: list[Any] = [None] * (1 + max(self.inputs, *self.constants, *self.outputs, *made, 0))
        values[: self.inputs] = inputs
        for i, constant in self.constants.items():
            values[i] = constant
        with quiet():
            for equation in self.equations:
                results = equation.run(*[values[i] for i in equation.inputs])
                for i, value in zip(equation.outputs, results, strict=True):
                    values[i] = value
        return values

    def needed_for(self, outputs: Sequence[int]) -> Iterator[int]:
        """The equations, by position, that these values depend on."""
        wanted = set(outputs)
        for e in reversed(range(len(self.equations))):
            equation = self.equations[e]
            if wanted.intersection(equation.outputs):
                wanted.update(equation.inputs)
                yield e

    def depending_on(self, roots: Sequence[int]) -> set[int]:
        """The values that depend on any of these, and these."""
        found = set(roots)
        for equation in self.equations:
            if found.intersection(equation.inputs):
                found.update(equation.outputs)
        return found


def flatten(program: Callable[..., Any], *args: Any) -> Flat:
    """A function as equations; the leaves of its arguments, pytrees of arrays, become the inputs.

    Raises `NotTraceable` where the function's own code fails when jax traces it.
    """
    try:
        closed = jax.make_jaxpr(program)(*args)
    except _UNTRACEABLE as error:
        raise NotTraceable(str(error)) from error
    builder = _Builder(len(opened(closed)[0].invars))
    outputs = builder.inline(closed, list(range(builder.inputs)), ())
    return Flat(builder.inputs, builder.constants, tuple(builder.equations), tuple(outputs), builder.loops)


def plain(leaf: Any) -> Any:
    """A leaf as NumPy; random keys stay what they are."""
    return leaf if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.extended) else np.asarray(leaf)


class _Builder:
    """Numbers the values of a jaxpr while it writes its equations down."""

    def __init__(self, inputs: int):
        self.inputs = inputs
        self.constants: dict[int, Any] = {}
        self.equations: list[Equation] = []
        self.loops = False
        self._numbers = itertools.count(inputs)
        self._known: dict[Any, tuple[int, ...]] = {}
        self._made_by: dict[int, Equation] = {}
        self._step = -1

    def constant(self, value: Any, dtype: Any = None) -> int:
        """The number of a constant; equal ones share one."""
        value = np.asarray(value, dtype) if dtype is not None or not hasattr(value, "dtype") else value
        value = _widened(value)
        key: Any = id(value)
        if isinstance(value, np.ndarray):
            key = ("constant", value.shape, value.dtype.str, value.tobytes())
        if key not in self._known:
            i = next(self._numbers)
            self.constants[i] = value
            self._known[key] = (i,)
        return self._known[key][0]

    def inline(self, jaxpr: Any, arguments: list[int], path: tuple[int, ...]) -> list[int]:
        """Writes a jaxpr's equations down, at a path of calls; answers with its results."""
        return interpret(jaxpr, arguments, partial(self._write, path), self.constant)

    def _write(self, path: tuple[int, ...], equation: Any, taken: list[int]) -> Sequence[int]:
        name, path = equation.primitive.name, (*path, id(equation))
        results = [var.aval for var in equation.outvars]
        if name in _PASS and len(taken) == len(results):
            return taken
        if (body := call_body(equation)) is not None:
            return self.inline(body, taken, path)
        if name == "scan" and scan_parts(equation).length <= LONGEST_UNROLLED:
            return self._unroll(equation, taken, path)
        if name in _VIEWS:
            before, after = equation.invars[0].aval, results[0]
            if before.shape == after.shape and _wide(before.dtype) == _wide(after.dtype):
                return taken[:1]
        maker = self._made_by.get(taken[0]) if name == "transpose" else None
        if maker is not None and maker.name == "transpose":
            there, back = maker.params["permutation"], equation.params["permutation"]
            if tuple(there[i] for i in back) == tuple(range(len(back))):
                return maker.inputs
        keys = any(jax.numpy.issubdtype(aval.dtype, jax.dtypes.extended) for aval in results)
        numpy_rule = None if keys else RULES.get(name)
        rule = _by_jax(equation) if numpy_rule is None else _by_numpy(numpy_rule, equation.params, results[0])
        place = self._place(equation, path)
        return self._equation(name, equation.params, tuple(taken), len(results), rule, place)

    def _equation(
        self, name: str, params: dict[str, Any], taken: tuple[int, ...], count: int, rule: Rule, place: Place
    ) -> tuple[int, ...]:
        """Writes one equation down, or finds the equal one that is there, or computes it at once."""
        ordered = tuple(sorted(taken)) if name in _COMMUTE else taken
        key = (name, ordered, str(params)) if not any(map(_holds_program, params.values())) else object()
        if key in self._known:
            return self._known[key]
        if all(i in self.constants for i in taken):
            with quiet():
                made = tuple(map(self.constant, rule(*[self.constants[i] for i in taken])))
        else:
            made = tuple(itertools.islice(self._numbers, count))
            written = Equation(name, params, taken, made, rule, place, self._step)
            self.equations.append(written)
            self._made_by.update(dict.fromkeys(made, written))
        self._known[key] = made
        return made

    def _place(self, equation: Any, path: tuple[int, ...]) -> tuple[Any, ...]:
        """The line of the source where it is known, so that a loop in Python is seen as one."""
        name = equation.primitive.name
        shapes = tuple(v.aval.shape for v in (*equation.invars, *equation.outvars))
        if self._step >= 0:
            return (name, shapes, path)
        raw = getattr(equation.source_info.traceback, "raw_frames", None)
        # The instruction, not the line: a * b * c is no loop.
        frames = zip(*raw(), strict=True) if raw else ()
        lines = tuple((code, at) for code, at in frames if "site-packages" not in code.co_filename)[:8]
        stack = str(getattr(equation.source_info, "name_stack", ""))
        return (name, shapes, lines, stack) if lines else (path,)

    def _unroll(self, equation: Any, taken: list[int], path: tuple[int, ...]) -> list[int]:
        """A scan, step by step."""
        self.loops = True
        scan = scan_parts(equation)
        constants, moving = taken[: scan.constants], taken[scan.constants :]
        carry, mapped = moving[: scan.carried], moving[scan.carried :]
        rows: list[list[int]] = []
        for step in reversed(range(scan.length)) if scan.reverse else range(scan.length):
            outside, self._step = self._step, step
            row = [self._row(i, step, ("step", path, k)) for k, i in enumerate(mapped)]
            results = self.inline(scan.body, [*constants, *carry, *row], path)
            self._step = outside
            carry = results[: scan.carried]
            rows.append(results[scan.carried :])
        if scan.reverse:
            rows.reverse()
        made = []
        for k, var in enumerate(equation.outvars[scan.carried :]):
            if not rows:
                made.append(self.constant(np.zeros(var.aval.shape, var.aval.dtype)))
                continue
            column = tuple(row[k] for row in rows)
            place = ("stack", path, k)
            made += self._equation("stack", {"axis": 0}, column, 1, lambda *x: (np.stack(x),), place)
        return [*carry, *made]

    def _row(self, i: int, step: int, place: tuple[Any, ...]) -> int:
        """One step's part of what a scan maps over."""
        maker = self._made_by.get(i)
        if maker is not None and maker.name == "stack" and maker.params["axis"] == 0:
            return maker.inputs[step]
        return self._equation("step", {"step": step}, (i,), 1, lambda x: (x[step],), place)[0]


def _holds_program(param: Any) -> bool:
    """Whether a parameter is or may hold a jaxpr or a function, whose text does not identify it."""
    if isinstance(param, tuple | list):
        return any(map(_holds_program, param))
    return is_jaxpr(param) or callable(param) and not isinstance(param, type)


def _by_numpy(numpy_rule: Callable[..., Any], params: dict[str, Any], due: Any) -> Rule:
    dtype, shape = _wide(due.dtype), due.shape

    def rule(*arrays: Any) -> tuple[Any, ...]:
        result = np.asarray(numpy_rule(params, *arrays), dtype)
        # A mutant may have it in another shape that still broadcasts further on.
        fits = result.shape != shape and broadcasts_to(result.shape, shape)
        return (np.broadcast_to(result, shape) if fits else result,)

    return rule


def _by_jax(equation: Any) -> Rule:
    dtypes = [var.aval.dtype for var in equation.invars]
    last: list[Any] = []

    def rule(*arrays: Any) -> tuple[Any, ...]:
        if last and all(map(_identical, last[0], arrays)):
            return last[1]
        try:
            operands = (
                jax.numpy.asarray(x, dtype) if isinstance(x, np.ndarray | np.generic) else x
                for x, dtype in zip(arrays, dtypes, strict=True)
            )
            results = binder(equation)(*operands)
        except TypeError as error:  # how jax says that shapes do not fit
            raise DoesNotFit(f"{equation.primitive.name}: {error}") from error
        last[:] = [arrays, tuple(map(_widened, results))]
        return last[1]

    return rule


def _wide(dtype: Any) -> Any:
    """Float64 for every float: what a program rounds on its way is not looked at here."""
    return np.dtype(np.float64) if jax.numpy.issubdtype(dtype, np.floating) else dtype


def _widened(leaf: Any) -> Any:
    leaf = plain(leaf)
    return leaf.astype(_wide(leaf.dtype)) if isinstance(leaf, np.ndarray) else leaf


def _identical(a: Any, b: Any) -> bool:
    return a is b or isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)

"""A traceable function as a flat list of equations over NumPy arrays: the one place that reads jaxprs here.

A jaxpr is no public interface of jax, and dispatching its primitives one at a time costs tens of microseconds
each. Calls are inlined, short scans unrolled, equal equations merged and constants folded; each equation then
runs a NumPy rule, or, for a primitive that has none here, the primitive itself on the CPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from ._numpy_rules import RULES, quiet

LONGEST_UNROLLED = 16

# Calls whose jaxpr stands for them, and the parameter that holds it.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
# They hand on what they are given.
_PASS = {"copy", "copy_p", "stop_gradient", "optimization_barrier", "device_put", "reduce_precision", "pvary"}

_COMMUTE = {"add", "add_any", "mul", "max", "min", "eq", "ne", "and", "or"}


@dataclasses.dataclass(frozen=True)
class Equation:
    """One step of a program.

    Attributes:
        name: of the primitive.
        params: its parameters.
        inputs: which values it takes.
        outputs: which values it gives.
        run: the arrays it takes to the tuple of arrays it gives.
        place: equal for the equations that one line of the source stands behind, a step of an unrolled
            loop each.
        step: which step of an unrolled scan; -1 outside.
    """

    name: str
    params: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    run: Callable[..., tuple[Any, ...]]
    place: tuple[Any, ...]
    step: int = -1


@dataclasses.dataclass(frozen=True)
class Flat:
    """A program: values are numbered, the inputs first.

    Attributes:
        inputs: how many values are inputs.
        constants: the values that are the same everywhere.
        equations: in the order of evaluation.
        outputs: which values are the results.
        loops: whether a scan was unrolled.
    """

    inputs: int
    constants: dict[int, Any]
    equations: tuple[Equation, ...]
    outputs: tuple[int, ...]
    loops: bool

    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        """Every value at these inputs."""
        count = max((i for e in self.equations for i in e.outputs), default=self.inputs)
        values: list[Any] = [None] * (1 + max(count, self.inputs, *self.constants, *self.outputs, 0))
        values[: self.inputs] = inputs
        for i, constant in self.constants.items():
            values[i] = constant
        with quiet():
            for equation in self.equations:
                answer = equation.run(*[values[i] for i in equation.inputs])
                for i, value in zip(equation.outputs, answer, strict=True):
                    values[i] = value
        return values


def flatten(program: Callable[..., Any], *args: Any) -> Flat:
    """Traces a function and takes it apart.

    Args:
        program: traceable by jax.
        args: pytrees of arrays; their leaves become the inputs.

    Returns:
        The function as equations.
    """
    closed = jax.make_jaxpr(program)(*args)
    builder = _Builder(len(closed.jaxpr.invars))
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
        self._count = inputs
        self._known: dict[Any, tuple[int, ...]] = {}
        self._made_by: dict[int, Equation] = {}
        self._step = -1

    def _new(self) -> int:
        self._count += 1
        return self._count - 1

    def constant(self, value: Any) -> int:
        """The number of a constant; equal ones share one."""
        value = _widened(value) if hasattr(value, "dtype") else np.asarray(value)
        key: Any = id(value)
        if isinstance(value, np.ndarray):
            key = ("constant", value.shape, value.dtype.str, value.tobytes())
        if key not in self._known:
            i = self._new()
            self.constants[i] = value
            self._known[key] = (i,)
        return self._known[key][0]

    def inline(self, jaxpr: Any, arguments: list[int], path: tuple[Any, ...]) -> list[int]:
        """Writes a jaxpr's equations down; answers with its results."""
        values: dict[Any, int] = {}
        body = getattr(jaxpr, "jaxpr", jaxpr)
        constants = getattr(jaxpr, "consts", ()) or ()
        for var, constant in zip(body.constvars, constants, strict=True):
            values[var] = self.constant(constant)
        values.update(zip(body.invars, arguments, strict=True))

        def read(atom: Any) -> int:
            if hasattr(atom, "val"):
                return self.constant(np.asarray(atom.val, atom.aval.dtype))
            return values[atom]

        for index, eqn in enumerate(body.eqns):
            taken = [read(atom) for atom in eqn.invars]
            answer = self._write(eqn, taken, (*path, index))
            values.update(zip(eqn.outvars, answer, strict=True))
        return [read(atom) for atom in body.outvars]

    def _write(self, eqn: Any, taken: list[int], path: tuple[Any, ...]) -> Sequence[int]:
        name, params = eqn.primitive.name, eqn.params
        if name in _PASS and len(taken) == len(eqn.outvars):
            return taken
        if name in _CALLS and _CALLS[name] in params:
            return self.inline(params[_CALLS[name]], taken, path)
        if name == "scan" and params["length"] <= LONGEST_UNROLLED:
            return self._unroll(eqn, taken, path)
        if self._changes_nothing(eqn):
            return taken[:1]
        avals = [v.aval for v in eqn.outvars]
        if name == "transpose" and (maker := self._made_by.get(taken[0])) and maker.name == "transpose":
            there, back = maker.params["permutation"], params["permutation"]
            if tuple(there[i] for i in back) == tuple(range(len(back))):
                return maker.inputs
        keys = any(jax.numpy.issubdtype(aval.dtype, jax.dtypes.extended) for aval in avals)
        rule = None if keys else RULES.get(name)
        taken_as = [v.aval.dtype for v in eqn.invars]
        run = _by_numpy(rule, params, avals) if rule else _by_jax(eqn.primitive, params, taken_as)
        return self.equation(name, params, tuple(taken), len(avals), run, self._place(eqn, path))

    def equation(
        self,
        name: str,
        params: dict[str, Any],
        taken: tuple[int, ...],
        results: int,
        run: Callable[..., tuple[Any, ...]],
        place: tuple[Any, ...],
    ) -> tuple[int, ...]:
        """Writes one equation down, or finds the equal one that is there, or computes it at once."""
        ordered = tuple(sorted(taken)) if name in _COMMUTE else taken
        key = (name, ordered, str(params)) if not any(map(_holds_program, params.values())) else object()
        if key in self._known:
            return self._known[key]
        if all(i in self.constants for i in taken):
            with quiet():
                answer = run(*[self.constants[i] for i in taken])
            made = tuple(map(self.constant, answer))
        else:
            made = tuple(self._new() for _ in range(results))
            written = Equation(name, params, taken, made, run, place, self._step)
            self.equations.append(written)
            self._made_by.update(dict.fromkeys(made, written))
        self._known[key] = made
        return made

    @staticmethod
    def _changes_nothing(eqn: Any) -> bool:
        if eqn.primitive.name not in ("convert_element_type", "reshape", "broadcast_in_dim", "squeeze"):
            return False
        before, after = eqn.invars[0].aval, eqn.outvars[0].aval
        return before.shape == after.shape and _wide(before.dtype) == _wide(after.dtype)

    @staticmethod
    def _place(eqn: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
        """The line of the source where it is known, so that a loop in Python is seen as one."""
        step_free = tuple(p for p in path if not isinstance(p, _Step))
        shapes = tuple(v.aval.shape for v in (*eqn.invars, *eqn.outvars))
        if len(step_free) < len(path):
            return (eqn.primitive.name, shapes, step_free)
        raw = getattr(eqn.source_info.traceback, "raw_frames", None)
        # The instruction, not the line: a * b * c is no loop.
        frames = zip(*raw(), strict=True) if raw else ()
        lines = tuple((code, at) for code, at in frames if "site-packages" not in code.co_filename)[:8]
        stack = str(getattr(eqn.source_info, "name_stack", ""))
        return (eqn.primitive.name, shapes, lines, stack) if lines else (step_free,)

    def _unroll(self, eqn: Any, taken: list[int], path: tuple[Any, ...]) -> list[int]:
        """A scan, step by step: what it carries has the body's shape, what it maps over has one axis more."""
        self.loops = True
        body, length, reverse = eqn.params["jaxpr"], eqn.params["length"], eqn.params["reverse"]
        inner = getattr(body, "jaxpr", body)
        mapped = [o.aval.shape != i.aval.shape for o, i in zip(eqn.invars, inner.invars, strict=True)]
        stacked = [o.aval.shape != i.aval.shape for o, i in zip(eqn.outvars, inner.outvars, strict=True)]
        carried = stacked.count(False)
        first_mapped = mapped.index(True) if any(mapped) else len(mapped)
        constants, carry = taken[: first_mapped - carried], taken[first_mapped - carried : first_mapped]
        rows: list[list[int]] = []
        for step in reversed(range(length)) if reverse else range(length):
            outside, self._step = self._step, step
            at = (*path, _Step(step))
            row = [self._row(i, step, ("step", path, k)) for k, i in enumerate(taken[first_mapped:])]
            answer = self.inline(body, [*constants, *carry, *row], at)
            self._step = outside
            carry = answer[:carried]
            rows.append(answer[carried:])
        if reverse:
            rows.reverse()
        made = []
        for k, var in enumerate(eqn.outvars[carried:]):
            column = tuple(row[k] for row in rows)
            if not column:
                made.append(self.constant(np.zeros(var.aval.shape, var.aval.dtype)))
                continue
            stack = self.equation("stack", {"axis": 0}, column, 1, _stack, ("stack", path, k))
            made.append(stack[0])
        return [*carry, *made]

    def _row(self, i: int, step: int, place: tuple[Any, ...]) -> int:
        """One step's part of what a scan maps over."""
        maker = self._made_by.get(i)
        if maker is not None and maker.name == "stack" and maker.params["axis"] == 0:
            return maker.inputs[step]
        return self.equation("step", {"step": step}, (i,), 1, _take(step), place)[0]


class _Step(int):
    """Which step of an unrolled scan."""


def _take(step: int) -> Callable[..., tuple[Any, ...]]:
    return lambda x: (x[step],)


def _stack(*rows: Any) -> tuple[Any, ...]:
    return (np.stack(rows),)


def _holds_program(param: Any) -> bool:
    """Whether a parameter is or may hold a jaxpr or a function, whose text does not identify it."""
    if isinstance(param, tuple | list):
        return any(map(_holds_program, param))
    return (
        hasattr(param, "eqns") or hasattr(param, "jaxpr") or callable(param) and not isinstance(param, type)
    )


def _by_numpy(rule: Callable[..., Any], params: dict[str, Any], avals: list[Any]) -> Callable[..., tuple]:
    if len(avals) != 1:
        return lambda *args: tuple(rule(params, *args))
    dtype, shape = _wide(avals[0].dtype), avals[0].shape

    def run(*args: Any) -> tuple[Any, ...]:
        answer = np.asarray(rule(params, *args), dtype)
        # A mutant may have it in another shape that still broadcasts further on.
        fits = answer.shape != shape and all(
            n in (1, m) for n, m in zip(answer.shape[::-1], shape[::-1], strict=False)
        )
        return (np.broadcast_to(answer, shape) if fits and answer.ndim <= len(shape) else answer,)

    return run


def _wide(dtype: Any) -> Any:
    """Float64 for every float: what a program rounds on its way is not looked at here."""
    return np.dtype(np.float64) if jax.numpy.issubdtype(dtype, np.floating) else dtype


def _by_jax(primitive: Any, params: dict[str, Any], dtypes: list[Any]) -> Callable[..., tuple[Any, ...]]:
    last: list[Any] = []

    def run(*args: Any) -> tuple[Any, ...]:
        if last and all(map(_identical, last[0], args)):
            return last[1]
        bound = primitive.get_bind_params(params)
        functions, bound = bound if isinstance(bound, tuple) else ((), bound)
        answer = primitive.bind(*functions, *map(_to_jax, args, dtypes), **bound)
        made = tuple(map(_widened, answer if primitive.multiple_results else (answer,)))
        last[:] = [args, made]
        return made

    return run


def _widened(leaf: Any) -> Any:
    leaf = plain(leaf)
    return leaf.astype(_wide(leaf.dtype)) if isinstance(leaf, np.ndarray) else leaf


def _identical(a: Any, b: Any) -> bool:
    return a is b or isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)


def _to_jax(x: Any, dtype: Any) -> Any:
    return jax.numpy.asarray(x, dtype) if isinstance(x, np.ndarray | np.generic) else x


def used_by(flat: Flat) -> dict[int, list[tuple[int, int]]]:
    """For each value, the equations (by position) and operands that take it."""
    uses: dict[int, list[tuple[int, int]]] = {}
    for e, equation in enumerate(flat.equations):
        for k, i in enumerate(equation.inputs):
            uses.setdefault(i, []).append((e, k))
    return uses


def needed_for(flat: Flat, outputs: Sequence[int]) -> Iterator[int]:
    """The equations, by position, that these values depend on."""
    wanted = set(outputs)
    for e in reversed(range(len(flat.equations))):
        equation = flat.equations[e]
        if wanted.intersection(equation.outputs):
            wanted.update(equation.inputs)
            yield e

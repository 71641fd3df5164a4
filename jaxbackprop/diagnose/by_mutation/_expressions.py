"""Values and equations of a program as expressions that a reader knows from the derivation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._evaluator import MutantEvaluator

_SIGNS = {
    **{"add": "+", "add_any": "+", "sub": "-", "mul": "*", "div": "/", "dot_general": "·"},
    **{"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="},
    **{"max": "max", "min": "min", "and": "&", "or": "|"},
}
_SILENT = {"broadcast_in_dim", "reshape", "squeeze", "convert_element_type", "step", "expand_dims"}
_SHORT = {
    **{"reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min"},
    **{"select_n": "where", "logistic": "sigmoid"},
}


class Words:
    """Names for one program's values; `given` are those of arguments, cotangents and results."""

    def __init__(self, program: MutantEvaluator):
        self.program = program
        self._said: dict[tuple[int, int], str] = {}
        evidence = program.evidence
        self.given = {
            slot: name[1:] or name for slot, name in zip(evidence.slots, evidence.names, strict=True)
        }
        several = program.flat.inputs - program.leaves > 1
        for k in range(program.leaves, program.flat.inputs):
            self.given[k] = f"dy[{k - program.leaves}]" if several else "dy"
        self.results = self._results()
        for i in self.results:
            self.given.setdefault(i, "y")

    def _results(self) -> set[int]:
        """The values that the function answers with."""
        program, samples = self.program, self.program.evidence.samples
        candidates = set(range(program.leaves, len(program.values[0]))) - program.on_dy
        return {
            i
            for k, y in enumerate(samples[0].y)
            for i in candidates - set(program.flat.constants)
            if y.size and all(_same(v[i], s.y[k]) for v, s in zip(program.values, samples, strict=True))
        }

    def name(self, i: int, depth: int = 3) -> str:
        """A value as a short expression."""
        if (i, depth) not in self._said:
            self._said[i, depth] = self._name(i, depth)
        return self._said[i, depth]

    def _name(self, i: int, depth: int) -> str:
        if i in self.given:
            return self.given[i]
        if i in self.program.flat.constants:
            value = np.asarray(self.program.flat.constants[i])
            return f"{float(value):.6g}" if value.ndim == 0 and value.dtype.kind in "fiu" else "constant"
        if i < self.program.leaves:
            return f"argument leaf {i}"
        if depth == 0:
            return "…"
        return self.equation(self.program.maker[i], depth)

    def equation(self, e: int, depth: int = 3) -> str:
        """An equation as a short expression."""
        if e >= self.program.end or e < 0:
            return "the result"
        equation = self.program.flat.equations[e]
        if equation.name in _SILENT and equation.inputs:
            return self.name(equation.inputs[0], depth)
        parts = [self.name(i, depth - 1) for i in equation.inputs]
        if equation.name in _SIGNS and len(parts) == 2:
            return f"({parts[0]} {_SIGNS[equation.name]} {parts[1]})"
        if equation.name == "neg":
            return f"-{parts[0]}"
        if equation.name == "transpose" and len(equation.params["permutation"]) == 2:
            return f"{parts[0]}ᵀ"
        if equation.name == "integer_pow":
            return f"{parts[0]}^{equation.params['y']}"
        return f"{_SHORT.get(equation.name, equation.name)}({', '.join(parts)})"

    def between(self, start: int, stop: int) -> list[int]:
        """The equations on the ways from one value to a later one."""
        program = self.program
        return sorted(
            e
            for e in {program.maker[i] for i in program.above[stop] if i in program.maker}
            if any(start in program.above[i] for i in program.flat.equations[e].inputs)
        )


def _same(a: Any, b: Any) -> bool:
    floats = isinstance(a, np.ndarray) and a.dtype.kind == "f"
    return floats and a.shape == np.shape(b) and np.allclose(a, b, 1e-9, 1e-12)

"""How many multiplications a program does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jaxbackprop._jaxpr import (
    Equation,
    Literal,
    Program,
    branches,
    is_literal,
    literal,
    main_body,
    opened,
    scan_parts,
    while_parts,
)

from ._equation_cost import equation_cost, size

_COPIES = {"convert_element_type", "broadcast_in_dim", "reshape", "copy"}

Needed = list[bool]


def multiplications(jaxpr: Program, *, live: bool = False) -> int:
    """Counts a program's multiplications of floating-point numbers, from its shapes alone.

    - A product, quotient or remainder is 1 an entry of the result; 0 by a known power of 2, which moves the
      exponent alone.
    - A square is 1 an entry; a whole power what repeated squaring takes, and 1 more where it is negative.
    - An elementary function (exp, log, tanh, sin, sqrt, ...) is `ELEMENTARY` an entry, a special one (erf,
      lgamma, a Bessel function, ...) `SPECIAL`; a power, being exp(b log a), 2 `ELEMENTARY` + 1; an entry of
      a cumulative logsumexp 2 `ELEMENTARY`.
    - A product of matrices is batch m n k.
    - A convolution is 1 for each pair of an output and a tap that meet an entry of the input, neither padding
      nor a hole of its dilation: so that it and both its gradients are the same.
    - A product over an axis, a cumulative and a scattered one are 1 for each entry that is multiplied.
    - A Cholesky factor and a triangular solve are what the textbook's loops take.
    - A reduction by a program is that program for each entry that it takes in.
    - A call (jit, remat, custom_jvp, custom_vjp) is its plain body, a scan its length times its body, a cond
      its dearest branch, a while its body once, since its length is not known.
    - Everything else, and all arithmetic of integers, is 0.

    What is written twice counts once. A number is known where it is written into the program, or is a
    converted or broadcast copy of one.

    Args:
        jaxpr: a jaxpr, closed or not.
        live: counts only what a result of the program depends on.

    Returns:
        Their number.
    """
    wanted = [True] * len(opened(jaxpr)[0].outvars)
    return _program(jaxpr, (), wanted if live else None)


def _program(jaxpr: Program, arguments: Sequence[float | None], wanted: Needed | None) -> int:
    """Counts a program, given its known arguments, and the results that matter; None counts every step."""
    program = opened(jaxpr)[0]
    steps = [(equation, None) for equation in program.eqns] if wanted is None else _needed(program, wanted)[0]
    known: dict[Any, float | None] = dict(zip(program.invars, arguments, strict=False))
    total = 0
    first: dict[Any, Sequence[Any]] = {}
    same: dict[Any, Any] = {}
    for equation, needed in steps:
        # XLA computes once what is written twice.
        key = _key(equation, same)
        if key is not None and key in first:
            same.update(zip(equation.outvars, first[key], strict=True))
            continue
        first[key] = equation.outvars
        operands = [_number(a) if is_literal(a) else known.get(a) for a in equation.invars]
        total += _equation(equation, operands, needed)
        if equation.primitive.name in _COPIES:
            known[equation.outvars[0]] = operands[0]
    return total


def _key(equation: Equation, same: dict[Any, Any]) -> Any:
    """The same for two equations that compute the same; None where nothing is said of that."""
    if equation.primitive.name == "cond" or main_body(equation) is not None or equation.effects:
        return None
    operands = (
        (literal(a).tobytes(), str(a.aval)) if is_literal(a) else same.get(a, a) for a in equation.invars
    )
    return equation.primitive.name, tuple(operands), str(sorted(equation.params.items(), key=str))


def _number(atom: Literal) -> float | None:
    """What is written into an equation, where it is one real number."""
    value = literal(atom)
    return float(value) if value.shape == () and value.dtype.kind in "biuf" else None


def _equation(equation: Equation, operands: Sequence[float | None], needed: Needed | None) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        # A constant stays known through the loop; what is carried changes.
        wanted, _ = _round(equation, needed)
        loop = scan_parts(equation)
        return loop.length * _program(loop.body, operands[: loop.constants], wanted)
    if name == "cond":
        return max(_program(branch, operands[1:], needed) for branch in branches(equation))
    if name == "while":
        return _program(while_parts(equation).body, (), None)
    if (body := main_body(equation)) is not None:
        if name == "reduce":
            return size(equation.invars[0]) * _program(body, (), None)
        if name == "reduce_window":
            taken = size(equation.outvars[0]) * math.prod(params["window_dimensions"])
            return taken * _program(body, (), None)
        return _program(body, operands, needed)
    return equation_cost(equation, operands)


# Which equations a result depends on.


def _needed(program: Program, wanted: Needed) -> tuple[list[tuple[Any, Needed]], Needed]:
    """The steps that lead to the wanted results, what is needed of each; and the arguments needed."""
    variables = {v for v, want in zip(program.outvars, wanted, strict=True) if want and not is_literal(v)}
    steps = []
    for equation in reversed(program.eqns):
        needed = [v in variables for v in equation.outvars]
        if any(needed):
            steps.append((equation, needed))
            operands = zip(equation.invars, _operands_needed(equation, needed), strict=True)
            variables.update(v for v, need in operands if need and not is_literal(v))
    return steps[::-1], [v in variables for v in program.invars]


def _operands_needed(equation: Equation, needed: Needed) -> Needed:
    name = equation.primitive.name
    if name == "scan":
        return _round(equation, needed)[1]
    if name == "cond":
        needs = [_needed(opened(branch)[0], needed)[1] for branch in branches(equation)]
        return [True, *(any(uses) for uses in zip(*needs, strict=True))]
    body = None if name in ("while", "reduce", "reduce_window") else main_body(equation)
    if body is None or len(opened(body)[0].invars) != len(equation.invars):
        return [True] * len(equation.invars)
    return _needed(opened(body)[0], needed)[1]


def _round(equation: Equation, needed: Needed | None) -> tuple[Needed | None, Needed]:
    """Of a scan: the results of its body that are needed, and its operands that are."""
    body, constants, carried, *_ = scan_parts(equation)
    if needed is None:
        return None, [True] * len(equation.invars)
    while True:
        # A carried value is needed after the last round, or by the next one.
        operands = _needed(opened(body)[0], needed)[1]
        passed = operands[constants : constants + carried]
        grown = [a or b for a, b in zip(needed, passed, strict=False)] + needed[carried:]
        if grown == needed:
            # What a round needs of the carried values, the first needs of the initial ones.
            return needed, operands
        needed = grown

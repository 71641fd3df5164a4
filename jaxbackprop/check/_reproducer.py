"""The smallest point at which a mistake shows, and the code that shows it in a fresh interpreter."""

from __future__ import annotations

import cmath
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, is_float

from ._attempt import attempt
from ._comparison import Comparison, compare
from ._complex import cotangent_from_pairs, is_complex
from ._evaluator import Point
from ._kinks import kink
from ._names import name_of, named_within
from ._record import as_seen, leaf_of
from ._report import Finding
from ._rounding import all_finite
from ._sampling import Sampled, free_leaves
from ._session import CheckSession

_LONGEST_LITERAL = 48
# Beyond so many numbers no point is simple.
_MOST_NUMBERS = 1024


def simplified(session: CheckSession, found: Finding, shown: Mapping[int, Comparison]) -> Finding:
    """A finding of a wrong value at the simplest point that shows it; those of other properties stay."""
    leaf = leaf_of(session, found)
    if found.property != "value" or leaf is None or leaf not in shown:
        return found
    comparison = simplest(session, shown[leaf], leaf)
    worst = comparison.violation(leaf)
    if worst is None:
        return found
    at = {"point": _args(session, comparison.point), "cotangent": _cotangent(session, comparison.point)}
    return dataclasses.replace(found, **as_seen(session, leaf, worst).numbers(), **at)


def simplest(session: CheckSession, comparison: Comparison, leaf: int) -> Comparison:
    """The comparison with the roundest numbers at which a leaf is wrong; the given one where none is."""
    floats = session.layout.floats_of(comparison.point.leaves)
    if session.truth is None or sum(map(np.size, floats)) > _MOST_NUMBERS:
        return comparison
    points = [Sampled(comparison.kind, point) for point in _rounder(session, comparison.point)]
    compared = attempt(lambda: compare(session, points))
    for found in compared.value if compared.error is None else []:
        if not all_finite((*found.y, *found.want)):
            continue
        worst = found.violation(leaf)
        # A mistake that is nearly lost in rounding shows nothing.
        if worst is None or not worst.error > 1e-4 * (abs(worst.want) + 1e-30):
            continue
        if kink(session, found, leaf) is None:
            return found
    return comparison


def _rounder(session: CheckSession, point: Point) -> Iterator[Point]:
    """The simplest first: small integers, then halves, then a digit behind the point; cotangents alike."""
    slots = session.layout.floats
    at: Arrays = tuple(np.asarray(point.leaves[i], np.float64) for i in slots)
    free = free_leaves(session.layout, session.domains)
    rng = np.random.default_rng(0)
    whole = [rng.integers(1, 4, x.shape) * rng.choice([-1.0, 1.0], x.shape) for x in at]
    scales = [
        tuple(whole),
        tuple(np.abs(w) for w in whole),
        tuple(np.round(x) for x in at),
        tuple(np.round(2 * x) / 2 for x in at),
        tuple(np.round(x, 1) for x in at),
    ]
    ones: Arrays = tuple(np.ones_like(d) for d in point.dy)
    count = tuple(np.arange(1.0, d.size + 1).reshape(d.shape) for d in point.dy)
    for dy in (ones, count):
        for floats in scales:
            moved = tuple(f if free[i] else x for i, x, f in zip(slots, at, floats, strict=True))
            yield Point(session.layout.with_floats(point.leaves, moved), dy)
    yield Point(point.leaves, ones)


def _args(session: CheckSession, point: Point) -> tuple[Any, ...]:
    """The arguments of a point, floats in their own dtypes."""
    layout = session.layout
    leaves = list(point.leaves)
    with session.native_setting():
        for i in layout.all_floats:
            x, like = leaves[i], layout.leaves[i]
            in_jax = isinstance(like, jax.Array)
            leaves[i] = jnp.asarray(x, like.dtype) if in_jax else np.asarray(x).astype(like.dtype)
    return layout.args(tuple(leaves))


def _cotangent(session: CheckSession, point: Point) -> Any:
    """The cotangents of a point with the structure of the results; JAX's zeros for those of integers."""
    y = session.result
    in_jax = session.subject.rule is None or not session.layout.is_numpy
    dy = iter(point.dy)

    def of(leaf: Any) -> Any:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return np.zeros(leaf.shape, jax.dtypes.float0)
        is_pairs = jnp.issubdtype(leaf.dtype, jnp.complexfloating)
        cotangent = cotangent_from_pairs(next(dy)) if is_pairs else next(dy)
        return (jnp.asarray if in_jax else np.asarray)(cotangent, leaf.dtype)

    with session.native_setting():
        return jax.tree.map(of, y)


class TooLong(ValueError):
    """An argument that is no literal of a few lines."""


def shown_by(session: CheckSession, findings: Sequence[Finding]) -> str:
    """Code that shows the first finding of a wrong value; "" where none can be shown in a few lines."""
    return next(filter(None, (snippet(session, found) for found in findings)), "")


def snippet(session: CheckSession, found: Finding) -> str:
    """Code that prints the wrong entry of a cotangent.

    Empty where the finding is no wrong value at a point, where an argument is too large for a literal, or
    where the operator cannot be imported by name.
    """
    op, rule, kwargs = session.subject.given
    args = found.point
    if found.argument is None or args is None or found.cotangent is None:
        return ""
    try:
        literals, dy = [literal(arg) for arg in args], literal(found.cotangent)
        keywords = "".join(f", {name}={literal(value)}" for name, value in kwargs.items())
    except TooLong:
        return ""
    functions = [name_of(f) for f in (op, rule) if f is not None]
    functions += [name_of(thing) for thing in named_within([args, kwargs, found.cotangent])]
    known = [name for name in functions if name is not None]
    if len(known) < len(functions):
        return ""
    function = known[0 if rule is None else 1].text
    text = " ".join([*literals, dy, keywords])
    lines = []
    if rule is None or "jax." in text + function:
        lines.append("import jax")
    if "jnp." in text:
        lines.append("import jax.numpy as jnp")
    if "np." in text.replace("jnp.", ""):
        lines.append("import numpy as np")
    lines += dict.fromkeys(name.line for name in known)
    if "float64" in text and rule is None:
        lines.append('jax.config.update("jax_enable_x64", True)')
    # An array has a line of its own; what is short stands in the call.
    named = []
    for name, arg, value in zip(session.parameters(len(args)), args, literals, strict=True):
        has_line = any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(arg))
        named.append(name if has_line else value)
        if has_line:
            lines.append(f"{name} = {value}")
    lines.append(f"dy = {dy}")
    place = found.path + (f"[{', '.join(map(str, found.index))}]" if found.index else "")
    says = f"got {found.got:.7g}, want {found.want:.7g}"
    if rule is None:
        moving = [
            i
            for i in sorted(set(session.layout.arguments))
            if any(map(_is_inexact, jax.tree.leaves(args[i])))
        ]
        inputs = ", ".join(named[i] for i in moving)
        if len(moving) < len(args) or keywords:
            function = f"lambda {inputs}: {function}({', '.join(named)}{keywords})"
        if session.subject.forward:
            if "float0" in dy:
                return ""
            try:
                return "\n".join([*lines, *_pushed(found, function, moving, args, named), ""]).rstrip()
            except TooLong:
                return ""
        lines.append(f"y, pullback = jax.vjp({function}, {inputs})")
        lines.append(f"print(pullback(dy)[{moving.index(found.argument)}]{place})  # {says}")
    else:
        call = f"{function}({', '.join(named)}, dy{keywords})"
        lines.append(f"print({call}[{found.argument}]{place})  # {says}")
    return "\n".join(lines)


def _pushed(
    found: Finding, function: str, moving: Sequence[int], args: tuple[Any, ...], named: Sequence[str]
) -> list[str]:
    """The lines that print the result's tangent, weighted by the cotangent, along the wrong entry."""
    tangents = []
    for i in moving:
        leaves, treedef = jax.tree_util.tree_flatten_with_path(args[i])
        moved = []
        for path, leaf in leaves:
            if not _is_inexact(leaf):
                raise TooLong
            tangent = np.zeros(np.shape(leaf), leaf.dtype)
            if i == found.argument and jax.tree_util.keystr(path) == found.path:
                tangent[found.index or ()] = 1
            moved.append(jnp.asarray(tangent) if isinstance(leaf, jax.Array) else tangent)
        tangents.append(literal(jax.tree.unflatten(treedef, moved)))
    inputs, along = (
        ", ".join(each) + ("," if len(moving) == 1 else "") for each in ((named[i] for i in moving), tangents)
    )
    return [
        f"_, tangent = jax.jvp({function}, ({inputs}), ({along}))",
        "pairs = zip(jax.tree.leaves(dy), jax.tree.leaves(tangent))",
        f"print(sum((d * t).sum() for d, t in pairs).real)  # got {found.got:.7g}, want {found.want:.7g}",
    ]


def literal(value: Any) -> str:
    """A value as Python would be given it; raises TooLong for large arrays and for what has no literal."""
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, np.generic)):
        return repr(value)
    if isinstance(value, float) and not isinstance(value, np.generic):
        return repr(value) if math.isfinite(value) else f"float('{value}')"
    if isinstance(value, complex) and not isinstance(value, np.generic):
        return repr(value) if cmath.isfinite(value) else f"complex('{value}')"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {literal(item)}" for key, item in value.items()) + "}"
    if type(value) is list:
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = ", ".join(f"{name}={literal(item)}" for name, item in zip(value._fields, value, strict=True))
        return f"{literal(type(value))}({fields})"
    if type(value) is tuple:
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        impl = str(jax.random.key_impl(value))
        more = "" if impl == "threefry2x32" else f", impl={impl!r}"
        return f"jax.random.wrap_key_data({literal(jax.random.key_data(value))}{more})"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _array(value)
    name = name_of(value) if callable(value) else None
    if name is None:
        raise TooLong
    return name.text


def _is_inexact(leaf: Any) -> bool:
    return is_float(leaf) or is_complex(leaf)


def _array(value: Any) -> str:
    array = np.asarray(value)
    if array.dtype == jax.dtypes.float0:
        return f"np.zeros({array.shape}, jax.dtypes.float0)"
    if array.size > _LONGEST_LITERAL:
        raise TooLong
    numbers = _short(array) if jnp.issubdtype(array.dtype, jnp.inexact) else repr(array.tolist())
    maker = "jnp.array" if isinstance(value, jax.Array) else "np.array"
    if 0 in array.shape:
        return f"{maker.replace('array', 'zeros')}({array.shape}, '{array.dtype.name}')"
    return f"{maker}({numbers}, '{array.dtype.name}')"


def _short(array: np.ndarray) -> str:
    """Nested lists with as few digits as name each number in its own dtype."""
    if array.ndim:
        return "[" + ", ".join(map(_short, array)) + "]"
    if is_complex(array):
        real, imaginary = (_short(part) for part in (array.real, array.imag))
        if "float" in real + imaginary:
            return f"complex({real}, {imaginary})"
        return f"{real}{'' if imaginary.startswith('-') else '+'}{imaginary}j"
    number = float(array)
    if not math.isfinite(number):
        return f"float('{number}')"
    if number == 0:
        return "-0.0" if math.copysign(1, number) < 0 else "0"
    for digits in range(1, 18):
        text = f"{number:.{digits}g}"
        if np.asarray(float(text)).astype(array.dtype) == array:
            return text
    return repr(number)

"""A few lines of Python that show a wrong gradient in a fresh interpreter."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import is_float

from .._report import Finding
from .._session import CheckSession

_MOST_NUMBERS = 48


class TooLong(ValueError):
    """An argument that is no literal of a few lines."""


def shown_by(session: CheckSession, findings: Sequence[Finding]) -> str:
    """Code that shows the first finding of a wrong value; "" where none can be shown in a few lines."""
    given = session.subject.given
    for found in findings:
        if found.property != "value" or found.argument is None:
            continue
        if found.cotangent is None or found.point is None:
            continue
        code = snippet(
            given.op,
            given.rule,
            given.kwargs,
            found.point,
            found.cotangent,
            names=session.parameters(len(found.point)),
            argument=found.argument,
            path=found.path,
            index=found.index or (),
            says=f"got {found.got:.7g}, want {found.want:.7g}",
        )
        if code:
            return code
    return ""


def snippet(
    op: Callable[..., Any],
    rule: Callable[..., Any] | None,
    kwargs: Mapping[str, Any],
    args: tuple[Any, ...],
    dy: Any,
    *,
    names: list[str],
    argument: int,
    path: str,
    index: tuple[int, ...],
    says: str,
) -> str:
    """Code that prints one entry of a cotangent.

    Args:
        op: the operator, or f of a pair.
        rule: f_vjp of a pair; None where jax.vjp of `op` is the rule.
        kwargs: keyword arguments.
        args: at which it shows; floats in their own dtypes.
        dy: the incoming cotangent, with the structure of the results.
        names: what to call the arguments.
        argument: whose cotangent.
        path: where inside that argument.
        index: which entry.
        says: the comment behind it.

    Returns:
        The code; "" where an argument is too large for a literal or the operator cannot be imported by name.
    """
    try:
        literals = [literal(arg) for arg in args]
        cotangent, keywords = literal(dy), {name: literal(value) for name, value in kwargs.items()}
    except TooLong:
        return ""
    found = _import_names(op), None if rule is None else _import_names(rule)
    if found[0] is None or (rule is not None and found[1] is None):
        return ""
    text = " ".join([*literals, cotangent, *keywords.values()])
    lines = []
    if rule is None or "jax." in text:
        lines.append("import jax")
    if "jnp." in text:
        lines.append("import jax.numpy as jnp")
    if "np." in text.replace("jnp.", ""):
        lines.append("import numpy as np")
    for module, name in dict.fromkeys(n for n in found if n is not None):
        lines.append(f"from {module} import {name.partition('.')[0]}")
    if "float64" in text and rule is None:
        lines.append('jax.config.update("jax_enable_x64", True)')
    more = "".join(f", {name}={value}" for name, value in keywords.items())
    # An array has a line of its own; what is short stands in the call.
    named = [
        name if _has_arrays(arg) else text for name, arg, text in zip(names, args, literals, strict=True)
    ]
    lines += [
        f"{name} = {text}" for name, arg, text in zip(names, args, literals, strict=True) if _has_arrays(arg)
    ]
    lines.append(f"dy = {cotangent}")
    place = path + (f"[{', '.join(map(str, index))}]" if index else "")
    if rule is None:
        moving = [i for i, arg in enumerate(args) if _has_floats(arg)]
        inputs = ", ".join(named[i] for i in moving)
        function = found[0][1]
        if len(moving) < len(args) or more:
            function = f"lambda {inputs}: {function}({', '.join(named)}{more})"
        lines.append(f"y, pullback = jax.vjp({function}, {inputs})")
        lines.append(f"print(pullback(dy)[{moving.index(argument)}]{place})  # {says}")
    else:
        assert found[1] is not None
        lines.append(f"print({found[1][1]}({', '.join(named)}, dy{more})[{argument}]{place})  # {says}")
    return "\n".join(lines)


def _has_arrays(arg: Any) -> bool:
    return any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(arg))


def _has_floats(arg: Any) -> bool:
    return any(map(is_float, jax.tree.leaves(arg)))


def _import_names(f: Callable[..., Any]) -> tuple[str, str] | None:
    """Module and name under which a function is found again."""
    module, name = getattr(f, "__module__", None), getattr(f, "__qualname__", None)
    if not module or not name or "<" in name:
        return None
    if module == "__main__":
        return None
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return (module, name) if found is f else None


def literal(value: Any) -> str:
    """A value as Python would be given it.

    Raises:
        TooLong: for large arrays, and for what has no literal.
    """
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, np.generic)):
        return repr(value)
    if isinstance(value, float) and not isinstance(value, np.generic):
        return repr(value) if math.isfinite(value) else f"float('{value}')"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {literal(item)}" for key, item in value.items()) + "}"
    if type(value) is list:
        return "[" + ", ".join(map(literal, value)) + "]"
    if type(value) is tuple:
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        impl = str(jax.random.key_impl(value))
        more = "" if impl == "threefry2x32" else f", impl={impl!r}"
        return f"jax.random.wrap_key_data({literal(jax.random.key_data(value))}{more})"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _array(value)
    raise TooLong


def _array(value: Any) -> str:
    array = np.asarray(value)
    if array.size > _MOST_NUMBERS:
        raise TooLong
    if jnp.issubdtype(array.dtype, jnp.floating):
        numbers = _short(array)
    else:
        numbers = repr(array.tolist())
    maker = "jnp.array" if isinstance(value, jax.Array) else "np.array"
    if 0 in array.shape:
        return f"{maker.replace('array', 'zeros')}({array.shape}, '{array.dtype.name}')"
    return f"{maker}({numbers}, '{array.dtype.name}')"


def _short(array: np.ndarray) -> str:
    """Nested lists with as few digits as name each number in its own dtype."""
    if array.ndim:
        return "[" + ", ".join(map(_short, array)) + "]"
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

"""Arguments from a function's annotations: `Float[Array, "batch in"]` says dtype and shape.

An annotation of jaxtyping carries its dtypes and its dimensions as text; jaxtyping itself is not needed.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import operator
import types
import typing
from collections.abc import Callable
from typing import Any

from jaxbackprop._specs import Argument, Array, Key, leaves

# Sizes of named axes in the order in which the names come, so that no two that differ agree by chance.
_SIZES = (3, 4, 5, 2, 6, 7)
_FLOATS = ("float32", "float64", "bfloat16", "float16")
_OTHERS = ("int32", "int64", "int16", "int8", "uint32", "uint64", "uint16", "uint8", "bool")
_PLAIN: dict[Any, Any] = {int: 1, float: 0.5, bool: False}
_ARITHMETIC: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


class NoArguments(ValueError):
    """A function's annotations do not say what to call it with; the message says what is missing."""


def from_annotations(function: Callable[..., Any], *, wide: bool) -> tuple[Argument, ...]:
    """What to call a function with.

    A parameter with a shape in its annotation is drawn; equal names of dimensions have equal sizes. Another
    one takes its default or, for a plain int, float or bool, an ordinary value.

    Args:
        function: annotated as jaxtyping does.
        wide: whether an annotation that leaves the precision open means float64.

    Raises:
        NoArguments: where a parameter has neither a shape nor a default.
    """
    hints = _hints(function)
    sizes = _Sizes()
    arguments: list[Argument] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = _value(hints.get(name), sizes, wide)
        if parameter.default is not parameter.empty and not _is_drawn(value):
            # A rule takes every positional argument; keywords it has defaults for.
            if parameter.kind is not parameter.KEYWORD_ONLY:
                arguments.append(Argument(parameter.default))
            continue
        if value is None:
            said = "no shape in its annotation" if name in hints else "no annotation"
            raise NoArguments(f"parameter {name} has {said} and no default")
        arguments.append(Argument(value, name if parameter.kind is parameter.KEYWORD_ONLY else None))
    if not any(_is_drawn(argument.value) for argument in arguments):
        raise NoArguments("no parameter has a shape in its annotation")
    return tuple(arguments)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    try:
        inspect.signature(function)
        return typing.get_type_hints(inspect.unwrap(inner))
    # Annotations are code of the module's author, and any error may come out of it.
    except Exception as error:
        raise NoArguments(f"its annotations cannot be read: {error}") from None


class _Sizes:
    """Sizes of dimensions by name; the same for a name that comes again."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[int, ...]] = {}
        self._unused = itertools.chain(_SIZES, itertools.count(8))

    def shape(self, dimensions: str) -> tuple[int, ...] | None:
        """The shape that a jaxtyping string names; None where an expression in it has no size yet."""
        shape: tuple[int, ...] = ()
        for word in dimensions.split():
            # In front of a name or size may stand a comment and =, # (broadcasts), ? (of a tree), * (axes).
            name = word.rpartition("=")[2].lstrip("#?*")
            if name == "_":
                shape += (next(self._unused),)
            elif name == "..." or name.isidentifier():
                several = name == "..." or "*" in word
                if name not in self._named:
                    self._named[name] = tuple(next(self._unused) for _ in range(1 + several))
                shape += self._named[name]
            else:
                try:
                    size = self._value(ast.parse(name, mode="eval").body)
                except (SyntaxError, LookupError, ZeroDivisionError):
                    return None
                shape += (size,)
        return shape if all(size >= 0 for size in shape) else None

    def _value(self, node: ast.expr) -> int:
        """The value of an expression such as 2*k+1."""
        match node:
            case ast.Constant(value=int(number)):
                return number
            case ast.Name(id=name) if len(self._named[name]) == 1:
                return self._named[name][0]
            case ast.BinOp(left=left, op=sign, right=right):
                return _ARITHMETIC[type(sign)](self._value(left), self._value(right))
        raise KeyError(ast.unparse(node))


def _value(hint: Any, sizes: _Sizes, wide: bool) -> Any:
    """What an annotation says to pass, as `Argument.value` holds it; None where it says too little."""
    if isinstance(hint, type) and hint in _PLAIN:
        return _PLAIN[hint]
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        found = [value for choice in inside if (value := _value(choice, sizes, wide)) is not None]
        return next(filter(_is_drawn, found), found[0] if found else None)
    if origin is typing.Annotated:
        return _value(inside[0], sizes, wide)
    if origin in (tuple, list) and inside:
        any_number = origin is list or inside[-1] is ...
        values = [_value(part, sizes, wide) for part in (inside[:1] * 2 if any_number else inside)]
        return None if any(value is None for value in values) else origin(values)
    if isinstance(getattr(hint, "dim_str", None), str) and hasattr(hint, "dtypes"):
        return _array(hint.dtypes, sizes.shape(hint.dim_str), wide)
    return None


def _array(dtypes: Any, shape: tuple[int, ...] | None, wide: bool) -> Array | Key | None:
    if shape is None:
        return None
    # What is no list of names stands for any dtype.
    names = tuple(dtypes) if isinstance(dtypes, list | tuple | set | frozenset) else (*_FLOATS, *_OTHERS)
    if any("key" in str(name) for name in names):
        return Key() if shape == () else None
    preferred = ("float64", *_FLOATS, *_OTHERS) if wide else (*_FLOATS, *_OTHERS)
    dtype = next((name for name in preferred if name in names), None)
    return None if dtype is None else Array(dtype, shape)


def _is_drawn(value: Any) -> bool:
    return any(isinstance(leaf, Array | Key) for leaf in leaves(value))

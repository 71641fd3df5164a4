"""Arguments written as text: `f32[4,5]`, `i32[4]<10`, `axis=1`.

    argument  = [name "="] value
    value     = array | "key" ["(" seed ")"] | literal | container of values
    array     = dtype "[" sizes "]" [range] ["fixed"]
    range     = ("<" | "<=" | ">" | ">=") number | "in" ("(" | "[") number "," number (")" | "]")
              | "positive" | "simplex"
    literal   = number | "inf" | "-inf" | "True" | "False" | "None" | "'text'"
    container = "(" values ")" | "[" values "]" | "{" "'name'" ":" value ... "}"

A range says where an array is drawn, and where the harness may redraw it. Integers without one are 0 or 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from ._argument import Argument, Key
from ._array import Array, HalfLine

_SHORT = {
    "float16": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
    "float64": "f64",
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
    "bool": "bool",
}
_DTYPES = {short: name for name, short in _SHORT.items()} | {name: name for name in _SHORT}
_CONSTANTS = {"None": None, "True": True, "False": False, "inf": math.inf, "-inf": -math.inf}
_MOST_ENTRIES = 1 << 28

_TOKEN = re.compile(
    r"""\s*('[^']*'|"[^"]*"|-?inf\b|[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.])"""
    r"|[^\W\d]\w*|<=|>=|\S)"
)
_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?\.?[0-9]")
_NAMED = re.compile(r"\s*([^\W\d]\w*)\s*=")
_VALUE = "a value (f32[4,5], key, a number, None, True, False, 'text', or a container of them)"


def parse_argument(text: str) -> Argument:
    """Reads an argument; the module's docstring has the grammar.

    Raises:
        ValueError: what came, and what was expected where.
    """
    named = _NAMED.match(text)
    reader = _Reader(text, named.end() if named else 0)
    try:
        value = reader.value()
    except RecursionError:
        raise ValueError(f"{text[:40]}...: nested too deeply") from None
    reader.end()
    return Argument(value, named[1] if named else None)


def describe(value: Any) -> str:
    """An argument as it would be written: `(f32[4,5], 0.5)`; what has no such form by its name or type."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {describe(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(describe, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(describe, value)) + (",)" if len(value) == 1 else ")")
    if isinstance(value, Key):
        return "key" if value.seed is None else f"key({value.seed})"
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return "key"
    if isinstance(value, Array | np.ndarray | np.generic | jax.Array):
        dtype = str(value.dtype)
        return f"{_SHORT.get(dtype, dtype)}[{','.join(map(str, value.shape))}]"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return getattr(value, "__name__", None) or type(value).__name__


class _Reader:
    """Reads a text from left to right; errors say what was expected and what stands there."""

    def __init__(self, text: str, start: int):
        self._text = text
        self._tokens = [match[1] for match in _TOKEN.finditer(text, start)]
        self._at = 0

    def value(self) -> Any:
        """Reads one value."""
        token = self._peek()
        if token == "(":
            items, comma = self._items("(", ")", self.value)
            return items[0] if len(items) == 1 and not comma else tuple(items)
        if token == "[":
            return self._items("[", "]", self.value)[0]
        if token == "{":
            entries = self._items("{", "}", self._entry)[0]
            if len(dict(entries)) < len(entries):
                self._wrong("a name stands twice in a container")
            return dict(entries)
        if token in _DTYPES:
            return self._array()
        if token == "key":
            return self._key()
        if token in _CONSTANTS:
            return _CONSTANTS[self._step()]
        if token is not None and _is_text(token):
            return self._step()[1:-1]
        if token is not None and _NUMBER.match(token):
            return int(self._step()) if _WHOLE.fullmatch(token) else float(self._number())
        if self._peek(1) == "[":
            self._expected(f"a dtype ({', '.join(_SHORT.values())})")
        self._expected(_VALUE)

    def end(self) -> None:
        """Holds that nothing more comes."""
        if self._peek() is not None:
            self._expected("nothing more")

    def _key(self) -> Key:
        self._step()
        if not self._take("("):
            return Key()
        seed = self._whole("a seed from 0 to 2**32 - 1", below=1 << 32)
        self._must(")")
        return Key(seed)

    def _items(self, start: str, end: str, read: Callable[[], Any]) -> tuple[list[Any], bool]:
        """Items between commas in brackets, and whether a comma ends them."""
        self._must(start)
        items, comma = [], False
        while not self._take(end):
            items.append(read())
            comma = self._take(",")
            if not comma:
                self._must(end)
                break
        return items, comma

    def _entry(self) -> tuple[str, Any]:
        token = self._peek()
        if token is None or not _is_text(token):
            self._expected("a name in quotation marks")
        self._step()
        self._must(":")
        return token[1:-1], self.value()

    def _array(self) -> Array:
        short = self._step()
        dtype = _DTYPES[short]
        if self._peek() != "[":
            self._expected(f"a shape ({short}[4,5], or {short}[] for a scalar)")
        sizes, _ = self._items("[", "]", lambda: self._whole("a size such as 4", below=_MOST_ENTRIES))
        if math.prod(sizes) > _MOST_ENTRIES:
            self._wrong(f"it has {math.prod(sizes):,} entries, more than {_MOST_ENTRIES:,}")
        shape = tuple(sizes)
        return Array(dtype, shape, self._range(dtype, shape), fixed=self._take("fixed"))

    def _range(self, dtype: str, shape: tuple[int, ...]) -> Any:
        sign = self._peek()
        if sign not in ("<", "<=", ">", ">=", "in", "positive", "simplex"):
            return None
        if dtype == "bool":
            self._expected("no range, for truth values")
        if dtype.startswith(("int", "uint")):
            return self._integers(dtype)
        if sign == "simplex" and (not shape or shape[-1] == 0):
            self._expected("a last axis before simplex, whose entries sum to 1")
        self._step()
        if sign in ("positive", "simplex"):
            return sign
        if sign == "in":
            _, low, high, _ = self._interval(self._number)
            if not low < high:
                self._wrong(f"in ({low}, {high}) holds no number")
            self._held(low, high, dtype)
            return low, high
        bound = self._number()
        self._held(bound, bound, dtype)
        return "positive" if sign in (">", ">=") and bound == 0 else HalfLine(bound, sign in (">", ">="))

    def _integers(self, dtype: str) -> tuple[int, int]:
        """A range of integers, both ends included."""
        sign = self._peek()
        if sign not in ("<", "<=", "in"):
            self._expected("for integers a range with an upper end (<10, or in [1,10))")
        self._step()
        read = self._integer
        if sign == "in":
            opened, first, last, closed = self._interval(read)
            low, high = first + (opened == "("), last - (closed == ")")
        else:
            low, high = 0, read() - (sign == "<")
        if low > high:
            self._wrong("its range holds no integer")
        self._held(low, high, dtype)
        return low, high

    def _interval(self, read: Callable[[], Any]) -> tuple[str, Any, Any, str]:
        """An interval with its brackets."""
        if self._peek() not in ("(", "["):
            self._expected("( or [ and two numbers")
        opened = self._step()
        low = read()
        self._must(",")
        high = read()
        if self._peek() not in (")", "]"):
            self._expected(") or ]")
        return opened, low, high, self._step()

    def _held(self, low: float, high: float, dtype: str) -> None:
        info = jnp.finfo(dtype) if "float" in dtype else np.iinfo(dtype)
        number = float if "float" in dtype else int
        # As Python numbers: a bound must not be rounded to the dtype that it is compared with.
        least, most = number(info.min), number(info.max)
        if low < least or high > most:
            self._wrong(f"its range is wider than {dtype}, which holds {least} to {most}")

    def _number(self) -> float:
        token = self._peek()
        if token is None or not _NUMBER.match(token) or not math.isfinite(float(token)):
            self._expected("a finite number")
        return float(self._step())

    def _integer(self) -> int:
        token = self._peek()
        if token is None or not _WHOLE.fullmatch(token):
            self._expected("a whole number")
        return int(self._step())

    def _whole(self, expected: str, *, below: int) -> int:
        token = self._peek()
        if token is None or not _WHOLE.fullmatch(token) or not 0 <= int(token) < below:
            self._expected(expected)
        return int(self._step())

    def _peek(self, ahead: int = 0) -> str | None:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def _step(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, token: str) -> bool:
        found = self._peek() == token
        self._at += found
        return found

    def _must(self, token: str) -> None:
        if not self._take(token):
            self._expected(token)

    def _expected(self, expected: str) -> NoReturn:
        came = self._peek()
        self._wrong(f"expected {expected} " + ("where it ends" if came is None else f"where {came} stands"))

    def _wrong(self, what: str) -> NoReturn:
        raise ValueError(f"{self._text}: {what}" if self._text.strip() else f"{self._text!r}: {what}")


def _is_text(token: str) -> bool:
    return len(token) > 1 and token[0] in "'\""

"""What the graph says of this package's own operators: their names and formulas."""

from __future__ import annotations

import functools
import inspect
import itertools
import re
from collections.abc import Sequence


def describe_rule(primal: str, backward: str, callers: Sequence[str]) -> tuple[str, str]:
    """Label and formula of a function with a hand-written VJP.

    Args:
        primal: the name of the function as JAX has it.
        backward: the name of its backward rule.
        callers: the functions of this package that call it, innermost first.
    """
    for name in callers:
        if name in _operators():
            return name, _operators()[name]
    return primal, f"its own rule, {backward}"


@functools.cache
def _operators() -> dict[str, str]:
    """Each operator's gradient in its docstring's words: the first sentence and those that go on with it."""
    from jaxbackprop.ops.catalogue import CATALOGUE

    found = {}
    for row in CATALOGUE:
        said = re.search(r"\bgradient(?:,.*?:|:| is) (.*?)(?:\n\n|$)", inspect.getdoc(row.op) or "", _FLAGS)
        if said:
            first, *rest = re.split(r"(?<=[^.])\.\s+", " ".join(said[1].split()))
            formulas = itertools.takewhile(lambda sentence: sentence.startswith(("Then", "With")), rest)
            found[row.name] = ". ".join([first, *formulas]).removesuffix(".")
    return found


_FLAGS = re.DOTALL | re.IGNORECASE

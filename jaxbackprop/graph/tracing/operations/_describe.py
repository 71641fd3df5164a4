"""Which equation becomes which operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxbackprop._jaxpr import CHECKPOINTED, Equation

from ..._graph import Source
from ._checkpoint import describe_checkpoint
from ._cond import describe_cond
from ._custom_jvp import describe_custom_jvp
from ._custom_vjp import describe_custom_vjp
from ._described import Build, Described
from ._linear_solve import describe_linear_solve
from ._primitive import describe_primitive
from ._scan import describe_scan
from ._while import describe_while

_Describe = Callable[[Any, tuple[bool, ...], Source | None, Build], Described]

_STRUCTURES: dict[str, _Describe] = {
    **dict.fromkeys(CHECKPOINTED, describe_checkpoint),
    "custom_jvp_call": describe_custom_jvp,
    "custom_vjp_call": describe_custom_vjp,
    "scan": describe_scan,
    "cond": describe_cond,
    "while": describe_while,
    "custom_linear_solve": describe_linear_solve,
}


def describe(equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build) -> Described:
    """What an equation becomes, and which of its results a gradient flows through.

    Args:
        equation: any but a jitted call.
        flows: which operands a gradient flows back to.
        source: the line of the user's code that it comes from.
        build: makes the graphs of the programs inside it.
    """
    return _STRUCTURES.get(equation.primitive.name, describe_primitive)(equation, flows, source, build)

"""A function to be checked, by its name, and what to call it with."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import jax

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import import_module

from ._annotations import NoArguments, from_annotations
from ._calls import Call, given_calls


@dataclasses.dataclass(frozen=True)
class Target:
    """A function to be checked.

    Attributes:
        name: "package.module:function".
        function: whose rule is judged.
        rule: its f_vjp(arguments, dy), or None where jax.vjp finds the rule.
        calls: what to call it with, one after another; empty where nothing says.
        told: whether somebody said what to call it with; else its annotations were asked.
        reason: why there is no call.
        backward: names of the backward rules that it leads to, where it is built on custom_vjp functions.
    """

    name: str
    function: Callable[..., Any]
    rule: Callable[..., Any] | None
    calls: tuple[Call, ...] = ()
    told: bool = False
    reason: str = ""
    backward: frozenset[str] = frozenset()


def resolve(text: str, call: Call | None) -> Target:
    """The function that "package.module:name" names, and what to call it with.

    Args:
        text: the name may have dots.
        call: its arguments; None to ask CHECK_ARGUMENTS or the annotations.

    Raises:
        CannotRun: where there is no such function, or nothing says what to call it with.
    """
    module, owner, name = _find(text)
    members: dict[str, Any] = {
        member: getattr(owner, member, None) for member in (*vars(owner), name, f"{name}_vjp")
    }
    target = Target(text, members[name], rule_beside(members, name))
    if call is not None:
        return dataclasses.replace(target, calls=(call,), told=True)
    target = with_calls(target, given_calls(module).get(text.partition(":")[2]))
    if not target.calls:
        raise CannotRun(f"{text} needs --arg: {target.reason}")
    return target


def resolve_function(text: str) -> Callable[..., Any]:
    """The function that "package.module:name" names.

    Raises:
        CannotRun: where there is none.
    """
    _, owner, name = _find(text)
    function: Callable[..., Any] = getattr(owner, name)
    return function


def custom_vjp_of(function: Any) -> jax.custom_vjp | None:
    """The custom_vjp function that this is, or is the jit of."""
    found = ruled(function)
    return found if isinstance(found, jax.custom_vjp) else None


def ruled(function: Any) -> jax.custom_vjp | jax.custom_jvp | None:
    """The function with a rule of its own that this is, or is the jit of."""
    while not isinstance(function, jax.custom_vjp | jax.custom_jvp):
        # Only jit's wrapper has `lower`; other wrappers compute something else.
        if not (hasattr(function, "lower") and hasattr(function, "__wrapped__")):
            return None
        function = function.__wrapped__
    return function


def _find(text: str) -> tuple[ModuleType, Any, str]:
    """Module, owner and last name of the function that "package.module:name" names."""
    module_name, _, path = text.partition(":")
    if not path or not module_name:
        raise CannotRun(f"{text!r} must read package.module:function")
    module = import_module(module_name)
    found: Any = module
    for step in path.split("."):
        owner = found
        if not hasattr(owner, step):
            close = difflib.get_close_matches(step, dir(owner), 1)
            raise CannotRun(f"{module_name} has no {path}" + (f": is {close[0]} meant?" if close else ""))
        found = getattr(owner, step)
    if not callable(found):
        raise CannotRun(f"{text} is no function but of type {type(found).__name__}")
    return module, owner, step


def rule_beside(members: Mapping[str, Any], name: str) -> Callable[..., Any] | None:
    """The f_vjp beside an f that has no rule of its own."""
    rule = members.get(f"{name}_vjp")
    if not callable(rule) or custom_vjp_of(members[name]) is not None:
        return None
    # What a custom_vjp function was given as its backward rule takes residuals, not arguments.
    backward = (getattr(custom_vjp_of(value), "bwd", None) for value in members.values())
    return None if any(rule is other for other in backward) else rule


def with_calls(target: Target, given: tuple[Call, ...] | None) -> Target:
    """The target with the calls that CHECK_ARGUMENTS gives it or, where that has none, its annotations."""
    if given is not None:
        return dataclasses.replace(
            target, calls=given, told=True, reason="its list in CHECK_ARGUMENTS is empty"
        )
    try:
        return dataclasses.replace(
            target, calls=(from_annotations(target.function, wide=target.rule is not None),)
        )
    except NoArguments as error:
        return dataclasses.replace(target, reason=f"it is not in CHECK_ARGUMENTS, and {error}")

"""Finds what is to be checked: a function by its name, or every hand-written rule of a module or package."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import jax

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import import_module

from ._annotations import NoArguments, from_annotations
from ._calls import Call, attribute, draw, given_calls


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
    target = Target(text, members[name], _rule_beside(members, name))
    if call is not None:
        return dataclasses.replace(target, calls=(call,), told=True)
    target = _with_calls(target, given_calls(module).get(text.partition(":")[2]))
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


def discover(name: str) -> tuple[list[Target], list[tuple[str, str]]]:
    """Every hand-written rule of a module or, for a package, of all modules in it.

    Returns:
        The targets, and the modules that cannot be imported, with the reason.

    Raises:
        CannotRun: where the module itself cannot be imported, or a CHECK_ARGUMENTS cannot be read.
    """
    modules, left_out = [import_module(name)], []
    for below in _names_below(modules[0]):
        try:
            modules.append(import_module(below))
        except CannotRun as error:
            left_out.append((below, str(error)))
    targets: dict[int, Target] = {}
    for module in modules:
        for target in _by_way_of_others(list(_targets_of(module))):
            targets.setdefault(id(target.function), target)
    return list(targets.values()), left_out


def custom_vjp_of(function: Any) -> jax.custom_vjp | None:
    """The custom_vjp function that this is, or is the jit of."""
    while not isinstance(function, jax.custom_vjp):
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


def _names_below(module: ModuleType) -> Iterator[str]:
    """Names of the modules in a package and in the packages in it."""
    for found in pkgutil.iter_modules(getattr(module, "__path__", []), module.__name__ + "."):
        # It is there to run something.
        if found.name.endswith(".__main__"):
            continue
        yield found.name
        if found.ispkg:
            with contextlib.suppress(CannotRun):
                yield from _names_below(import_module(found.name))


def _targets_of(module: ModuleType) -> Iterator[Target]:
    given = given_calls(module)
    members = vars(module)
    found = set()
    for name, value in list(members.items()):
        if name.startswith("__") or not callable(value) or not _is_defined_in(module, value):
            continue
        target = Target(f"{module.__name__}:{name}", value, _rule_beside(members, name))
        if target.rule is None and custom_vjp_of(value) is None:
            if name in given:
                continue
            target = dataclasses.replace(target, backward=_rules_behind(value))
            if not target.backward:
                continue
        found.add(name)
        yield _with_calls(target, given.get(name))
    for name, calls in given.items():
        if name not in found:
            yield _with_calls(Target(f"{module.__name__}:{name}", attribute(module, name), None), calls)


def _rule_beside(members: Mapping[str, Any], name: str) -> Callable[..., Any] | None:
    """The f_vjp beside an f that has no rule of its own."""
    rule = members.get(f"{name}_vjp")
    if not callable(rule) or custom_vjp_of(members[name]) is not None:
        return None
    # What a custom_vjp function was given as its backward rule takes residuals, not arguments.
    backward = (getattr(custom_vjp_of(value), "bwd", None) for value in members.values())
    return None if any(rule is other for other in backward) else rule


def _is_defined_in(module: ModuleType, value: Any) -> bool:
    """Whether an object belongs to the module and was not imported into it."""
    home = getattr(value, "__module__", None)
    if home == module.__name__:
        return True
    # A custom_vjp function says the home of its primal, which may be another function's.
    elsewhere = vars(sys.modules[home]).values() if home in sys.modules else ()
    return custom_vjp_of(value) is not None and not any(other is value for other in elsewhere)


def _rules_behind(value: Any) -> frozenset[str]:
    """Names of the backward rules of the custom_vjp functions that an annotated function calls."""
    if not (inspect.isfunction(value) or hasattr(value, "lower")):
        return frozenset()
    try:
        args, kwargs = draw(from_annotations(value, wide=False), seed=0)
        traced = jax.make_jaxpr(lambda: value(*args, **kwargs))()
    # A function that is none of jax, or not for these arguments, may raise anything.
    except Exception:
        return frozenset()
    # As text, because a jaxpr's parts are no public interface.
    return frozenset(re.findall(r"custom_vjp_call\[.*?\bbwd=(\S+)", str(traced), re.DOTALL))


def _by_way_of_others(targets: list[Target]) -> list[Target]:
    """A module's targets; one that nothing says how to call says which other leads to it, where one does."""
    names = [
        getattr(getattr(custom_vjp_of(target.function), "bwd", None), "__name__", "") for target in targets
    ]

    def reason(target: Target, name: str) -> str:
        if target.calls or names.count(name) > 1:
            return target.reason
        ways = (way.name.partition(":")[2] for way in targets if way.calls and name in way.backward)
        return next((f"judged by way of {way}" for way in ways), target.reason)

    return [
        dataclasses.replace(target, reason=reason(target, name))
        for target, name in zip(targets, names, strict=True)
    ]


def _with_calls(target: Target, given: tuple[Call, ...] | None) -> Target:
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

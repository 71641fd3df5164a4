"""Every hand-written rule of a module or package."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import jax

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import import_module
from jaxbackprop._jaxpr import all_equations, vjp_rule

from ._annotations import from_annotations
from ._calls import attribute, draw, given_calls
from ._members import Skipped, out_of_reach, static_methods
from ._target import Target, custom_vjp_of, rule_beside, ruled, with_calls


def discover(name: str) -> tuple[list[Target], list[Skipped]]:
    """Every hand-written rule of a module or, for a package, of all modules in it.

    Returns:
        The targets, and what is left out: modules that cannot be imported, rules that need an object or that
        a function makes.

    Raises:
        CannotRun: where the module itself cannot be imported, or a CHECK_ARGUMENTS cannot be read.
    """
    modules, skipped = [import_module(name)], []
    for below in _names_below(modules[0]):
        try:
            modules.append(import_module(below))
        except CannotRun as error:
            skipped.append(Skipped(below, str(error)))
    targets: dict[int, Target] = {}
    for module in modules:
        skipped += out_of_reach(module)
        for target in _by_way_of_others(list(_targets_of(module))):
            targets.setdefault(id(target.function), target)
    return list(targets.values()), skipped


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
    members = vars(module) | static_methods(module)
    found = set()
    for name, value in list(members.items()):
        if name.startswith("__") or not callable(value) or not _is_defined_in(module, value):
            continue
        target = Target(f"{module.__name__}:{name}", value, rule_beside(members, name))
        if target.rule is None and ruled(value) is None:
            if name in given:
                continue
            target = dataclasses.replace(target, backward=_rules_behind(value))
            if not target.backward:
                continue
        found.add(name)
        yield with_calls(target, given.get(name))
    for name, calls in given.items():
        if name not in found:
            yield with_calls(Target(f"{module.__name__}:{name}", attribute(module, name), None), calls)


def _is_defined_in(module: ModuleType, value: object) -> bool:
    """Whether an object belongs to the module and was not imported into it."""
    home = getattr(value, "__module__", None)
    if home == module.__name__:
        return True
    # A function with a rule says the home of its primal, which may be another function's.
    elsewhere = vars(sys.modules[home]).values() if home in sys.modules else ()
    return ruled(value) is not None and not any(other is value for other in elsewhere)


def _rules_behind(value: Callable[..., Any]) -> frozenset[str]:
    """Names of the backward rules of the custom_vjp functions that an annotated function calls."""
    if not (inspect.isfunction(value) or hasattr(value, "lower")):
        return frozenset()
    try:
        args, kwargs = draw(from_annotations(value, wide=False), seed=0)
        traced = jax.make_jaxpr(lambda: value(*args, **kwargs))()
    # A function that is none of jax, or not for these arguments, may raise anything.
    except Exception:
        return frozenset()
    with_rule = (each for each in all_equations(traced.jaxpr) if each.primitive.name == "custom_vjp_call")
    return frozenset(vjp_rule(each, [True] * len(each.invars)).name for each in with_rule)


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

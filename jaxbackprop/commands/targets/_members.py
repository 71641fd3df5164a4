"""The rules that a module holds elsewhere than under a name of its own."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

from ._target import ruled

_RULES = ("custom_vjp", "custom_jvp")


class Skipped(NamedTuple):
    """A module or a function that is not checked.

    Attributes:
        name: of it.
        reason: why not.
    """

    name: str
    reason: str


def static_methods(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The static methods of a module's classes, under "Class.method": they are called as functions are."""
    members = [(path, member) for path, member in _members(module) if isinstance(member, staticmethod)]
    return {path: member.__func__ for path, member in members}


def out_of_reach(module: ModuleType) -> Iterator[Skipped]:
    """The functions with a rule that no name of the module leads to without a call, and why not."""
    for path, member in _members(module):
        name, last = f"{module.__name__}:{path}", path.rpartition(".")[2]
        if isinstance(member, classmethod) and ruled(member.__func__) is not None:
            yield Skipped(name, f"it is a class method: in Python, check_vjp({path}, ...) checks it")
        elif isinstance(member, property | functools.cached_property):
            getter = member.fget if isinstance(member, property) else member.func
            if ruled(getter) is not None:
                yield Skipped(name, "it is a property")
        elif ruled(member) is not None:
            yield Skipped(
                name, f"it is a method and needs an object: in Python, check_vjp(object.{last}, ...)"
            )
    for path, line in _made_by_functions(module):
        maker = path.partition(".<locals>")[0]
        yield Skipped(
            f"{module.__name__}:{path}",
            f"{maker} makes it (line {line}): in Python, check_vjp checks what leads to it",
        )


def _members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What the classes that a module defines hold, under dotted names."""
    classes = [(name, value) for name, value in vars(module).items() if _is_home(module, name, value)]
    for path, owner in classes:
        for name, member in vars(owner).items():
            if name.startswith("__"):
                continue
            yield f"{path}.{name}", member
            if _is_home(module, f"{path}.{name}", member):
                classes.append((f"{path}.{name}", member))


def _is_home(module: ModuleType, path: str, value: Any) -> bool:
    """Whether a value is a class of the module, by its own name."""
    return isinstance(value, type) and value.__module__ == module.__name__ and value.__qualname__ == path


def _made_by_functions(module: ModuleType) -> Iterator[tuple[str, int]]:
    """Qualified names and lines of the functions with a rule that a function defines within itself."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return
    yield from _with_rule(tree, "", within=False)


def _with_rule(node: ast.AST, prefix: str, *, within: bool) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            path = prefix + child.name
            if within and any(_names_a_rule(one) for one in child.decorator_list):
                yield path, child.lineno
            yield from _with_rule(child, f"{path}.<locals>.", within=True)
        elif isinstance(child, ast.ClassDef):
            yield from _with_rule(child, f"{prefix}{child.name}.", within=within)
        elif within and isinstance(child, ast.Assign) and _names_a_rule(child.value):
            yield prefix + ast.unparse(child.targets[0]), child.lineno
        else:
            yield from _with_rule(child, prefix, within=within)


def _names_a_rule(node: ast.expr) -> bool:
    """Whether an expression is custom_vjp or a call of it, partly applied or not."""
    if isinstance(node, ast.Call):
        return any(map(_names_a_rule, (node.func, *node.args)))
    return (isinstance(node, ast.Attribute) and node.attr in _RULES) or (
        isinstance(node, ast.Name) and node.id in _RULES
    )

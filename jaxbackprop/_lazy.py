"""Packages whose names load on first use (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any


def attach(
    package: str, *, submodules: Collection[str] = (), names: Mapping[str, Collection[str]] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package needs so that importing it imports nothing else.

    Args:
        package: its `__name__`.
        submodules: modules in it that are public themselves.
        names: module in it -> the public names that this module holds.

    Returns:
        The package's `__getattr__`, `__dir__` and `__all__`.
    """
    homes = {name: module for module, held in (names or {}).items() for name in held}
    public = sorted({*submodules, *homes})

    def load(name: str) -> Any:
        if name in submodules:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        # From now on it is found without asking here.
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *public})

    return load, listed, public

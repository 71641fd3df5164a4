"""Modules that the user names: found from the current directory, too, and what is wrong with them said."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

from ._errors import CannotRun


@contextlib.contextmanager
def importable_from_here() -> Iterator[None]:
    """The current directory can be imported from, before all else."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def import_module(name: str) -> ModuleType:
    """Imports a module.

    Raises:
        CannotRun: with the reason, whatever the module raises.
    """
    try:
        return importlib.import_module(name)
    # A module runs its author's code, and any error may come out of it.
    except (Exception, SystemExit) as error:
        said = str(error) or type(error).__name__
        raise CannotRun(f"cannot import {name}: {said}") from None

"""Where in the code an equation comes from."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxbackprop._jaxpr import Equation

Frame = tuple[str, int, str]


def scope_of(equation: Equation) -> tuple[str, ...]:
    """The named scopes that an equation was traced in, outermost first."""
    stack = str(equation.source_info.name_stack)
    return tuple(part for part in stack.split("/") if part)


_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "chex", "jaxtyping", "beartype", "contextlib", "functools")


def _frames(equation: Equation) -> list[Frame]:
    """Where an equation was traced, innermost first: file, line and function."""
    traceback = equation.source_info.traceback
    if traceback is None:
        return []
    return [
        (frame.file_name, getattr(frame, "start_line", None) or frame.line_num, frame.function_name)
        for frame in traceback.frames
        if not frame.file_name.startswith("<frozen")
    ]


def callers(equation: Equation) -> list[str]:
    """The functions of this package that an equation was traced in, innermost first."""
    here = _library_folders()[0]
    return [function for file, _, function in _frames(equation) if file.startswith(here)]


def user_frames(equation: Equation, called: Sequence[Frame] = (), file: str = "") -> list[Frame]:
    """The lines of the user's code that an equation comes from, innermost first, outside the libraries.

    Args:
        equation: whose.
        called: those of the call of the compiled function that it stands in. JAX keeps compiled functions,
            with the lines of their first call: where the function is a library's, those are not this call's.
        file: where that function was written.
    """
    frames = _frames(equation)
    if called and not _is_users(file) and frames[-len(called) :] != list(called):
        return list(called)
    return _from_users(frames)


def _from_users(frames: Sequence[Frame]) -> list[Frame]:
    """The frames from the innermost one of the user's outward; where there is none, this package's."""
    for skipped in (_library_folders(), _library_folders()[1:]):
        for i, (file, _, _) in enumerate(frames):
            if not file.startswith(skipped):
                return list(frames[i:])
    return []


def _is_users(file: str) -> bool:
    return bool(file) and not file.startswith(_library_folders())


def _library_folders() -> tuple[str, ...]:
    """Folders of code that the user did not write: this package first, then the libraries."""
    return _folders_of(tuple(name for name in _LIBRARIES if name in sys.modules))


@functools.lru_cache(maxsize=1)
def _folders_of(loaded: tuple[str, ...]) -> tuple[str, ...]:
    folders = [str(Path(__file__).absolute().parents[2]) + os.sep]
    for name in loaded:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            is_package = os.path.basename(file) == "__init__.py"
            folders.append(os.path.dirname(file) + os.sep if is_package else file)
    return tuple(folders)

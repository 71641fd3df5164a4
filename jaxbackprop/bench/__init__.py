"""Side-by-side measurements against peers; what they need is in the extra `bench`.

Names load on first use: a process that measures one thing imports what that needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._check import check as check
    from ._command import NAMES as NAMES
    from ._command import run as run
    from ._graph import graph as graph
    from ._ner import ner as ner
    from ._report import CannotBench as CannotBench

_HOMES = {
    "check": "_check",
    "NAMES": "_command",
    "run": "_command",
    "graph": "_graph",
    "ner": "_ner",
    "CannotBench": "_report",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value

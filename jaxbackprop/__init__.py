"""Hand-derived gradients that you can trust, and train with, on JAX.

The rooms load on first use: `jaxbackprop.ops` imports jax, `import jaxbackprop` does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import bench as bench
    from . import check as check
    from . import data as data
    from . import diagnose as diagnose
    from . import doctor as doctor
    from . import graph as graph
    from . import layers as layers
    from . import models as models
    from . import ner as ner
    from . import ops as ops
    from . import optim as optim
    from . import train as train
    from . import verify as verify

__version__ = "0.1.0"

_ROOMS = (
    "bench",
    "check",
    "data",
    "diagnose",
    "doctor",
    "graph",
    "layers",
    "models",
    "ner",
    "ops",
    "optim",
    "train",
    "verify",
)
__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})

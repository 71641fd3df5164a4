"""Hand-derived gradients that you can trust, and train with, on JAX.

The rooms load on first use: `jaxbackprop.ops` imports jax, `import jaxbackprop` does not.
"""

from typing import TYPE_CHECKING

from ._lazy import attach
from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import bench as bench
    from . import check as check
    from . import data as data
    from . import diagnose as diagnose
    from . import doctor as doctor
    from . import finetune as finetune
    from . import graph as graph
    from . import layers as layers
    from . import lecture as lecture
    from . import models as models
    from . import ner as ner
    from . import ops as ops
    from . import optim as optim
    from . import pretrained as pretrained
    from . import train as train
    from . import transfer as transfer
    from . import verify as verify

__getattr__, __dir__, __all__ = attach(
    __name__,
    submodules=(
        "bench",
        "check",
        "data",
        "diagnose",
        "doctor",
        "finetune",
        "graph",
        "layers",
        "lecture",
        "models",
        "ner",
        "ops",
        "optim",
        "pretrained",
        "train",
        "transfer",
        "verify",
    ),
)
__all__ += ["__version__"]

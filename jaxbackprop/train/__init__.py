"""Training: configuration, loop, optimizers, metrics, curves and checkpoints. The model is an argument.

Names load on first use, so that the command line reads :class:`Config` without importing jax.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._checkpoint import load_parameters as load_parameters
    from ._checkpoint import save_parameters as save_parameters
    from ._compilation_cache import use_compilation_cache as use_compilation_cache
    from ._config import Config as Config
    from ._config import encodes as encodes
    from ._config import flag as flag
    from ._curves import draw_curves as draw_curves
    from ._loop import Diverged as Diverged
    from ._loop import Epoch as Epoch
    from ._loop import TrainState as TrainState
    from ._loop import epoch_end as epoch_end
    from ._loop import fit as fit
    from ._loop import init_state as init_state
    from ._loop import make_step as make_step
    from ._metrics import Score as Score
    from ._metrics import Scores as Scores
    from ._metrics import entities as entities
    from ._metrics import score as score
    from ._optimizers import make_optimizer as make_optimizer
    from ._optimizers import make_row_optimizer as make_row_optimizer
    from ._optimizers import make_schedule as make_schedule
    from ._progress import Progress as Progress
    from ._progress import make_console as make_console
    from ._progress import print_scores as print_scores
    from ._rows import RowUpdates as RowUpdates
    from ._run import RunError as RunError
    from ._run import RunWriter as RunWriter
    from ._run import read_run as read_run

_HOMES = {
    "load_parameters": "_checkpoint",
    "save_parameters": "_checkpoint",
    "use_compilation_cache": "_compilation_cache",
    "Config": "_config",
    "encodes": "_config",
    "flag": "_config",
    "draw_curves": "_curves",
    "Diverged": "_loop",
    "Epoch": "_loop",
    "TrainState": "_loop",
    "epoch_end": "_loop",
    "fit": "_loop",
    "init_state": "_loop",
    "make_step": "_loop",
    "Score": "_metrics",
    "Scores": "_metrics",
    "entities": "_metrics",
    "score": "_metrics",
    "make_optimizer": "_optimizers",
    "make_row_optimizer": "_optimizers",
    "make_schedule": "_optimizers",
    "Progress": "_progress",
    "make_console": "_progress",
    "print_scores": "_progress",
    "RowUpdates": "_rows",
    "RunError": "_run",
    "RunWriter": "_run",
    "read_run": "_run",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value

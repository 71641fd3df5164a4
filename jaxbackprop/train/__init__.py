"""Training: configuration, loop, optimizers, metrics, curves and checkpoints. The model is an argument.

Names load on first use, so that the command line reads :class:`Config` without importing jax.
"""

from typing import TYPE_CHECKING

from jaxbackprop._lazy import attach

if TYPE_CHECKING:
    from ._batches import epoch_end as epoch_end
    from ._checkpoint import load_newest as load_newest
    from ._checkpoint import load_parameters as load_parameters
    from ._checkpoint import save_parameters as save_parameters
    from ._comparison import Compared as Compared
    from ._comparison import differing as differing
    from ._comparison import not_comparable as not_comparable
    from ._comparison import read_compared as read_compared
    from ._comparison_plot import draw_comparison as draw_comparison
    from ._compilation_cache import NO_COMPILATION_CACHE as NO_COMPILATION_CACHE
    from ._compilation_cache import cache_folder as cache_folder
    from ._compilation_cache import use_compilation_cache as use_compilation_cache
    from ._config import CYCLIC_MODES as CYCLIC_MODES
    from ._config import SCHEDULES as SCHEDULES
    from ._config import Config as Config
    from ._config import split_init as split_init
    from ._confusion import Confusion as Confusion
    from ._confusion import confusion as confusion
    from ._curves import draw_curves as draw_curves
    from ._divergence import Diverged as Diverged
    from ._entity_pairs import Entity as Entity
    from ._entity_pairs import name_error as name_error
    from ._entity_pairs import pair_entities as pair_entities
    from ._fit import fit as fit
    from ._hosts import Hosts as Hosts
    from ._hosts import current_hosts as current_hosts
    from ._join import joined as joined
    from ._loop import Training as Training
    from ._machine import describe_machine as describe_machine
    from ._manifest import SEEDS as SEEDS
    from ._manifest import RunError as RunError
    from ._manifest import kind_of_run as kind_of_run
    from ._manifest import read_run as read_run
    from ._mesh import make_mesh as make_mesh
    from ._mesh import parse_mesh as parse_mesh
    from ._metrics import Score as Score
    from ._metrics import Scores as Scores
    from ._metrics import entities as entities
    from ._metrics import score as score
    from ._model_settings import FINETUNING as FINETUNING
    from ._model_settings import for_finetuning as for_finetuning
    from ._model_settings import refuse_of_other as refuse_of_other
    from ._optimizers import kernels as kernels
    from ._optimizers import make_clipping as make_clipping
    from ._optimizers import make_optimizer as make_optimizer
    from ._optimizers import make_row_optimizer as make_row_optimizer
    from ._outcome import read_outcome as read_outcome
    from ._plan import Epoch as Epoch
    from ._plateau import Plateau as Plateau
    from ._plateau import make_plateau as make_plateau
    from ._progress import Progress as Progress
    from ._range_test import RangeTest as RangeTest
    from ._range_test import growing_rate as growing_rate
    from ._range_test import range_test as range_test
    from ._rate_plots import draw_range_test as draw_range_test
    from ._rate_plots import draw_rates as draw_rates
    from ._rate_plots import rate_curve as rate_curve
    from ._recorded_run import Job as Job
    from ._recorded_run import Reporting as Reporting
    from ._recorded_run import carry_out as carry_out
    from ._recorded_run import go_on_with as go_on_with
    from ._recorded_run import rates_made as rates_made
    from ._rows import RowUpdates as RowUpdates
    from ._run import RunFolder as RunFolder
    from ._run import read_status as read_status
    from ._run import refuse_taken as refuse_taken
    from ._schedules import Schedule as Schedule
    from ._schedules import make_momentum as make_momentum
    from ._schedules import make_schedule as make_schedule
    from ._seed_loop import announce_seed as announce_seed
    from ._seed_loop import begin_seed as begin_seed
    from ._seed_loop import each_seed as each_seed
    from ._seed_loop import go_on_with_seeds as go_on_with_seeds
    from ._seeds import SeedRuns as SeedRuns
    from ._seeds import is_of_seeds as is_of_seeds
    from ._seeds import read_seeds as read_seeds
    from ._seeds import seed_table as seed_table
    from ._seeds import seeds_of as seeds_of
    from ._seeds import shown_score as shown_score
    from ._seeds import summary as summary
    from ._setting import checked as checked
    from ._setting import encodes as encodes
    from ._setting import flag as flag
    from ._setting import setting as setting
    from ._settings_file import CONFIG as CONFIG
    from ._settings_file import read_settings as read_settings
    from ._settings_file import settings_in as settings_in
    from ._shared_run import agree_on as agree_on
    from ._shared_run import read_begun as read_begun
    from ._shared_run import take_run as take_run
    from ._sources import first_batch as first_batch
    from ._step import TrainState as TrainState
    from ._step import init_state as init_state
    from ._step import make_step as make_step
    from ._tag_scores import TagScores as TagScores
    from ._tag_scores import score_tags as score_tags
    from ._tensorboard import EventFile as EventFile
    from ._tensorboard import has_events as has_events
    from ._tensorboard import refuse_missing_tensorboard as refuse_missing_tensorboard
    from ._watch import exit_joined as exit_joined

__getattr__, __dir__, __all__ = attach(
    __name__,
    names={
        "_batches": ("epoch_end",),
        "_checkpoint": ("load_newest", "load_parameters", "save_parameters"),
        "_comparison": ("Compared", "differing", "not_comparable", "read_compared"),
        "_comparison_plot": ("draw_comparison",),
        "_compilation_cache": ("NO_COMPILATION_CACHE", "cache_folder", "use_compilation_cache"),
        "_config": ("CYCLIC_MODES", "SCHEDULES", "Config", "split_init"),
        "_confusion": ("Confusion", "confusion"),
        "_curves": ("draw_curves",),
        "_divergence": ("Diverged",),
        "_entity_pairs": ("Entity", "name_error", "pair_entities"),
        "_fit": ("fit",),
        "_hosts": ("Hosts", "current_hosts"),
        "_join": ("joined",),
        "_loop": ("Training",),
        "_machine": ("describe_machine",),
        "_manifest": ("SEEDS", "RunError", "kind_of_run", "read_run"),
        "_mesh": ("make_mesh", "parse_mesh"),
        "_model_settings": ("FINETUNING", "for_finetuning", "refuse_of_other"),
        "_metrics": ("Score", "Scores", "entities", "score"),
        "_optimizers": ("kernels", "make_clipping", "make_optimizer", "make_row_optimizer"),
        "_outcome": ("read_outcome",),
        "_plan": ("Epoch",),
        "_plateau": ("Plateau", "make_plateau"),
        "_progress": ("Progress",),
        "_range_test": ("RangeTest", "growing_rate", "range_test"),
        "_rate_plots": ("draw_range_test", "draw_rates", "rate_curve"),
        "_recorded_run": ("Job", "Reporting", "carry_out", "go_on_with", "rates_made"),
        "_rows": ("RowUpdates",),
        "_run": ("RunFolder", "read_status", "refuse_taken"),
        "_schedules": ("Schedule", "make_momentum", "make_schedule"),
        "_seed_loop": ("announce_seed", "begin_seed", "each_seed", "go_on_with_seeds"),
        "_seeds": (
            "SeedRuns",
            "is_of_seeds",
            "read_seeds",
            "seed_table",
            "seeds_of",
            "shown_score",
            "summary",
        ),
        "_setting": ("checked", "encodes", "flag", "setting"),
        "_settings_file": ("CONFIG", "read_settings", "settings_in"),
        "_sources": ("first_batch",),
        "_shared_run": ("agree_on", "read_begun", "take_run"),
        "_step": ("TrainState", "init_state", "make_step"),
        "_tag_scores": ("TagScores", "score_tags"),
        "_tensorboard": ("EventFile", "has_events", "refuse_missing_tensorboard"),
        "_watch": ("exit_joined",),
    },
)

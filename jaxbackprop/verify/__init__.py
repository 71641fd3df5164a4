"""Every operator of the catalogue held against autodiff, differences and, on request, the paper."""

from ._accuracy import AccuracyResult as AccuracyResult
from ._accuracy import measure as measure
from ._accuracy import run_accuracy as run_accuracy
from ._operators import CannotVerify as CannotVerify
from ._operators import verify as verify
from ._residuals import enlarged as enlarged
from ._residuals import kept_bytes as kept_bytes
from ._result import GradientResult as GradientResult
from ._run import run as run
from ._run import run_graph as run_graph

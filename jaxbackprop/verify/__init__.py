"""Every operator of the catalogue held against autodiff, differences and, on request, the paper."""

from ._operators import CannotVerify as CannotVerify
from ._operators import verify as verify
from ._result import GradientResult as GradientResult
from ._run import run as run

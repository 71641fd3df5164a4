"""Errors in units in the last place against the truth, beside those of autodiff of the plain formula."""

from ._measure import DTYPES as DTYPES
from ._measure import measure as measure
from ._measure import measure_operator as measure_operator
from ._result import AccuracyResult as AccuracyResult
from ._run import run_accuracy as run_accuracy

"""The correctness harness: is a hand-written VJP right and, if not, where and why. It knows no operator."""

from jaxbackprop._float64 import float64_on_cpu as float64_on_cpu

from ._api import Examination as Examination
from ._api import assert_vjp as assert_vjp
from ._api import check_pair as check_pair
from ._api import check_vjp as check_vjp
from ._api import examine as examine
from ._report import Finding as Finding
from ._report import Report as Report
from ._residuals import held_bytes as held_bytes
from ._session import Compared as Compared
from ._subject import CannotCheck as CannotCheck
from ._truth import Estimate as Estimate
from ._truth import Point as Point
from ._truth import Program as Program
from ._truth import extrapolated_differences as extrapolated_differences

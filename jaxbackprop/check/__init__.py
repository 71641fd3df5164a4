"""The correctness harness: is a hand-written VJP right and, if not, where and why. It knows no operator."""

from ._check import Examination as Examination
from ._check import assert_vjp as assert_vjp
from ._check import check_pair as check_pair
from ._check import check_vjp as check_vjp
from ._check import examine as examine
from ._report import Finding as Finding
from ._report import Report as Report
from ._subject import CannotCheck as CannotCheck
from ._trial import Compared as Compared
from ._truth import Estimate as Estimate
from ._truth import Point as Point
from ._truth import Program as Program
from ._truth import distance_to_hull as distance_to_hull
from ._truth import extrapolated_differences as extrapolated_differences
from ._truth import float64_on_cpu as float64_on_cpu
from ._truth import generalised_gradients as generalised_gradients
from ._truth import noise_floor as noise_floor
from ._truth import rounding_noise as rounding_noise

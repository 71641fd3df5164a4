"""The correctness harness: is a hand-written VJP right and, if not, where and why. It knows no operator."""

from ._api import assert_vjp as assert_vjp
from ._api import check_jvp as check_jvp
from ._api import check_pair as check_pair
from ._api import check_vjp as check_vjp
from ._api import examine as examine
from ._evaluator import Answer as Answer
from ._evaluator import Evaluator as Evaluator
from ._evaluator import Point as Point
from ._examine import Examination as Examination
from ._layout import CannotCheck as CannotCheck
from ._layout import Layout as Layout
from ._record import Compared as Compared
from ._report import Finding as Finding
from ._report import Report as Report
from .properties import held_bytes as held_bytes

"""The lecture's claims, each measured on this machine and judged by its figures.

Names load on first use: a judge imports nothing that trains.
"""

from typing import TYPE_CHECKING

from jaxbackprop._lazy import attach

if TYPE_CHECKING:
    from ._claim import FULL as FULL
    from ._claim import QUICK as QUICK
    from ._claim import Claim as Claim
    from ._claim import Effort as Effort
    from ._claim import Outcome as Outcome
    from ._claim import Verdict as Verdict
    from ._report import summary as summary
    from ._report import to_dict as to_dict
    from ._report import to_markdown as to_markdown
    from ._run import Result as Result
    from ._run import figures as figures
    from ._run import measure as measure
    from ._statistics import Difference as Difference
    from ._statistics import paired as paired
    from ._table import CLAIMS as CLAIMS
    from ._table import UNITS as UNITS

__getattr__, __dir__, __all__ = attach(
    __name__,
    names={
        "_claim": ("FULL", "QUICK", "Claim", "Effort", "Outcome", "Verdict"),
        "_report": ("summary", "to_dict", "to_markdown"),
        "_run": ("Result", "figures", "measure"),
        "_statistics": ("Difference", "paired"),
        "_table": ("CLAIMS", "UNITS"),
    },
)

"""Going on with what was stopped: one run, or the runs of several seeds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jaxbackprop.train import Reporting, is_of_seeds

from ._seeds import resume_seeds
from ._train import resume_run


def resume(run: str | os.PathLike[str], given: dict[str, Any], reporting: Reporting) -> Path:
    """Goes on with a run where it was stopped, to what it would have come to without.

    Args:
        run: its folder; or that of several seeds, whose missing runs then follow.
        given: settings that are to be as they were; how often to save may change.
        reporting: where progress, scores and warnings go.

    Returns:
        The folder; one that is finished is left as it is.

    Raises:
        RunError: the folder is no run or is damaged; or settings, data or vocabulary are not those that the
            run began with.
        DataError, MissingExtra, Diverged: see `train`.
    """
    return (resume_seeds if is_of_seeds(run) else resume_run)(run, given, reporting)

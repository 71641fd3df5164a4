"""A run as all the processes that train it together see it: one folder, one record, the same data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ._hosts import current_hosts
from ._manifest import read_run
from ._run import RunFolder
from ._setting import flag
from ._tensorboard import has_events, refuse_missing_tensorboard


def take_run(out: str | os.PathLike[str] | None, started: datetime, files: Mapping[str, Any]) -> RunFolder:
    """A new folder that holds these files; None takes one in ``runs/`` that is named by the time."""
    return RunFolder.of_all(
        lambda: RunFolder.take_dated("runs", started, files) if out is None else RunFolder.take(out, files)
    )


def read_begun(folder: RunFolder) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """What a run that has begun says of itself, read by process 0 for all.

    Returns:
        Its config.json and vocabulary.json, and whether it is finished.

    Raises:
        RunError: it is damaged.
        CannotRun: it has event files, which cannot be written here.
    """
    found = None
    if folder.writes:
        found = *read_run(folder.path, begun=True), folder.finished
        if not folder.finished and has_events(folder.path):
            refuse_missing_tensorboard()
    record, vocabulary, finished = current_hosts().share("run", found)
    return record, vocabulary, finished


def agree_on(machine: Mapping[str, Any], settings: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Looks whether all processes that train together have the same versions, settings and data.

    Args:
        machine: as `describe_machine` gives it.
        settings: by their names.
        data: checksums and the like, by what they are of.

    Raises:
        HostsError: they have not; it names the first difference.
    """
    versions = {f"version of {package}": value for package, value in machine["versions"].items()}
    flags = {flag(name): value for name, value in settings.items()}
    current_hosts().agree({**versions, "platform": machine["platform"], **flags, **data})

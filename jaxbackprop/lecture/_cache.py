"""Figures that have been measured, in the user's cache folder: a second run reads them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxbackprop._output import replace_whole
from jaxbackprop.train import cache_folder, describe_machine

from ._claim import Claim, Effort


class Cache:
    """What was measured on this machine with these versions.

    A figure is found again where the claim, the effort, the package's source, the versions of what it runs
    on, the device and the number of threads are the same.

    Args:
        effort: of the measurements.
        warn: told, in one line and once, where figures cannot be kept.
    """

    def __init__(self, effort: Effort, warn: Callable[[str], None]) -> None:
        self._effort, self._warn = effort, warn
        try:
            compiled = cache_folder(os.environ, sys.platform)
        except RuntimeError as error:  # the user has no home
            self._folder: Path | None = None
            self._warn_once(error)
        else:
            self._folder = compiled.parents[1] / "lecture" / compiled.name

    def read(self, claim: Claim) -> dict[str, Any] | None:
        """The claim's figures; None where they are not there, or cannot be read."""
        if self._folder is None:
            return None
        try:
            kept = json.loads(self._path(self._folder, claim).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        figures = kept.get("figures") if isinstance(kept, dict) else None
        return figures if isinstance(figures, dict) else None

    def write(self, claim: Claim, figures: dict[str, Any]) -> None:
        """Keeps the claim's figures."""
        if self._folder is None:
            return
        kept = json.dumps({"claim": claim.name, "effort": self._effort.name, "figures": figures})
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_whole(
                self._path(self._folder, claim), lambda beside: beside.write_text(kept, encoding="utf-8")
            )
        except OSError as error:
            self._warn_once(error)

    def _path(self, folder: Path, claim: Claim) -> Path:
        settings = [claim.name, dataclasses.asdict(self._effort), describe_machine(), _source()]
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return folder / f"{claim.name}-{key[:16]}.json"

    def _warn_once(self, error: Exception) -> None:
        self._folder = None
        self._warn(f"figures are not kept, so the next run measures them again: {error}")


@functools.cache
def _source() -> str:
    """A checksum of the package's source: what is measured, and how."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return digest.hexdigest()

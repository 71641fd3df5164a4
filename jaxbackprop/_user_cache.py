"""Where this package may keep files that can be had again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def user_cache(environment: Mapping[str, str], system: str) -> Path:
    """`jaxbackprop` in the user's cache folder.

    That is `XDG_CACHE_HOME`, else ``~/.cache``; macOS: ``~/Library/Caches``; Windows: ``%LOCALAPPDATA%``.

    Args:
        environment: the environment's variables.
        system: as `sys.platform`.

    Raises:
        RuntimeError: the user has no home.
    """
    # The XDG specification: a relative path is to be ignored.
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        if system == "darwin":
            base = Path.home() / "Library" / "Caches"
        elif system == "win32" and environment.get("LOCALAPPDATA"):
            base = Path(environment["LOCALAPPDATA"])
        else:
            base = Path.home() / ".cache"
    return base / "jaxbackprop"

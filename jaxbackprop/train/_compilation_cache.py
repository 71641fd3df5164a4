"""Compiled programs on disk: a second run that compiles the same takes them from the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from jaxbackprop._user_cache import user_cache

NO_COMPILATION_CACHE = "JAXBACKPROP_NO_COMPILATION_CACHE"
"""The environment variable that, where it is set, turns the cache off."""


def use_compilation_cache(warn: Callable[[str], None]) -> Path | None:
    """Turns on jax's persistent compilation cache, for all that this process compiles from now on.

    The folder is `jaxbackprop` in the user's cache folder (`XDG_CACHE_HOME`, else ``~/.cache``; macOS:
    ``~/Library/Caches``; Windows: ``%LOCALAPPDATA%``), for the user's eyes only, and may be deleted at any
    time. Processors are kept apart in it, for a home may be shared by several machines. A folder that the
    user has given to jax itself (`JAX_COMPILATION_CACHE_DIR`) is left to it.

    Args:
        warn: told, in one line, where the folder cannot be written; programs are then compiled each time.

    Returns:
        The folder; None where there is none, or the environment variable JAXBACKPROP_NO_COMPILATION_CACHE
        is set to anything but the empty string.
    """
    if os.environ.get(NO_COMPILATION_CACHE):
        return None

    import jax

    given: str | None = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if given:
        return Path(given)
    try:
        folder = cache_folder(os.environ, sys.platform)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or error
        warn(f"no compilation cache, so this run compiles all its programs: {said}{_of(error)}")
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # By default jax keeps only what took a second or more: here the many small programs count too.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _of(error: Exception) -> str:
    name = getattr(error, "filename", None)
    return "" if name is None else f": {os.fspath(name)}"


def cache_folder(environment: Mapping[str, str], system: str) -> Path:
    """Where compiled programs for this processor are kept.

    Args:
        environment: the environment's variables.
        system: as `sys.platform`.

    Raises:
        RuntimeError: the user has no home.
    """
    return user_cache(environment, system) / "compiled" / _processor()


def _processor() -> str:
    """What a compiled program depends on beside what jax looks at itself, in a few letters."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count()
    described = [platform.machine(), platform.processor(), str(cores)]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    break  # the next core
                if line.startswith(("model name", "flags", "Features")):
                    described.append(line)
    except OSError:
        pass
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:12]

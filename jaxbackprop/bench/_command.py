"""`jaxbackprop bench`: benchmarks by name, one after another, once the limits of the machine are known."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from rich.console import Console

from jaxbackprop._output import print_whole, write_json

from ._machine import Limits, limits, wait_until_idle
from ._measure import Curve, Row
from ._plot import write_plot
from ._report import CannotBench, refuse_bad_paths, summary, table_of
from ._torch import torch_device, torch_gemm

# Those with peers in torch.
_BESIDE_TORCH = {"rows", "head", "rnn", "bert"}
NAMES = ("rows", "head", "rnn", "ops", "check", "train", "startup")
# Those that take minutes, and run where they are asked for.
ALONE = ("bert",)
# Of the labelled rules of the corpus where all benchmarks run: the whole takes half an hour by itself.
_SOME_RULES = 24
_PATIENCE_SECONDS, _LESS = 60.0, 10.0


def run(
    names: Sequence[str] = NAMES,
    *,
    json_path: str | None = None,
    plot_path: str | None = None,
    console: Console,
) -> list[dict[str, Any]]:
    """Runs benchmarks, shows a table each and writes the files.

    Args:
        names: which, of `NAMES` and `ALONE`.
        json_path: file for the rows, written whole or not at all.
        plot_path: file for the growth curves; its suffix says which format. Benchmarks without curves are
            shown by their ratios.
        console: where progress and tables are shown.

    Returns:
        The rows, as the file holds them.

    Raises:
        CannotBench: an unknown name, or a bad suffix.
        OSError: a file cannot be written.
    """
    if unknown := [name for name in names if name not in (*NAMES, *ALONE)]:
        raise CannotBench(f"no benchmark {unknown[0]!r}; the benchmarks are {', '.join((*NAMES, *ALONE))}")
    refuse_bad_paths(json_path, plot_path)
    say = printing_once(console)
    machine = describe_machine()
    console.print(machine, markup=False, highlight=False)
    patience = _PATIENCE_SECONDS
    if not wait_until_idle(say, patience=patience):
        patience = _LESS
    found = limits()
    console.print(
        f"its limits: {found.bandwidth / 1e9:.1f} GB/s into an existing buffer, "
        f"{found.gemm / 1e9:,.0f} GFLOP/s in a product of two 2048 × 2048 matrices (float32)"
        f"{_of_torch(names)}\n",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    every: list[Row] = []
    lines: list[dict[str, Any]] = []
    curves: list[Curve] = []
    for number, name in enumerate(names):
        if number and not wait_until_idle(say, patience=patience):
            patience = _LESS
        rows, plain, drawn = _one(name, found, say, console, curves=plot_path is not None)
        every += rows
        lines += plain
        curves += drawn
    console.print(summary(every), markup=False, highlight=False, soft_wrap=True)
    if any(row.disturbed for row in every):
        console.print("busy: others used the machine meanwhile", markup=False, highlight=False)
    if json_path is not None:
        write_json(json_path, lines)
    if plot_path is not None:
        write_plot(plot_path, curves, every, machine)
    return lines


def _of_torch(names: Sequence[str]) -> str:
    """How fast torch multiplies the same matrices: a part of every ratio to it that is not ours to win."""
    device = torch_device(lambda line: None) if _BESIDE_TORCH & set(names) else None
    return "" if device is None else f"; torch: {torch_gemm(device) / 1e9:,.0f} GFLOP/s"


def _one(
    name: str, found: Limits, say: Callable[[str], None], console: Console, *, curves: bool
) -> tuple[list[Row], list[dict[str, Any]], list[Curve]]:
    """One benchmark: its rows, what the file holds of it, and its curves where they are asked for."""
    if name == "check":
        return _check(say, console)
    module = _module(name)
    rows: list[Row] = getattr(module, name)(found, say)
    show(name, rows, console)
    drawn: list[Curve] = []
    if curves and hasattr(module, "curves"):
        drawn = module.curves(found, say)
    return rows, [row.as_json() for row in rows], drawn


def _module(name: str) -> ModuleType:
    return import_module(f"._{name}", __package__)


def _check(
    say: Callable[[str], None], console: Console
) -> tuple[list[Row], list[dict[str, Any]], list[Curve]]:
    from ._check import CORPUS, check
    from ._check_rows import json_rows, rows_of

    try:
        found = check(CORPUS, limit=_SOME_RULES, console=console)
    except CannotBench as error:
        say(f"check: left out ({error})")
        return [], [], []
    rows = rows_of(found)
    show("check", rows, console)
    return rows, json_rows(found), []


def show(name: str, rows: Sequence[Row], console: Console) -> None:
    """A benchmark's table."""
    console.print(name, style="bold", highlight=False)
    if rows:
        print_whole(console, table_of(rows), highlight=False)
    else:
        console.print("nothing to be measured here", highlight=False)
    console.print()


def printing_once(console: Console) -> Callable[[str], None]:
    """Prints a line, but not a second time: several benchmarks may find the same thing missing."""
    printed: set[str] = set()

    def say(line: str) -> None:
        what = line.partition(":")[0] if line.startswith("torch is not installed") else line
        if what not in printed:
            printed.add(what)
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return say


def describe_machine() -> str:
    """The device, the number of cores and the versions, in one line."""
    import jax

    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count()
    device = jax.devices()[0]
    what = (
        _processor_name() if device.platform == "cpu" else f"{device.device_kind}, beside {_processor_name()}"
    )
    return f"{what}, {cores} cores, jax {jax.__version__}"


def _processor_name() -> str:
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

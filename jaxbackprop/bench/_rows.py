"""`bench rows`: training word vectors by the rows that a batch touches."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ._machine import Limits
from ._measure import Curve, Peer, Row, bytes_row, side_by_side
from ._memory import peak_memory, temporary_bytes, temporary_rows
from ._row_peers import (
    CLASSES,
    COLUMNS,
    HIDDEN,
    OPTIMIZERS,
    WINDOW,
    abstract,
    batches,
    by_rows,
    dense,
    start,
    training,
    training_in_torch,
)
from ._torch import torch_device

_SMALL, _LARGE, _LARGEST = 10_000, 1_000_000, 10_000_000
_BATCH, _FEW = 1024, 128
_OVER_DENSE = {"sgd": None, "adagrad": 50.0, "adam": 50.0}
_OVER_TORCH = {"sgd": 1.2, "adagrad": 1.5, "adam": 2.0}
# Time at a million rows over time at ten thousand, at most.
_GROWTH = 1.8
_TEMPORARIES = 10_000_000
_CALLED = {"sgd": "SGD", "adagrad": "Adagrad", "adam": "Adam (lazy)"}


def rows(limits: Limits, say: Callable[[str], None]) -> list[Row]:
    """A whole training step beside optax on the dense gradient and torch on the sparse one.

    A window classifier: 5 words of 100 numbers, 100 hidden units, 9 classes, ids with the frequencies of
    words.

    Args:
        limits: of the machine.
        say: told what cannot be measured.
    """
    torch = torch_device(say)
    found = []
    for size, batch, names in ((_SMALL, _BATCH, OPTIMIZERS), (_LARGE, _BATCH, OPTIMIZERS)):
        for name in names:
            found += of_case(name, size, batch, limits, torch=torch, bars=True)
            # The compiled steps and what they hold would pile up otherwise.
            jax.clear_caches()
    found += of_case("adam", _LARGE, _FEW, limits, torch=torch)
    for name in OPTIMIZERS:
        found += growth(name, _SMALL, _LARGE, _BATCH)
        found += memory(name, _LARGE, _BATCH)
    return [*found, *largest(_LARGEST, say)]


def of_case(
    name: str,
    size: int,
    batch: int,
    limits: Limits,
    *,
    torch: str | None,
    bars: bool = False,
    seconds: float = 2.0,
) -> list[Row]:
    """One optimizer and one table beside its peers.

    Args:
        name: of `OPTIMIZERS`.
        size: rows of the table.
        batch: windows.
        limits: of the machine.
        torch: torch's device, or None where it is left out.
        bars: whether the figures that are asked for apply.
        seconds: about how long to measure each.
    """
    over_dense = 1.0 if size <= _SMALL else _OVER_DENSE[name]
    peers = [Peer("optax dense", training(dense(name), size, batch), over_dense if bars else None)]
    if torch is not None:
        over_torch = _OVER_TORCH[name] if bars and size > _SMALL else None
        peers.append(Peer("torch sparse", training_in_torch(name, size, batch, torch), over_torch))
    return side_by_side(
        "rows",
        f"{_CALLED[name]}, V = {size:,}, batch {batch}",
        Peer("ours", training(by_rows(name), size, batch)),
        peers,
        seconds=seconds,
        bound_ms=bound_ms(name, size, batch, limits),
    )


def bound_ms(name: str, size: int, batch: int, limits: Limits) -> float:
    """What the products and the touched rows need: no step can be faster.

    Three products a layer (one forward, two back), the vectors read and their gradient written once a lookup,
    and table and state read and written once a distinct id.
    """
    flops = 3 * 2 * batch * (WINDOW * COLUMNS * HIDDEN + HIDDEN * CLASSES)
    distinct = float(np.mean([len(np.unique(ids)) for ids in batches(size, batch)[0]]))
    arrays = {"sgd": 1, "adagrad": 2, "adam": 3}[name]
    row = 4 * COLUMNS
    moved = 2 * row * batch * WINDOW + 2 * row * distinct * arrays
    return 1e3 * (flops / limits.gemm + moved / limits.bandwidth)


def growth(name: str, small: int, large: int, batch: int, *, seconds: float = 2.0) -> list[Row]:
    """Our step on a large table beside our step on a small one."""
    return side_by_side(
        "rows",
        f"{_CALLED[name]}, V = {large:,}, batch {batch}: growth",
        Peer("ours", training(by_rows(name), large, batch)),
        [Peer(f"ours, V = {small:,}", training(by_rows(name), small, batch), 1 / _GROWTH)],
        seconds=seconds,
    )


def memory(name: str, size: int, batch: int) -> list[Row]:
    """What a step takes beside its arguments, and how much of table and state it copies."""
    case = f"{_CALLED[name]}, V = {size:,}, batch {batch}"
    found = []
    ours, peer = (
        step.lower(*abstract(optimizer, size, batch)).compile()
        for optimizer, step in (by_rows(name), dense(name))
    )
    taken = temporary_bytes(ours)
    if taken is not None:
        said = f"{case}: temporary memory"
        found.append(bytes_row("rows", said, "10 MB allowed", taken, _TEMPORARIES, 1.0))
    found += temporary_rows("rows", case, "optax dense", ours, peer)
    copied, whole = not_in_place(name, size, batch)
    found.append(bytes_row("rows", f"{case}: not updated in place", "table and state", copied, whole, whole))
    return found


def not_in_place(name: str, size: int, batch: int) -> tuple[int, int]:
    """Bytes of table and state that a step writes to another place than theirs, and bytes of all of them."""
    optimizer, step = by_rows(name)
    ids, labels = batches(size, batch)
    carry = jax.block_until_ready(start(optimizer, size))

    def tables() -> list[jax.Array]:
        return [leaf for leaf in jax.tree.leaves(carry) if leaf.shape == (size, COLUMNS)]

    before = [leaf.unsafe_buffer_pointer() for leaf in tables()]
    carry, _ = step(carry, jnp.asarray(ids[0]), jnp.asarray(labels[0]))
    after = tables()
    moved = [
        leaf.nbytes
        for leaf, pointer in zip(after, before, strict=True)
        if leaf.unsafe_buffer_pointer() != pointer
    ]
    return sum(moved), sum(leaf.nbytes for leaf in after)


def largest(size: int, say: Callable[[str], None], *, steps: int = 50) -> list[Row]:
    """Peak memory of a process that trains a table of so many rows by Adagrad, beside what it must hold."""
    held = 2 * 4 * COLUMNS * size
    available = _available_memory()
    if available is not None and available < 1.15 * held:
        say(
            f"rows: a table of {size:,} rows and its Adagrad state take {held / 1e9:.1f} GB, "
            f"{available / 1e9:.1f} GB are free: left out"
        )
        return []
    try:
        peak = peak_memory("jaxbackprop.bench._row_peers:train_large", str(size), str(steps))
    except (RuntimeError, OSError) as error:
        say(f"rows: no peak memory of a table of {size:,} rows: {error}")
        return []
    case = f"Adagrad, V = {size:,}, batch {_BATCH}, {steps} steps: peak memory"
    return [bytes_row("rows", case, "table and state alone", peak, held)]


def curves(limits: Limits, say: Callable[[str], None]) -> list[Curve]:
    """Time against V, for each optimizer."""
    torch = torch_device(lambda text: None)
    sizes = (_SMALL, 100_000, _LARGE)
    found = []
    for name in OPTIMIZERS:
        times: dict[str, list[float]] = {}
        for size in sizes:
            measured = of_case(name, size, _BATCH, limits, torch=torch, seconds=0.5)
            times.setdefault("ours", []).append(measured[0].ours)
            for row in measured:
                times.setdefault(row.peer, []).append(row.other)
            jax.clear_caches()
        found.append(Curve(f"Training step, {_CALLED[name]}", "rows of the table V", sizes, times))
    return found


def _available_memory() -> int | None:
    """Bytes that can be had without swapping, or None where the system does not say."""
    if jax.default_backend() != "cpu":
        statistics = jax.devices()[0].memory_stats()
        return None if statistics is None else statistics["bytes_limit"] - statistics["bytes_in_use"]
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None

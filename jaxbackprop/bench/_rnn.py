"""`bench rnn`: all gradients of a recurrent layer, beside autodiff of a scan and torch's layer.

The scan is a function of the same arrays, sequences first; one more has them time first, as it likes best,
and so has torch.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxbackprop import ops

from ._machine import Limits
from ._measure import Curve, Peer, Row, bytes_row, side_by_side, waiting
from ._memory import temporary_bytes, temporary_rows
from ._torch import to_its_end, torch_device

OURS, SCAN, TORCH = "ours", "jax.grad of lax.scan", "torch nn.RNN"
UNROLLED, TIME_FIRST = "jax.grad of unrolled lax.scan", "jax.grad of lax.scan, time first"
_SEQUENCES, _UNITS = 64, 256
# Time beside peers: least ratio asked for, by the number of steps.
_BARS: dict[int, dict[str, float]] = {
    128: {SCAN: 1.5, UNROLLED: 1.3, TORCH: 1.6},
    1024: {SCAN: 1.2, TORCH: 1.5},
}
_LESS_MEMORY = 1 / 0.75
_UNROLLS = (2, 4, 8, 16)
# Lengths for memory that grows as the root: each four times the one before, which is to cost twice as much.
_RECOMPUTED = (256, 1024, 4096)
_GROWTH = (64, 128, 256, 512, 1024)
_LAST_OF_ALL, _LAST_SCAN, _RECOMPUTING = (
    "last state, all kept",
    "last state, jax.grad of lax.scan",
    "ours, √T",
)

Gradients = Callable[..., tuple[Array, ...]]


def rnn(limits: Limits, say: Callable[[str], None]) -> list[Row]:
    """Time and temporary memory of one call's gradients by inputs, weights, bias and first state.

    Args:
        limits: of the machine.
        say: told the size, how far the scan was unrolled, and what cannot be measured.
    """
    say(f"rnn: {_SEQUENCES} sequences, {_UNITS} inputs and units, tanh, float32; T steps")
    found = []
    for steps, bars in _BARS.items():
        found += at_length(steps, bars, limits, say)
        jax.clear_caches()
    return found + recomputation_rows()


def at_length(
    steps: int,
    bars: dict[str, float],
    limits: Limits,
    say: Callable[[str], None],
    *,
    sequences: int = _SEQUENCES,
    units: int = _UNITS,
    seconds: float = 4.0,
) -> list[Row]:
    """The rows of one number of steps.

    Args:
        steps: T.
        bars: the least ratios asked for, by peer.
        limits: of the machine.
        say: told how far the scan was unrolled, and what cannot be measured.
        sequences: how many at once.
        units: of the state, and features of an input.
        seconds: about how long to measure each.
    """
    given = arguments(steps, sequences, units)
    turned = tuple(jnp.swapaxes(a, 0, 1) if a.ndim == 3 else a for a in given)
    ours, scan = (_compiled(gradients_of(f), given) for f in (ops.rnn, scan_states))
    time_first = _compiled(gradients_of(time_first_states), turned)
    unroll, unrolled = _best_unrolled(given)
    say(f"rnn, T = {steps}: of the scans unrolled {', '.join(map(str, _UNROLLS))} times, {unroll} is fastest")
    peers = [
        Peer(SCAN, waiting(scan, given), bars.get(SCAN)),
        Peer(UNROLLED, waiting(unrolled, given), bars.get(UNROLLED)),
        Peer(TIME_FIRST, waiting(time_first, turned), bars.get(TIME_FIRST)),
    ]
    device = torch_device(say)
    if device is not None:
        peers.append(Peer(TORCH, torch_call(turned, device), bars.get(TORCH)))
    # The states' and the inputs' product forwards, each with two backwards.
    operations = 2 * 3 * 2 * steps * sequences * units**2
    case = f"T = {steps}"
    found = side_by_side(
        *("rnn", f"{case}: all gradients", Peer(OURS, waiting(ours, given)), peers),
        seconds=seconds,
        bound_ms=1e3 * operations / limits.gemm,
    )
    for name, peer in ((SCAN, scan), (TIME_FIRST, time_first)):
        found += temporary_rows("rnn", case, name, ours, peer, _LESS_MEMORY)
    return found


def recomputation_rows(
    lengths: Sequence[int] = _RECOMPUTED, *, sequences: int = _SEQUENCES, units: int = _UNITS
) -> list[Row]:
    """Temporary memory where states are computed again and the last one alone is returned; nothing is run."""
    found = []
    for steps in lengths:
        kept, recomputed, scan = (
            last_state_bytes(steps, sequences, units, name)
            for name in (_LAST_OF_ALL, _RECOMPUTING, _LAST_SCAN)
        )
        if recomputed is None or kept is None or scan is None:
            return []
        case = f"T = {steps}, last state, √T checkpoints: temporary memory"
        found.append(bytes_row("rnn", case, "ours, all states kept", recomputed, kept))
        found.append(bytes_row("rnn", case, SCAN, recomputed, scan))
    return found


def curves(limits: Limits, say: Callable[[str], None]) -> list[Curve]:
    """Time and temporary memory against the number of steps."""
    times: dict[str, list[float]] = {}
    for steps in _GROWTH:
        for row in at_length(steps, {}, limits, lambda _: None, seconds=0.7):
            if row.unit == "ms":
                times.setdefault(row.peer, []).append(row.other)
                if row.peer == SCAN:
                    times.setdefault(OURS, []).append(row.ours)
        jax.clear_caches()
    size = f"{_SEQUENCES} sequences of {_UNITS} units"
    found = [Curve(f"all gradients of a recurrent layer, {size}", "steps T", _GROWTH, times)]
    names = (_RECOMPUTING, _LAST_OF_ALL, _LAST_SCAN)
    taken = {
        name: [last_state_bytes(steps, _SEQUENCES, _UNITS, name) for steps in _RECOMPUTED] for name in names
    }
    if any(None in column for column in taken.values()):
        return found
    megabytes = {name: [(n or 0) / 1e6 for n in column] for name, column in taken.items()}
    title = f"temporary memory, gradients of the last state, {size}"
    return [*found, Curve(title, "steps T", _RECOMPUTED, megabytes, y_label="megabytes")]


# ---- who does it ------------------------------------------------------------------------------------------


def arguments(steps: int, sequences: int, units: int) -> tuple[Array, ...]:
    """Inputs, both weights, bias, first state, and the cotangent of all states."""
    rng = np.random.default_rng(0)
    scale = 1 / units**0.5
    shapes = ((sequences, steps, units), (units, units), (units, units), (units,), (sequences, units))
    scales = (1.0, scale, scale, scale, 1.0)
    drawn = [k * rng.uniform(-1, 1, shape) for shape, k in zip(shapes, scales, strict=True)]
    drawn.append(rng.uniform(-1, 1, (sequences, steps, units)))
    return tuple(jnp.asarray(a, jnp.float32) for a in drawn)


def gradients_of(states: Callable[..., Array]) -> Gradients:
    """Gradients of `arguments` but the last, through a function from those to all states."""

    def gradients(*given: Array) -> tuple[Array, ...]:
        *args, dy = given
        return jax.vjp(states, *args)[1](dy)

    return gradients


def scan_states(x: Array, W_x: Array, W_h: Array, b: Array, h0: Array, *, unroll: int = 1) -> Array:
    """The states (B, T, m) for inputs (B, T, n), by a scan."""
    return jnp.swapaxes(time_first_states(jnp.swapaxes(x, 0, 1), W_x, W_h, b, h0, unroll=unroll), 0, 1)


def time_first_states(x: Array, W_x: Array, W_h: Array, b: Array, h0: Array, *, unroll: int = 1) -> Array:
    """The states (T, B, m) for inputs (T, B, n), as a scan is written."""

    def step(h: Array, x_t: Array) -> tuple[Array, Array]:
        h = jnp.tanh(x_t @ W_x.T + h @ W_h.T + b[None])
        return h, h

    return lax.scan(step, h0, x, unroll=unroll)[1]


def torch_call(turned: Sequence[Array], device: str) -> Callable[[], tuple[Any, ...]]:
    """The same by torch's layer, from arguments with time first."""
    import torch

    x, W_x, W_h, b, h0, dy = (torch.from_numpy(np.array(a)).to(device) for a in turned)
    layer = torch.nn.RNN(x.shape[-1], h0.shape[-1], nonlinearity="tanh", device=device)
    with torch.no_grad():
        for parameter, value in (
            (layer.weight_ih_l0, W_x),
            (layer.weight_hh_l0, W_h),
            (layer.bias_ih_l0, b),
            (layer.bias_hh_l0, torch.zeros_like(b)),
        ):
            parameter.copy_(value)
    h0 = h0[None].requires_grad_()
    x.requires_grad_()
    wrt = (x, layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, h0)

    def call() -> tuple[Any, ...]:
        return torch.autograd.grad(layer(x, h0)[0], wrt, dy)

    return to_its_end(call, device)


def last_state_bytes(steps: int, sequences: int, units: int, name: str) -> int | None:
    """Temporary memory of all gradients of the last state; nothing is run."""
    of_all: dict[str, Callable[..., Array]] = {
        _LAST_OF_ALL: functools.partial(ops.rnn, return_sequences=False),
        _RECOMPUTING: functools.partial(ops.rnn, return_sequences=False, checkpoint="sqrt"),
        _LAST_SCAN: lambda *args: scan_states(*args)[:, -1],
    }
    shapes = ((sequences, steps, units), (units, units), (units, units), (units,), (sequences, units))
    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (*shapes, (sequences, units))]
    return temporary_bytes(_compiled(gradients_of(of_all[name]), given))


def _best_unrolled(given: Sequence[Array]) -> tuple[int, jax.stages.Compiled]:
    """The number of steps a round of the fastest scan, and that scan, compiled."""
    scans = {
        unroll: _compiled(gradients_of(functools.partial(scan_states, unroll=unroll)), given)
        for unroll in _UNROLLS
    }
    best = dict.fromkeys(scans, float("inf"))
    for _ in range(4):
        for unroll, scan in scans.items():
            began = time.perf_counter()
            jax.block_until_ready(scan(*given))
            best[unroll] = min(best[unroll], time.perf_counter() - began)
    unroll = min(best, key=lambda unroll: best[unroll])
    return unroll, scans[unroll]


def _compiled(function: Callable[..., Any], given: Sequence[Any]) -> jax.stages.Compiled:
    return jax.jit(function).lower(*given).compile()

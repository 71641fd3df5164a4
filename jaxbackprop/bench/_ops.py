"""`bench ops`: every operator's hand-written gradient beside autodiff's of the usual formula.

Inside one jit XLA fuses either, so that time hardly differs. What differs is what is kept where the compiler
cannot see across: between the forward and the backward pass of a checkpoint, a scan or two jits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.stages import Compiled

from jaxbackprop._specs import real
from jaxbackprop.ops.catalogue import CATALOGUE, Case, Operator
from jaxbackprop.verify import enlarged, kept_bytes

from ._graph_functions._ours import operator_function
from ._machine import Limits
from ._measure import Peer, Row, bytes_row, side_by_side
from ._memory import temporary_rows

AUTODIFF = "jax.grad, usual formula"
# Numbers in the largest argument: beyond the caches where entries do not mix, else a call of a millisecond or
# so. Lookups return many times as much.
_ENTRYWISE, _OTHER, _LOOKUP = 1 << 22, 1 << 18, 1 << 14
_SECONDS = 0.4
# An input of 16.8 MB, and how many times as much autodiff keeps as ours is to keep.
_KEPT_SHAPE = (1024, 4096)
_KEPT_BARS = {"tanh": 2.0, "hardtanh": 8.0, "relu": 4.0, "gelu": 5.0, "silu": 3.0, "max": 4096.0}


def ops(limits: Limits, say: Callable[[str], None]) -> list[Row]:
    """Three rows an operator: time of value and gradient, temporary memory, what is kept for the way back.

    Args:
        limits: of the machine.
        say: told what cannot be measured.
    """
    found = []
    for row in CATALOGUE:
        found += of_operator(row, limits)
        # Compiled programs pile up otherwise.
        jax.clear_caches()
    return found


def of_operator(
    row: Operator, limits: Limits, *, numbers: int | None = None, seconds: float = _SECONDS
) -> list[Row]:
    """The rows of one operator.

    Args:
        row: of the catalogue.
        limits: of the machine.
        numbers: in its largest argument, at most; None for as many as make it worth measuring.
        seconds: about how long to measure each of the two.
    """
    if numbers is None:
        numbers = _usual_numbers(row)
    case = row.cases[0]
    # Chunks of a few tokens are there to be tested; nobody trains with them.
    case = dataclasses.replace(
        case, keywords={key: value for key, value in case.keywords.items() if key != "chunk"}
    )
    plain = dataclasses.replace(row, op=row.oracle)
    (ours, args), (peer, _) = (_compiled(which, case, row.name, numbers) for which in (row, plain))
    shape = next(
        (leaf.shape for leaf in jax.tree.leaves(args) if jnp.issubdtype(leaf.dtype, jnp.floating)), ()
    )
    said = f"{row.name} of {' × '.join(map(str, shape)) or 'one number'}"
    found = side_by_side(
        "ops",
        said,
        Peer("ours", lambda: jax.block_until_ready(ours(*args))),
        [Peer(AUTODIFF, lambda: jax.block_until_ready(peer(*args)))],
        seconds=seconds,
        bound_ms=_bound_ms((ours, peer), limits),
    )
    found += temporary_rows("ops", said, AUTODIFF, ours, peer)
    return [*found, kept_row(row)]


def kept_row(row: Operator) -> Row:
    """Bytes that an operator keeps for the backward pass, beside autodiff; shapes tell, nothing is run."""
    case = row.cases[0]
    if row.name in _KEPT_BARS:
        size = "an input of 16.8 MB"
        case = dataclasses.replace(case, arguments=(real(_KEPT_SHAPE), *case.arguments[1:]))
    else:
        size, case = "longer axes", enlarged(case)
    return bytes_row(
        "ops",
        f"{row.name}, {size}: kept for the backward pass",
        AUTODIFF,
        *kept_bytes(row, case),
        _KEPT_BARS.get(row.name, 1.0),
    )


def _usual_numbers(row: Operator) -> int:
    if row.family in ("embedding", "window"):
        return _LOOKUP
    return _ENTRYWISE if row.elementwise or row.family == "activations" else _OTHER


def _compiled(row: Operator, case: Case, name: str, numbers: int) -> tuple[Compiled, tuple[Any, ...]]:
    """Value and gradients of a weighted sum of what the operator returns, compiled, and its arguments."""
    function = operator_function(row, case, name, numbers)
    f, args = function.build("bench")
    args = jax.tree.map(jnp.asarray, args)
    return jax.jit(jax.value_and_grad(f, function.argnums)).lower(*args).compile(), args


def _bound_ms(programs: tuple[Compiled, ...], limits: Limits) -> float | None:
    """The machine's limit: arguments read and results written once, and the least arithmetic of the two."""
    analysis = programs[0].memory_analysis()
    if analysis is None:
        return None
    moved = analysis.argument_size_in_bytes + analysis.output_size_in_bytes
    operations = min(_operations(program) for program in programs)
    return 1e3 * max(moved / limits.bandwidth, operations / limits.gemm)


def _operations(compiled: Compiled) -> float:
    cost = compiled.cost_analysis()
    return float(cost.get("flops", 0.0)) if isinstance(cost, dict) else 0.0

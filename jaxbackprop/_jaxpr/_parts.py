"""The parameters of loops, choices, checkpoints and maps over devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from ._program import Equation, Program, opened


class ScanParts(NamedTuple):
    """A loop with a known number of steps.

    Its operands, and its body's arguments: the constants, what is carried, what comes with the step. Its
    results, and its body's: what is carried on, what comes out with the step.

    Attributes:
        body: the program of one step.
        constants: how many operands all steps share.
        carried: how many are carried.
        length: the number of steps.
        reverse: whether it runs from the last step to the first.
        unroll: how many steps are compiled as one.
    """

    body: Program
    constants: int
    carried: int
    length: int
    reverse: bool
    unroll: int | bool


def scan_parts(equation: Equation) -> ScanParts:
    """The parts of a scan."""
    params = equation.params
    body, _ = opened(params["jaxpr"])

    # Releases of JAX count the operands in different parameters; the ranks tell them apart in all. What comes
    # step by step has one axis more outside.
    def whole(outer: Iterable[Any], inner: Iterable[Any]) -> int:
        return sum(len(a.aval.shape) == len(b.aval.shape) for a, b in zip(outer, inner, strict=True))

    carried = whole(equation.outvars, body.outvars)
    constants = whole(equation.invars, body.invars) - carried
    length, reverse = int(params["length"]), bool(params["reverse"])
    return ScanParts(params["jaxpr"], constants, carried, length, reverse, params.get("unroll", 1))


class WhileParts(NamedTuple):
    """A loop that ends on a condition.

    Its operands: the condition's constants, the body's constants, what is carried.

    Attributes:
        condition: whether there is another step: a program of its constants and what is carried.
        body: one step: a program of its constants and what is carried.
        condition_constants: how many operands the condition alone takes.
        body_constants: how many the body alone takes.
    """

    condition: Program
    body: Program
    condition_constants: int
    body_constants: int


def while_parts(equation: Equation) -> WhileParts:
    """The parts of a while loop."""
    names = ("cond_jaxpr", "body_jaxpr", "cond_nconsts", "body_nconsts")
    return WhileParts(*(equation.params[name] for name in names))


def branches(equation: Equation) -> tuple[Program, ...]:
    """The programs of a cond: of all operands but the first, which says by number which one runs."""
    return tuple(equation.params["branches"])


class CheckpointParts(NamedTuple):
    """A checkpointed function.

    Attributes:
        body: its program.
        policy: jax.checkpoint's: whether to save what a primitive computes; None saves nothing.
        prevent_cse: whether XLA must be kept from using the forward pass's values after all.
    """

    body: Program
    policy: Callable[..., Any] | None
    prevent_cse: bool


def checkpoint_parts(equation: Equation) -> CheckpointParts:
    """The parts of a checkpoint."""
    params = equation.params
    return CheckpointParts(params["jaxpr"], params.get("policy"), bool(params.get("prevent_cse", True)))


def shard_mapped(equation: Equation, f: Callable[..., Any]) -> Callable[..., Any]:
    """A function mapped over devices as the body of a shard_map is.

    Args:
        equation: of a shard_map.
        f: takes and gives one device's part of what the equation takes and gives.
    """
    params = equation.params
    mesh = params["mesh"]
    return jax.shard_map(
        f,
        mesh=mesh,
        in_specs=tuple(params["in_specs"]),
        out_specs=tuple(params["out_specs"]),
        check_vma=params["check_vma"],
        axis_names=params.get("newly_manual_axes", set(mesh.axis_names)),
    )

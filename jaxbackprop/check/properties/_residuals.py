"""What the rule keeps for the backward pass, and whether it has a derivative of its own: notes alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax

from jaxbackprop._errors import first_line

from .._attempt import attempt
from .._record import Observations, Record
from .._report import Finding
from .._session import CheckSession


def held_bytes(pullback: Any) -> int:
    """Bytes of the arrays that a pullback of `jax.vjp` holds, each array once.

    An argument that is kept counts like any other array: whether somebody else keeps it anyway is not for the
    rule to know. Shapes, dtypes and settings are no arrays and count nothing.

    Args:
        pullback: what `jax.vjp` returns beside the value; it may hold tracers.
    """
    held = {id(leaf): leaf for leaf in jax.tree.leaves(pullback) if hasattr(leaf, "dtype")}
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in held.values())


def residuals(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Notes the bytes kept beside autodiff's."""
    subject = session.subject
    if not session.rule_native.traced or subject.rule is not None:
        return []
    with session.native_setting():
        ran = attempt(lambda: (_kept(session, subject.value), _kept(session, subject.plain)))
    # What autodiff cannot follow keeps nothing that could be compared.
    if ran.error is None:
        record.kept = ran.value
        if subject.oracle is not None and session.truth is not None:
            mine, theirs = ran.value
            record.note(f"keeps {mine:,} bytes for the backward pass; autodiff keeps {theirs:,}")
    return []


def differentiable_again(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Notes where the rule has no derivative of its own."""
    if not session.rule_native.traced or session.subject.rule is not None:
        return []
    layout = session.layout

    def again(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> tuple[Any, ...]:
        gradient, pullback = jax.vjp(
            lambda *x: session.rule_native.pull(layout.with_floats(leaves, x), dy).gradient,
            *layout.floats_of(leaves),
        )
        return pullback(gradient)

    if (error := session.trace(again).error) is not None:
        record.note(f"the rule cannot be differentiated again: {first_line(error)}")
    return []


def _kept(session: CheckSession, f: Callable[..., Any]) -> int:
    """Bytes of what a function's pullback holds; see `held_bytes`."""
    found: list[int] = []

    def of(*leaves: Any) -> Any:
        y, pullback = jax.vjp(session.layout.of_floats(f, leaves), *session.layout.floats_of(leaves))
        found.append(held_bytes(pullback))
        return y

    jax.eval_shape(of, *session.layout.structs)
    return found[0]

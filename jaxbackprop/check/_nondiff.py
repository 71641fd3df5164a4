"""Arguments without a gradient: those that the caller names, and those that a function refuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax

from jaxbackprop._errors import first_line

from ._attempt import UNTRACEABLE, attempt
from ._layout import CannotCheck, Layout
from ._strip import without_vjps
from ._subject import Subject


def positions(nondiff: Any, count: int) -> frozenset[int]:
    """The positions that `nondiff` names, of so many arguments; raises CannotCheck where it names none."""
    named = nondiff if isinstance(nondiff, tuple | list | set | frozenset) else (nondiff,)
    for at in named:
        if not isinstance(at, int) or isinstance(at, bool):
            raise CannotCheck(f"nondiff must hold positions of arguments, got {nondiff!r}")
        if not 0 <= at < count:
            raise CannotCheck(f"nondiff names argument {at}, but the last of the arguments is {count - 1}")
    return frozenset(named)


def refuse_forbidden(subject: Subject, args: tuple[Any, ...], layout: Layout, *, x64: bool) -> None:
    """Raises CannotCheck where a function forbids being differentiated by some of its arguments alone.

    It forbids that without its custom VJPs too, so that these have no part in it: equinox's
    `filter_custom_vjp` takes tangents of its first argument only.
    """
    if subject.rule is not None or len(set(layout.arguments)) < 2:
        return
    every = frozenset(range(len(args)))
    errors = {at: _error(subject, args, every - {at}, x64) for at in sorted(set(layout.arguments))}
    forbidden = {at: error for at, error in errors.items() if error is not None}
    others = every - set(layout.arguments)
    if not forbidden or len(forbidden) == len(errors) or _error(subject, args, others | set(forbidden), x64):
        return
    named = ", ".join(map(str, forbidden))
    where = f"argument {named}" if len(forbidden) == 1 else f"arguments {named}"
    raise CannotCheck(
        f"{subject.name} raises when it is differentiated by {where} "
        f"({first_line(next(iter(forbidden.values())))}): if that is meant, pass nondiff={tuple(forbidden)}"
    )


def _error(subject: Subject, args: tuple[Any, ...], nondiff: frozenset[int], x64: bool) -> Exception | None:
    """What differentiating by all other arguments raises, both with the rules of the function and without."""
    layout = Layout.of(args, subject.static, nondiff=nondiff, trace_floats=True, x64=x64)

    def gradient(plainly: bool, *leaves: Any) -> Any:
        f = layout.of_floats(subject.value, leaves)
        y, pullback = jax.vjp(without_vjps(f) if plainly else f, *layout.floats_of(leaves))
        return pullback(y)

    with jax.enable_x64(x64):
        for plainly in (False, True):
            ran = attempt(lambda at=plainly: jax.eval_shape(partial(gradient, at), *layout.structs))  # type: ignore[misc]
            if ran.error is None or isinstance(ran.error, UNTRACEABLE):
                return None
    return ran.error

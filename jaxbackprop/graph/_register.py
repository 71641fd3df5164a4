"""Rules that users bring for primitives that have none."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop.check import CannotCheck, Report, check_pair

from .rules import BLOCKED, RULES, Local, Rule

_SHAPE = (2, 3)
_MOST_OPERANDS = 4


class WrongRule(ValueError):
    """A rule that the harness finds wrong; it was not registered.

    Attributes:
        report: what is wrong, and what it looks like.
    """

    def __init__(self, primitive: str, report: Report):
        said = "; ".join(finding.message for finding in report.findings)
        super().__init__(f"the rule for {primitive!r} is wrong and was not registered: {said}")
        self.report = report


def register_rule(
    primitive: Any,
    rule: Callable[..., Any],
    *,
    arguments: Sequence[Any] | None = None,
    params: Mapping[str, Any] | None = None,
    formula: str | None = None,
    gate: str | None = None,
    replace: bool = False,
    seed: int = 0,
) -> Report:
    """Registers the local gradient of a primitive, once the harness has found it right.

    Args:
        primitive: one of JAX's primitives (`jax.lax.erf_inv_p`), or the name of one in
            `jax.extend.core.primitives` ("erf_inv").
        rule: rule(dy, *operands, **params) -> one gradient an operand, or the gradient alone where there is
            one operand; None for an operand that has none. Where the primitive has several results, one
            upstream gradient each comes first. It gets the parameters that it names (all with **params),
            and the result, or a tuple of the results, as `y` where it names that.
        arguments: operands to check it at: arrays. Left out, one to four float32 operands of shape (2, 3) are
            tried, with entries between 0.1 and 0.9.
        params: the primitive's parameters to check it with.
        formula: what graphs show, such as "dx = cos(x) dy".
        gate: the lecture's word for what it does to a gradient: "router", ...
        replace: whether it may take the place of a rule that is there.
        seed: of the draws.

    Returns:
        The harness's report, which finds nothing wrong.

    Raises:
        WrongRule: where the harness finds it wrong.
        TypeError: where primitive or rule is none.
        ValueError: where the primitive has a rule and replace is not set, no primitive has the name, or
            arguments are needed and did not come.
    """
    bound = _primitive(primitive)
    name = str(bound.name)
    if not callable(rule):
        raise TypeError(f"rule must be a function, got {type(rule).__name__}")
    if not replace and (name in RULES or name in BLOCKED):
        raise ValueError(f"{name!r} has a rule: replace=True puts this one in its place")
    settings = dict(params or {})
    operands = _operands(bound, settings, seed) if arguments is None else tuple(map(jnp.asarray, arguments))
    pull = _pull(rule)

    def f(*operands: Any) -> Any:
        return bound.bind(*operands, **settings)

    def f_vjp(*operands_and_dy: Any) -> tuple[Any, ...]:
        *operands, dy = operands_and_dy
        several = bound.multiple_results
        results = f(*operands) if several else [f(*operands)]
        shapes = [[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in part] for part in (operands, results)]
        at = Local(operands, results, settings, *shapes)
        dys = dy if several else [dy]
        return tuple(
            pull(at, i, *dys) if jnp.issubdtype(x.dtype, jnp.inexact) else None
            for i, x in enumerate(operands)
        )

    try:
        report = check_pair(
            f, f_vjp, *operands, in_axes=0 if _batches(f, operands) else None, effort="quick", seed=seed
        )
    except CannotCheck as error:
        raise ValueError(
            _needed(name, str(error))
            if arguments is None
            else f"the rule for {name!r} cannot be checked: {error}"
        ) from None
    if not report.ok:
        raise WrongRule(name, report)
    BLOCKED.discard(name)
    RULES[name] = Rule(name, formula or f"its registered rule, {_name_of(rule)}", pull, gate)
    return report


def _primitive(given: Any) -> Any:
    if isinstance(given, str):
        from jax.extend.core import primitives

        found = getattr(primitives, f"{given}_p", getattr(jax.lax, f"{given}_p", None))
        if found is None:
            raise ValueError(f"JAX has no primitive {given!r} by name: give the primitive itself")
        return found
    if not (hasattr(given, "bind") and hasattr(given, "name")):
        raise TypeError(f"primitive must be a primitive of JAX or its name, got {type(given).__name__}")
    return given


def _pull(rule: Callable[..., Any]) -> Callable[..., Any]:
    """The rule as the graph calls it."""
    parameters = inspect.signature(rule).parameters.values()
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}

    def pull(at: Local, i: int, *dys: Any) -> Any:
        keywords = {k: v for k, v in at.params.items() if takes_all or k in named}
        if "y" in named:
            keywords["y"] = at.y[0] if len(at.y) == 1 else tuple(at.y)
        found = rule(*dys, *at.x, **keywords)
        found = tuple(found) if isinstance(found, tuple | list) else (found,)
        if len(found) != len(at.operands):
            raise ValueError(
                f"{_name_of(rule)} must give one gradient an operand, {len(at.operands)}; "
                f"it gives {len(found)}"
            )
        return found[i]

    return pull


def _operands(primitive: Any, params: dict[str, Any], seed: int) -> tuple[Any, ...]:
    """As many floating-point operands as the primitive takes."""
    rng = np.random.default_rng(seed)
    reason = ""
    for count in range(1, _MOST_OPERANDS + 1):
        drawn = [jnp.asarray(rng.uniform(0.1, 0.9, _SHAPE), jnp.float32) for _ in range(count)]
        try:
            jax.eval_shape(lambda *xs: primitive.bind(*xs, **params), *drawn)
        # What a primitive raises for operands that it does not take is its own affair.
        except Exception as error:
            reason = reason or first_line(error)
            continue
        return tuple(drawn)
    raise ValueError(_needed(primitive.name, reason))


def _needed(name: str, reason: str) -> str:
    return (
        f"arguments (and params) must be given to check the rule of {name!r}: "
        f"it does not take floating-point operands of shape {_SHAPE} alone ({reason})"
    )


def _batches(f: Callable[..., Any], operands: Sequence[Any]) -> bool:
    """Whether the primitive itself can be vmapped."""
    try:
        jax.eval_shape(jax.vmap(f), *(jnp.stack([x, x]) for x in operands))
    except Exception:
        return False
    return True


def _name_of(rule: Callable[..., Any]) -> str:
    return getattr(rule, "__name__", type(rule).__name__)

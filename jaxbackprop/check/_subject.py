"""What is judged: a rule, and the functions it is judged by.

Rules, autodiff of an oracle, an intended rule and a pair in NumPy are all held as pulls, so that one
evaluator runs them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxbackprop._float64 import is_float

from ._complex import cotangent_from_pairs, is_complex
from ._evaluator import Answer, Pull, autodiff_pull
from ._layout import CannotCheck, Layout, as_arrays, as_floats, is_array
from ._pushforward import pushed_pull

Function = Callable[..., Any]
Keywords = Mapping[str, Any]


class Given(NamedTuple):
    """The operator (or f of a pair) as the caller gave it, the rule of a pair, and keyword arguments."""

    op: Function
    rule: Function | None
    kwargs: Keywords


@dataclasses.dataclass(frozen=True)
class Subject:
    """A rule with its keywords bound, and what judges it."""

    name: str  # for messages
    value: Function  # the function whose derivative is in question
    oracle: Function | None  # the same without custom rules; None where there is none
    intended: Function | None  # the rule that is meant, where it is deliberately not the derivative
    rule: Function | None  # the rule of a pair; None where jax.vjp of `value` is the rule
    static: frozenset[int]  # positions that hold settings
    given: Given  # what the caller gave
    forward: bool = False  # whether jax.jvp of `value` is the rule

    @property
    def plain(self) -> Function:
        """The oracle; where there is none, the function itself."""
        return self.value if self.oracle is None else self.oracle

    @classmethod
    def of_op(
        cls, op: Function, oracle: Function | None, intended: Function | None, kwargs: Keywords | None
    ) -> Subject:
        """Looks inside the operator: a custom_vjp function brings its own primal and static positions."""
        _must_fit(kwargs, op=op, oracle=oracle, oracle_vjp=intended)
        inner, shift = _inside(op)
        static: frozenset[int] = frozenset()
        if isinstance(inner, jax.custom_vjp | jax.custom_jvp):
            static = frozenset(i - shift for i in inner.nondiff_argnums if i >= shift)
            if oracle is None and shift == 0 and isinstance(inner, jax.custom_vjp):
                oracle = inner.__wrapped__  # type: ignore[attr-defined]
        return cls(
            name=getattr(op, "__name__", None) or type(op).__name__,
            value=_bound(op, kwargs),
            oracle=None if oracle is None else _bound(oracle, kwargs),
            intended=None if intended is None else _bound(intended, kwargs),
            rule=None,
            static=static,
            given=Given(op, None, kwargs or {}),
        )

    @classmethod
    def of_jvp(cls, op: Function, oracle: Function | None, kwargs: Keywords | None) -> Subject:
        """As `of_op`, where the rule is one for tangents."""
        return dataclasses.replace(cls.of_op(op, oracle, None, kwargs), forward=True)

    @classmethod
    def of_pair(
        cls, f: Function, f_vjp: Function, oracle: Function | None, kwargs: Keywords | None
    ) -> Subject:
        """A function and its rule f_vjp(*args, dy), in NumPy or JAX."""
        _must_fit(kwargs, f=f, f_vjp=f_vjp, oracle=oracle)
        return cls(
            name=getattr(f, "__name__", None) or type(f).__name__,
            value=_bound(f, kwargs),
            oracle=_bound(f if oracle is None else oracle, kwargs),
            intended=None,
            rule=_bound(f_vjp, kwargs),
            static=frozenset(),
            given=Given(f, f_vjp, kwargs or {}),
        )

    def by_rule(self, layout: Layout, f: Function, rule: Function) -> Pull:
        """The pull of a rule that takes (*args, dy)."""

        def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Answer:
            args = layout.args(leaves)
            y = as_arrays(f(*args))
            flat, treedef = jax.tree.flatten(y)
            cotangents = iter(dy)
            full = [
                cotangent_from_pairs(next(cotangents)).astype(leaf.dtype)
                if is_complex(leaf)
                else next(cotangents).astype(leaf.dtype)
                if is_float(leaf)
                else np.zeros(np.shape(leaf), jax.dtypes.float0)
                for leaf in flat
            ]
            answer = rule(*args, jax.tree.unflatten(treedef, full))
            results = as_floats(y)
            return Answer(results, results, _gradients(layout, args, self._with_settings(answer, len(args))))

        return pull

    def _with_settings(self, answer: Any, count: int) -> Any:
        """An answer with None for the static arguments, which a backward rule of jax leaves out."""
        given = answer if isinstance(answer, tuple) else (answer,)
        if not self.static or len(given) != count - len(self.static):
            return answer
        left = iter(given)
        return tuple(None if at in self.static else next(left) for at in range(count))

    def rule_pull(self, layout: Layout) -> Pull:
        """The pull that is judged."""
        if self.rule is not None:
            return self.by_rule(layout, self.value, self.rule)
        if self.forward:
            return pushed_pull(layout, self.value)
        return autodiff_pull(layout, self.value, twice=True)


def _must_fit(kwargs: Any, **functions: Any) -> None:
    for name, function in functions.items():
        if not callable(function) and not (function is None and name.startswith("oracle")):
            raise CannotCheck(f"{name} must be a function, got {type(function).__name__}")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise CannotCheck(f"kwargs must be a mapping of names to values, got {type(kwargs).__name__}")


def _bound(f: Function, kwargs: Keywords | None) -> Function:
    return partial(f, **kwargs) if kwargs else f


def _inside(op: Function) -> tuple[Any, int]:
    """The function under jit's wrapper, and how many leading arguments a method has bound."""
    inner, shift = op, 0
    while not isinstance(inner, jax.custom_vjp | jax.custom_jvp):
        # vmap's wrapper has __wrapped__ too, and another function in it; jit's has `lower` beside it.
        if hasattr(inner, "lower") and hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        elif hasattr(inner, "__func__") and hasattr(inner, "__self__"):
            inner, shift = inner.__func__, shift + 1
        else:
            break
    return inner, shift


def _gradients(layout: Layout, args: tuple[Any, ...], answer: Any) -> tuple[Any, ...]:
    """One gradient a differentiable leaf out of what a rule answers; None is zero."""
    if not isinstance(answer, tuple):
        answer = tuple(answer) if isinstance(answer, list) else (answer,)
    if len(answer) != len(args):
        raise TypeError(f"the rule answers {len(answer)} cotangents for {len(args)} arguments")
    found: list[Any] = []
    for n, (position, path) in enumerate(zip(layout.arguments, layout.paths, strict=True)):
        # Of this evaluation, not of the layout: its dtype may be another.
        here, cotangent = _by_path(args[position])[path], _by_path(answer[position]).get(path)
        if cotangent is None:
            cotangent = np.zeros(np.shape(here), here.dtype)
        elif np.shape(cotangent) != np.shape(here):
            raise TypeError(
                f"the rule's cotangent of argument {position}{path} has shape {np.shape(cotangent)}, "
                f"but the argument has shape {np.shape(here)}"
            )
        known = is_array(cotangent) or hasattr(cotangent, "aval")
        found.append(layout.cotangent(n, cotangent if known else np.asarray(cotangent)))
    return tuple(found)


def _by_path(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}

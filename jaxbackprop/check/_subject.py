"""What is judged: a rule, what it is judged by, and how its arguments are taken apart.

A rule is held as a pull: from the array leaves of the arguments and the cotangents of the float results to
(results of the function, results of the forward rule, gradients). Autodiff of the oracle, an intended rule
and a pair in NumPy are pulls too, so that one machine runs them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import CannotRun

Pull = Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]]

# What jax raises where Python asks a traced value for a number, a truth value or an index.
UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


class CannotCheck(CannotRun, ValueError):
    """An operator or its arguments leave nothing to judge; the message says why."""


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array or a NumPy scalar."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic) and np.dtype(object) != leaf.dtype


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds random keys: typed ones, or the older kind of two 32-bit words."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return True
    return bool(leaf.dtype == np.uint32 and leaf.shape[-1:] == (2,) and leaf.ndim <= 2)


def _is_float(leaf: Any) -> bool:
    return is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Arguments taken apart into array leaves and everything else, which stays as it is.

    Attributes:
        leaves: the array leaves in flattened order; floats as they came, Python floats as 0-d arrays.
        floats: positions of the differentiable ones among `leaves`.
        arguments: for each differentiable leaf, the position of its argument.
        paths: for each of them, where it lies inside its argument ("" for an array).
        from_python: for each of them, whether it came as a Python float.
    """

    leaves: tuple[Any, ...]
    floats: tuple[int, ...]
    arguments: tuple[int, ...]
    paths: tuple[str, ...]
    from_python: tuple[bool, ...]
    owners: tuple[int, ...]
    _template: tuple[Any, ...]
    _slots: tuple[int, ...]
    _treedef: Any

    @classmethod
    def of(
        cls, args: tuple[Any, ...], static: frozenset[int], *, trace_floats: bool, hold: bool, x64: bool
    ) -> Layout:
        """Takes arguments apart.

        Args:
            args: positional arguments of the operator.
            static: positions that are settings, whatever they hold.
            trace_floats: whether Python floats become arrays.
            hold: whether arrays of integers stay as they are: the operator wants to read them in Python.
            x64: whether NumPy's float64 stays float64.
        """
        flat, treedef = jax.tree_util.tree_flatten_with_path(args)
        template, slots, floats, arguments, paths, python, owners = [], [], [], [], [], [], []
        leaves: list[Any] = []
        for at, (path, leaf) in enumerate(flat):
            template.append(leaf)
            position = path[0].idx
            came_as_python = isinstance(leaf, float) and not isinstance(leaf, np.generic)
            if position in static or not (is_array(leaf) or (came_as_python and trace_floats)):
                continue
            value = leaf
            if came_as_python:
                value = np.asarray(leaf, np.float64 if x64 else np.float32)
            elif isinstance(leaf, np.ndarray | np.generic):
                wide = jnp.dtype(leaf.dtype) if x64 else jax.dtypes.canonicalize_dtype(leaf.dtype)
                value = np.asarray(leaf).astype(wide)
            if _is_float(value):
                floats.append(len(leaves))
                arguments.append(position)
                paths.append(jax.tree_util.keystr(path[1:]))
                python.append(came_as_python)
            elif hold and not is_key(value):
                continue
            slots.append(at)
            owners.append(position)
            leaves.append(value)
        return cls(
            tuple(leaves),
            tuple(floats),
            tuple(arguments),
            tuple(paths),
            tuple(python),
            tuple(owners),
            tuple(template),
            tuple(slots),
            treedef,
        )

    def args(self, leaves: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments with other array leaves."""
        filled = list(self._template)
        for slot, leaf in zip(self._slots, leaves, strict=True):
            filled[slot] = leaf
        return jax.tree_util.tree_unflatten(self._treedef, filled)

    def with_floats(self, leaves: tuple[Any, ...], floats: tuple[Any, ...]) -> tuple[Any, ...]:
        """The array leaves with other differentiable ones."""
        filled = list(leaves)
        for slot, leaf in zip(self.floats, floats, strict=True):
            filled[slot] = leaf
        return tuple(filled)

    def axes(self, in_axes: Any) -> tuple[int | None, ...]:
        """For every array leaf the axis that jax.vmap would map, by a prefix as jax.vmap takes."""
        prefix = in_axes
        if isinstance(in_axes, list | tuple):
            prefix = tuple(in_axes)
        args = jax.tree_util.tree_unflatten(self._treedef, self._template)
        try:
            full = _broadcast_prefix(prefix, args)
        except (ValueError, TypeError) as error:
            said = str(error).splitlines()[0]
            raise CannotCheck(f"in_axes {in_axes!r} does not fit the arguments: {said}") from None
        axes = tuple(full[slot] for slot in self._slots)
        for axis, leaf, owner in zip(axes, self.leaves, self.owners, strict=True):
            if axis is not None and not isinstance(axis, int):
                raise CannotCheck(f"in_axes must hold integers and None, got {axis!r}")
            # One more axis than the leaf has: the harness stacks its own draws there.
            if axis is not None and not -np.ndim(leaf) - 1 <= axis <= np.ndim(leaf):
                raise CannotCheck(
                    f"in_axes has {axis} for argument {owner}, which has {np.ndim(leaf)} other axes"
                )
        return axes

    @property
    def structs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shape and dtype of every array leaf, to trace with."""
        return tuple(jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype) for leaf in self.leaves)

    def floats_of(self, leaves: tuple[Any, ...]) -> tuple[Any, ...]:
        """The differentiable ones among array leaves."""
        return tuple(leaves[i] for i in self.floats)

    @property
    def keyed(self) -> bool:
        """Whether a leaf is a random key."""
        return any(is_key(leaf) for leaf in self.leaves)


def _broadcast_prefix(prefix: Any, tree: Any) -> list[Any]:
    spread: list[Any] = []

    def of_subtree(axis: Any, subtree: Any) -> None:
        spread.extend([axis] * len(jax.tree.leaves(subtree)))

    jax.tree.map(of_subtree, prefix, tree, is_leaf=lambda leaf: leaf is None)
    return spread


@dataclasses.dataclass(frozen=True)
class Subject:
    """A rule with its keywords bound, and what judges it.

    Attributes:
        name: for messages.
        value: the function whose derivative is in question.
        oracle: the same without custom rules; None where there is none to be differentiated.
        intended: the rule that is meant, where it is deliberately not the derivative.
        rule: the rule of a pair; None where jax.vjp of `value` is the rule.
        static: positions that hold settings.
        given: the operator (or f of a pair) as it came, and its keywords.
    """

    name: str
    value: Callable[..., Any]
    oracle: Callable[..., Any] | None
    intended: Callable[..., Any] | None
    rule: Callable[..., Any] | None
    static: frozenset[int]
    given: tuple[Callable[..., Any], Callable[..., Any] | None, Mapping[str, Any]]

    @classmethod
    def of_op(
        cls,
        op: Callable[..., Any],
        oracle: Callable[..., Any] | None,
        intended: Callable[..., Any] | None,
        kwargs: Mapping[str, Any] | None,
    ) -> Subject:
        """Looks inside the operator: a custom_vjp function brings its own primal and static positions."""
        _must_be_functions(op=op, oracle=oracle, oracle_vjp=intended)
        _must_be_keywords(kwargs)
        inner, shift = _inside(op)
        static: frozenset[int] = frozenset()
        if isinstance(inner, jax.custom_vjp):
            static = frozenset(i - shift for i in inner.nondiff_argnums if i >= shift)
            if oracle is None and shift == 0:
                oracle = inner.__wrapped__  # type: ignore[attr-defined]
        return cls(
            getattr(op, "__name__", None) or type(op).__name__,
            _bound(op, kwargs),
            None if oracle is None else _bound(oracle, kwargs),
            None if intended is None else _bound(intended, kwargs),
            None,
            static,
            (op, None, kwargs or {}),
        )

    @classmethod
    def of_pair(
        cls,
        f: Callable[..., Any],
        f_vjp: Callable[..., Any],
        oracle: Callable[..., Any] | None,
        kwargs: Mapping[str, Any] | None,
    ) -> Subject:
        """A function and its rule f_vjp(*args, dy), in NumPy or JAX."""
        if f_vjp is None:
            raise CannotCheck("f_vjp must be a function, got NoneType")
        _must_be_functions(f=f, f_vjp=f_vjp, oracle=oracle)
        _must_be_keywords(kwargs)
        return cls(
            getattr(f, "__name__", None) or type(f).__name__,
            _bound(f, kwargs),
            _bound(oracle, kwargs) if oracle is not None else _bound(f, kwargs),
            None,
            _bound(f_vjp, kwargs),
            frozenset(),
            (f, f_vjp, kwargs or {}),
        )

    def results(self, layout: Layout, f: Callable[..., Any], leaves: tuple[Any, ...]) -> tuple[Any, ...]:
        """The float results of a function, flat."""
        return tuple(y for y in jax.tree.leaves(_as_arrays(f(*layout.args(leaves)))) if _is_float(y))

    def of_floats(
        self, layout: Layout, f: Callable[..., Any], leaves: tuple[Any, ...]
    ) -> Callable[..., tuple[Any, ...]]:
        """The float results of a function, as one of the differentiable leaves alone."""
        return lambda *floats: self.results(layout, f, layout.with_floats(leaves, floats))

    def by_autodiff(self, layout: Layout, f: Callable[..., Any], *, twice: bool = True) -> Pull:
        """The pull that jax.vjp makes of a function; `twice`: its forward rule may be another function."""

        def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
            y, pullback = jax.vjp(self.of_floats(layout, f, leaves), *layout.floats_of(leaves))
            again = self.results(layout, f, leaves) if twice else y
            return again, y, pullback(tuple(d.astype(leaf.dtype) for d, leaf in zip(dy, y, strict=True)))

        return pull

    def by_rule(self, layout: Layout, f: Callable[..., Any], rule: Callable[..., Any]) -> Pull:
        """The pull of a rule that takes (*args, dy)."""

        def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
            args = layout.args(leaves)
            y = _as_arrays(f(*args))
            flat, treedef = jax.tree.flatten(y)
            cotangents = iter(dy)
            full = [
                next(cotangents).astype(leaf.dtype) if _is_float(leaf) else _no_cotangent(leaf)
                for leaf in flat
            ]
            answer = rule(*args, jax.tree.unflatten(treedef, full))
            results = tuple(leaf for leaf in flat if _is_float(leaf))
            return results, results, _gradients(layout, args, self._with_settings(answer, len(args)))

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
        return self.by_autodiff(layout, self.value)


def _must_be_functions(**given: Any) -> None:
    for name, function in given.items():
        if not callable(function) and not (function is None and name.startswith("oracle")):
            raise CannotCheck(f"{name} must be a function, got {type(function).__name__}")


def _must_be_keywords(kwargs: Any) -> None:
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise CannotCheck(f"kwargs must be a mapping of names to values, got {type(kwargs).__name__}")


def _as_arrays(results: Any) -> Any:
    """Results with Python floats as arrays, as NumPy's reductions are often turned into."""
    return jax.tree.map(lambda y: np.asarray(y) if isinstance(y, float) else y, results)


def _no_cotangent(leaf: Any) -> Any:
    return np.zeros(np.shape(leaf), jax.dtypes.float0)


def _bound(f: Callable[..., Any], kwargs: Mapping[str, Any] | None) -> Callable[..., Any]:
    return partial(f, **kwargs) if kwargs else f


def _inside(op: Callable[..., Any]) -> tuple[Any, int]:
    """The function under jit's wrapper, and how many leading arguments a method has bound."""
    inner, shift = op, 0
    while not isinstance(inner, jax.custom_vjp):
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
    for position, path, slot in zip(layout.arguments, layout.paths, layout.floats, strict=True):
        given = jax.tree_util.tree_leaves_with_path(answer[position])
        by_path = {jax.tree_util.keystr(p): leaf for p, leaf in given}
        like = layout.leaves[slot]
        # Of this evaluation, not of the layout: its dtype may be another.
        leaf = jax.tree_util.tree_leaves_with_path(args[position])
        here = dict((jax.tree_util.keystr(p), value) for p, value in leaf)[path]
        cotangent = by_path.get(path)
        if cotangent is None:
            cotangent = np.zeros(np.shape(like), here.dtype)
        elif np.shape(cotangent) != np.shape(here):
            raise TypeError(
                f"the rule's cotangent of argument {position}{path} has shape {np.shape(cotangent)}, "
                f"but the argument has shape {np.shape(here)}"
            )
        found.append(
            cotangent if is_array(cotangent) or hasattr(cotangent, "aval") else np.asarray(cotangent)
        )
    return tuple(found)

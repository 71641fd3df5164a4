"""Arguments taken apart: which leaves are arrays, which are differentiated, and what stays as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import CannotRun
from jaxbackprop._float64 import is_float

from ._complex import OtherField, as_pairs, cotangent_as_pairs, from_pairs, is_complex


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


def _is_none(leaf: Any) -> bool:
    return leaf is None


def as_arrays(results: Any) -> Any:
    """Results with Python's floats and complex numbers as arrays: NumPy code often returns its sums so."""
    return jax.tree.map(lambda y: np.asarray(y) if isinstance(y, float | complex) else y, results)


def as_floats(results: Any) -> tuple[Any, ...]:
    """The float results of a function, flat, complex ones as pairs."""
    flat = jax.tree.leaves(as_arrays(results))
    return tuple(as_pairs(y) if is_complex(y) else y for y in flat if is_float(y) or is_complex(y))


@dataclasses.dataclass(frozen=True)
class Layout:
    """Arguments taken apart into array leaves and everything else, which stays as it is.

    Complex arrays are floats here: real arrays with a last axis of two, see `_complex`.

    Attributes:
        leaves: the array leaves in flattened order; floats as they came, Python floats as 0-d arrays.
        floats: positions of the differentiable ones among `leaves`.
        arguments: for each differentiable leaf, the position of its argument.
        paths: for each of them, where it lies inside its argument ("" for an array).
        from_python: for each of them, whether it came as a Python float.
        all_floats: positions of all float leaves: those of arguments without a gradient too.
        owners: for each array leaf, the position of its argument.
        complexes: positions of those leaves that stand for complex numbers.
    """

    leaves: tuple[Any, ...]
    floats: tuple[int, ...]
    arguments: tuple[int, ...]
    paths: tuple[str, ...]
    from_python: tuple[bool, ...]
    all_floats: tuple[int, ...]
    owners: tuple[int, ...]
    complexes: frozenset[int]
    _template: tuple[Any, ...]
    _slots: tuple[int, ...]
    _treedef: jax.tree_util.PyTreeDef

    @classmethod
    def of(
        cls,
        args: tuple[Any, ...],
        static: frozenset[int] = frozenset(),
        *,
        nondiff: frozenset[int] = frozenset(),
        trace_floats: bool = False,
        hold_integers: bool = False,
        x64: bool = True,
    ) -> Layout:
        """Takes arguments apart.

        Args:
            args: positional arguments of a function.
            static: positions that are settings, whatever they hold.
            nondiff: positions whose floats are arguments like any others, but have no gradient.
            trace_floats: whether Python floats become arrays.
            hold_integers: whether arrays of integers stay as they are: some functions read them in Python.
            x64: whether NumPy's float64 stays float64.
        """
        flat, treedef = jax.tree_util.tree_flatten_with_path(args)
        slots, leaves, owners, moving = [], list[Any](), [], list[tuple[int, int, str, bool]]()
        all_floats, complexes = list[int](), set[int]()
        for at, (path, leaf) in enumerate(flat):
            position = path[0].idx
            came_as_python = isinstance(leaf, float | complex) and not isinstance(leaf, np.generic)
            if position in static or not (is_array(leaf) or (came_as_python and trace_floats)):
                continue
            value = leaf
            if came_as_python:
                value = np.asarray(leaf)
                value = value if x64 else value.astype(jax.dtypes.canonicalize_dtype(value.dtype))
            elif isinstance(leaf, np.ndarray | np.generic):
                dtype = jnp.dtype(leaf.dtype) if x64 else jax.dtypes.canonicalize_dtype(leaf.dtype)
                value = np.asarray(leaf).astype(dtype)
            if is_complex(value):
                complexes.add(len(leaves))
                value = as_pairs(value)
            if is_float(value):
                all_floats.append(len(leaves))
                if position not in nondiff:
                    where = jax.tree_util.keystr(path[1:])
                    moving.append((len(leaves), position, where, came_as_python))
            elif hold_integers and not is_key(value):
                continue
            slots.append(at)
            owners.append(position)
            leaves.append(value)
        floats, arguments, paths, from_python = zip(*moving, strict=True) if moving else ((), (), (), ())
        template = tuple(leaf for _, leaf in flat)
        of_floats = (floats, arguments, paths, from_python, tuple(all_floats))
        of_leaves = (tuple(owners), frozenset(complexes))
        return cls(tuple(leaves), *of_floats, *of_leaves, template, tuple(slots), treedef)

    def args(self, leaves: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments with other array leaves: complex ones as pairs, or as they are."""
        filled = list(self._template)
        for i, (slot, leaf) in enumerate(zip(self._slots, leaves, strict=True)):
            is_pairs = i in self.complexes and not is_complex(leaf)
            filled[slot] = from_pairs(leaf) if is_pairs else leaf
        return jax.tree_util.tree_unflatten(self._treedef, filled)

    def floats_of(self, leaves: tuple[Any, ...]) -> tuple[Any, ...]:
        """The differentiable ones among array leaves."""
        return tuple(leaves[i] for i in self.floats)

    def with_floats(self, leaves: tuple[Any, ...], floats: tuple[Any, ...]) -> tuple[Any, ...]:
        """The array leaves with other differentiable ones."""
        filled = list(leaves)
        for slot, leaf in zip(self.floats, floats, strict=True):
            filled[slot] = leaf
        return tuple(filled)

    def put(self, floats: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments as they came, with other differentiable leaves."""
        return self.args(self.with_floats(self.leaves, floats))

    def results(self, f: Callable[..., Any], leaves: tuple[Any, ...]) -> tuple[Any, ...]:
        """The float results of a function at array leaves, flat."""
        return as_floats(f(*self.args(leaves)))

    def of_floats(
        self, f: Callable[..., Any], leaves: tuple[Any, ...] | None = None
    ) -> Callable[..., tuple[Any, ...]]:
        """The flat float results of a function, as a function of the differentiable leaves alone.

        Args:
            f: of the arguments.
            leaves: the other array leaves (the differentiable ones among them are ignored); None for those
                that came.
        """
        around = self.leaves if leaves is None else leaves
        return lambda *floats: self.results(f, self.with_floats(around, floats))

    @property
    def structs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shape and dtype of every array leaf, to trace with."""
        return tuple(jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype) for leaf in self.leaves)

    def is_pairs(self, leaf: int) -> bool:
        """Whether a differentiable leaf stands for complex numbers."""
        return self.floats[leaf] in self.complexes

    def ndim(self, slot: int) -> int:
        """How many axes an array leaf has as it came."""
        return np.ndim(self.leaves[slot]) - (slot in self.complexes)

    def cotangent(self, leaf: int, cotangent: Any) -> Any:
        """A rule's cotangent of a differentiable leaf as it came, as that of the leaf here.

        Raises:
            OtherField: where one of them is complex and the other is not.
        """
        if is_complex(cotangent) != self.is_pairs(leaf):
            due = np.dtype(self.dtypes[leaf])
            due = np.result_type(due, np.complex64) if self.is_pairs(leaf) else due
            raise OtherField(leaf, cotangent.dtype, due.name)
        return cotangent_as_pairs(cotangent) if self.is_pairs(leaf) else cotangent

    @property
    def dtypes(self) -> tuple[np.dtype, ...]:
        """The dtype of each differentiable leaf."""
        return tuple(self.leaves[i].dtype for i in self.floats)

    @property
    def has_keys(self) -> bool:
        """Whether a leaf is a random key."""
        return any(is_key(leaf) for leaf in self.leaves)

    @property
    def is_numpy(self) -> bool:
        """Whether no leaf is a jax array: a rule in NumPy wants NumPy."""
        return not any(isinstance(leaf, jax.Array) for leaf in self.leaves)

    def axes(self, in_axes: Any) -> tuple[int | None, ...]:
        """For every array leaf the axis that jax.vmap would map, by a prefix as jax.vmap takes.

        Raises:
            CannotCheck: where the prefix does not fit the arguments.
        """
        prefix = tuple(in_axes) if isinstance(in_axes, list | tuple) else in_axes
        args = jax.tree_util.tree_unflatten(self._treedef, self._template)
        try:
            spread = jax.tree.map(
                lambda axis, part: [axis] * len(jax.tree.leaves(part)), prefix, args, is_leaf=_is_none
            )
            full = jax.tree.leaves(spread, is_leaf=_is_none)
        except (ValueError, TypeError) as error:
            said = str(error).splitlines()[0]
            raise CannotCheck(f"in_axes {in_axes!r} does not fit the arguments: {said}") from None
        axes = [full[slot] for slot in self._slots]
        for i, (axis, owner) in enumerate(zip(axes, self.owners, strict=True)):
            ndim = self.ndim(i)
            if axis is not None and not isinstance(axis, int):
                raise CannotCheck(f"in_axes must hold integers and None, got {axis!r}")
            # One more axis than the leaf has: the harness stacks its own draws there.
            if axis is not None and not -ndim - 1 <= axis <= ndim:
                raise CannotCheck(f"in_axes has {axis} for argument {owner}, which has {ndim} other axes")
            if axis is not None and axis < 0 and i in self.complexes:
                axes[i] = axis - 1
        return tuple(axes)

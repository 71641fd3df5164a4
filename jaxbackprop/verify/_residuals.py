"""What an operator keeps for the backward pass, beside what autodiff keeps: from shapes, nothing is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxbackprop import _specs as specs
from jaxbackprop._specs import Array, Key, map_leaves
from jaxbackprop.check import held_bytes
from jaxbackprop.ops.catalogue import Case, Operator

# How many times longer every axis becomes in `enlarged`: odd, for windows are.
_LONGER = 7


def kept_bytes(row: Operator, case: Case, dtype: DTypeLike = jnp.float32) -> tuple[int, int]:
    """Bytes kept by the operator's rule and by `jax.vjp` of its plain formula, called in the same way.

    Counted is every array that the pullback holds, once, on both sides alike: arguments that are kept, whole
    or as masks, results, and intermediates. All floating-point arguments are differentiated by.

    Args:
        row: of the catalogue.
        case: the way to call it; see `enlarged`.
        dtype: of the floating-point arguments.
    """
    ours, autodiff = (_kept(f, case, dtype) for f in (row.op, row.oracle))
    return ours, autodiff


def _kept(f: Callable[..., Any], case: Case, dtype: DTypeLike) -> int:
    leaves, structure = jax.tree.flatten(_shaped(case, dtype))
    arrays = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct)]
    floats = [i for i in arrays if jnp.issubdtype(leaves[i].dtype, jnp.floating)]
    found: list[int] = []

    def measure(given: list[Any]) -> None:
        full = list(leaves)
        for i, leaf in zip(arrays, given, strict=True):
            full[i] = leaf

        def of_floats(*values: Any) -> Any:
            moved = list(full)
            for i, value in zip(floats, values, strict=True):
                moved[i] = value
            return f(*jax.tree.unflatten(structure, moved), **case.keywords)

        _, pullback = jax.vjp(of_floats, *(full[i] for i in floats))
        found.append(held_bytes(pullback))

    jax.eval_shape(measure, [leaves[i] for i in arrays])
    return found[0]


def _shaped(case: Case, dtype: DTypeLike) -> Any:
    """The arguments as shapes, static values as they stand."""

    def shaped(leaf: Any) -> Any:
        if isinstance(leaf, Array):
            return jax.ShapeDtypeStruct(leaf.shape, dtype if leaf.floating else leaf.dtype)
        if isinstance(leaf, Key):
            return jax.ShapeDtypeStruct((2,), jnp.uint32)
        if isinstance(leaf, np.ndarray):
            return jax.ShapeDtypeStruct(
                leaf.shape, dtype if np.issubdtype(leaf.dtype, np.floating) else leaf.dtype
            )
        return leaf

    return map_leaves(shaped, case.arguments)


def enlarged(case: Case) -> Case:
    """The same way to call an operator with longer axes, but those of length 1.

    What does not grow with the arguments, such as one number for all, then hardly counts.
    """
    return dataclasses.replace(case, arguments=specs.enlarged(case.arguments, _LONGER))

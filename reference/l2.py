"""The L2 penalty λ Σ θ² over a pytree of parameters (lecture, unit 3, "Regularization").

A pytree is an array, or a dict, list, tuple or named tuple of pytrees; None in it holds nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_BIAS_NAMES = {"b", "bias", "beta", "gamma", "scale", "offset"}
_WEIGHT_NAMES = {"w", "u", "v", "kernel", "weight", "weights"}


def l2(tree: Any, strength: ArrayLike, *, biases: bool = False, tables: bool = False) -> np.float64:
    """R = λ Σ_k θ_k², over every entry of every weight.

    The lecture's sum runs over all θ. By default it is over weights alone here: a bias shifts a unit without
    making it more sensitive to its input, and a penalty on a lookup table pulls the words that a batch does
    not show towards zero.

    What a leaf is, follows from the names on its path, in lower case (keys of dicts, fields of named tuples;
    positions and the name "value" say nothing):

    1. a table, where any name contains "table" or "embed";
    2. a bias, where the last name, less digits and underscores at its ends, is b, bias, beta, gamma, scale or
       offset, or ends in _b or _bias;
    3. a weight, where it is w, u, v, kernel, weight or weights, or ends in _w, _kernel or _weight;
    4. otherwise a bias where its rank is below 2, else a weight. An array that is the whole tree is a weight.

    Integer and boolean leaves are never penalised.

    Args:
        tree: the parameters.
        strength: λ, a scalar.
        biases: whether to penalise biases too.
        tables: whether to penalise tables too.

    Returns:
        R, a scalar.

    Raises:
        ValueError: where strength is not a scalar.
        TypeError: where a leaf holds no real numbers.
    """
    strength = _checked_scalar("strength", strength)
    return np.float64(strength * _sum_of_squares(tree, biases, tables))


def l2_vjp(
    tree: Any, strength: ArrayLike, dy: ArrayLike, *, biases: bool = False, tables: bool = False
) -> tuple[Any, np.float64]:
    """Gradients of the penalty by the parameters and by its strength, given dy = ∂s/∂R.

    R = λ Σ_k θ_k² holds θ_k in one term, so ∂R/∂θ_k = 2λ θ_k. The factor 2 is there because the lecture's
    penalty has no ½. A step of plain SGD at rate η multiplies a weight by 1 - 2ηλ and then goes down the
    loss's own gradient ("weight decay"). With momentum or an adaptive optimizer it is not so: they average or
    rescale the penalty's gradient together with the loss's. In matrix form ∂R/∂W = 2λ W, of W's shape. R is
    linear in λ: ∂R/∂λ = Σ_k θ_k². With dy:

        dθ_k = 2λ θ_k dy,      dλ = dy Σ_k θ_k².

    Args:
        tree: the parameters.
        strength: λ, a scalar.
        dy: a scalar.
        biases: as in `l2`.
        tables: as in `l2`.

    Returns:
        (dtree, dstrength): dtree has tree's structure, with zeros for each leaf that is not penalised.

    Raises:
        ValueError: where strength or dy is not a scalar.
        TypeError: as `l2`.
    """
    strength = _checked_scalar("strength", strength)
    dy = _checked_scalar("dy", dy)

    def gradient(subtree: Any, path: tuple[str | None, ...]) -> Any:
        if subtree is None:
            return None
        children = _children(subtree)
        if children is not None:
            return _rebuilt(subtree, [gradient(child, (*path, name)) for name, child in children])
        if not _is_penalised(subtree, path, biases, tables):
            return np.zeros(np.shape(subtree))
        return 2.0 * strength * dy * np.asarray(subtree, dtype=np.float64)

    return gradient(tree, ()), np.float64(dy * _sum_of_squares(tree, biases, tables))


def _sum_of_squares(tree: Any, biases: bool, tables: bool) -> float:
    return sum(
        float(np.sum(np.square(np.asarray(leaf, dtype=np.float64))))
        for path, leaf in _leaves(tree, ())
        if _is_penalised(leaf, path, biases, tables)
    )


def _is_penalised(leaf: Any, path: tuple[str | None, ...], biases: bool, tables: bool) -> bool:
    dtype = np.asarray(leaf).dtype
    if np.issubdtype(dtype, np.integer) or dtype == np.bool_:
        return False
    # Kind V: floats that extend NumPy, such as bfloat16.
    if dtype.kind not in "fV":
        raise TypeError(f"tree must hold real arrays, got {type(leaf).__name__} of dtype {dtype} at {path}")
    kind = _kind(path, np.ndim(leaf))
    return kind == "weight" or (kind == "bias" and biases) or (kind == "table" and tables)


def _kind(path: tuple[str | None, ...], rank: int) -> str:
    if not path:
        return "weight"
    names = [name for name in path if name is not None and name != "value"]
    if any("table" in name or "embed" in name for name in names):
        return "table"
    own = names[-1].strip("0123456789_") if names else ""
    if own in _BIAS_NAMES or own.endswith(("_b", "_bias")):
        return "bias"
    if own in _WEIGHT_NAMES or own.endswith(("_w", "_kernel", "_weight")):
        return "weight"
    return "bias" if rank < 2 else "weight"


def _leaves(tree: Any, path: tuple[str | None, ...]) -> Iterator[tuple[tuple[str | None, ...], Any]]:
    if tree is None:
        return
    children = _children(tree)
    if children is None:
        yield path, tree
        return
    for name, child in children:
        yield from _leaves(child, (*path, name))


def _children(tree: Any) -> list[tuple[str | None, Any]] | None:
    """The children of a container with their names in lower case (None for a position); None for a leaf."""
    if isinstance(tree, dict):
        return [(key.lower() if isinstance(key, str) else None, child) for key, child in tree.items()]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return [(name.lower(), child) for name, child in zip(tree._fields, tree, strict=True)]
    if isinstance(tree, list | tuple):
        return [(None, child) for child in tree]
    return None


def _rebuilt(tree: Any, children: Iterable[Any]) -> Any:
    """A container of tree's type and names with other children."""
    if isinstance(tree, dict):
        rebuilt = copy.copy(tree)
        rebuilt.update(zip(tree, children, strict=True))
        return rebuilt
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*children)
    return type(tree)(children)


def _checked_scalar(name: str, value: ArrayLike) -> float:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != ():
        raise ValueError(f"{name} must be a scalar, got shape {array.shape}")
    return float(array)


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "l2": [
        ("f64[3,4]", "f64[]>0"),
        ({"W": "f64[3,4]", "b": "f64[3]", "table": "f64[5,2]"}, "f64[]>0"),
        ({"W": "f64[3,4]", "b": "f64[3]", "table": "f64[5,2]"}, "f64[]>0", "biases=True", "tables=True"),
    ],
}

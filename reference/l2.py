"""The L2 penalty λ Σ θ² over a pytree of parameters, and what it does to least squares: ridge regression.

A pytree is an array, or a dict, list, tuple or named tuple of pytrees; None in it holds nothing.

Source: lecture, unit 3 "Regularization"; ridge regression: Hoerl and Kennard 1970.
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


def ridge(X: ArrayLike, y: ArrayLike, strength: ArrayLike) -> Array:
    """The θ that minimises the penalised least squares J(θ) = (1/N) ‖y - Xθ‖² + λ ‖θ‖².

    Element by element ∂J/∂θ_j = -(2/N) Σ_i X_ij (y_i - Σ_k X_ik θ_k) + 2λ θ_j; in matrix form it is 0 where

        (XᵀX + NλI) θ̂ = Xᵀ y.

    Let X = Σ_j s_j u_j v_jᵀ (singular values). Then XᵀX v_j = s_j² v_j and Xᵀy = Σ_j s_j (u_jᵀy) v_j, so

        θ̂ = Σ_j s_j / (s_j² + Nλ) (u_jᵀ y) v_j.

    Least squares (λ = 0) divides by s_j; a direction in which the data vary little gets a large, uncertain
    number. The penalty shrinks it by the factor s_j² / (s_j² + Nλ), and those directions most.

    Args:
        X: (N, n), one example a row.
        y: (N,).
        strength: λ, a scalar, at least 0. With 0 it is least squares, where X does not determine θ̂ the
            solution of least norm, to which θ̂ tends as λ does to 0.

    Returns:
        θ̂, (n,).

    Raises:
        ValueError: where shapes do not fit, or strength is negative or not a scalar.
    """
    X, penalty = _checked_design(X, strength)
    y = np.asarray(y, dtype=np.float64)
    if y.shape != X.shape[:1]:
        raise ValueError(f"y has shape {y.shape} but X has shape {X.shape}")
    left, s, right = np.linalg.svd(X, full_matrices=False)
    return right.T @ (_inverse(s, penalty, X.shape) * (left.T @ y))


def ridge_bias_covariance(
    X: ArrayLike, theta: ArrayLike, noise: float, strength: ArrayLike
) -> tuple[Array, Array]:
    """Bias and covariance of `ridge`'s θ̂ where y = Xθ + e, and the e_i are uncorrelated: mean 0, variance σ².

    Put y in: u_jᵀ y = s_j v_jᵀθ + u_jᵀ e. With the factors w_j = s_j² / (s_j² + Nλ), where X has rank n,

        E[θ̂] = Σ_j w_j (v_jᵀθ) v_j,      bias = E[θ̂] - θ = -Σ_j (1 - w_j) (v_jᵀθ) v_j,
        Cov(θ̂) = σ² Σ_j s_j² / (s_j² + Nλ)² v_j v_jᵀ,

    since the u_jᵀ e are uncorrelated too, of variance σ². (Directions that X does not show, s_j = 0, have
    w_j = 0.) So with c = Nλ and α_j = v_jᵀθ the expected squared error is

        E‖θ̂ - θ‖² = ‖bias‖² + tr Cov = Σ_j (c² α_j² + σ² s_j²) / (s_j² + c)².

    The bias grows with λ and the variance falls: "biased, but of smaller variance", says the lecture. Which
    wins? The derivative of one term by c is

        2 s_j² (c α_j² - σ²) / (s_j² + c)³,

    below 0 for every c < σ²/α_j². So where σ > 0 some λ is better than least squares, whatever θ is: each
    with Nλ < σ² / max_j α_j² is better than all below it.

    Args:
        X: (N, n), not random.
        theta: θ, (n,), the true one.
        noise: σ, the standard deviation of one e_i.
        strength: λ, a scalar, at least 0.

    Returns:
        (bias, covariance): (n,) and (n, n).

    Raises:
        ValueError: as `ridge`, theta in the place of y.
    """
    X, penalty = _checked_design(X, strength)
    theta = np.asarray(theta, dtype=np.float64)
    if theta.shape != X.shape[1:]:
        raise ValueError(f"theta has shape {theta.shape} but X has shape {X.shape}")
    _, s, right = np.linalg.svd(X, full_matrices=False)
    inverse = _inverse(s, penalty, X.shape)
    bias = right.T @ (s * inverse * (right @ theta)) - theta
    return bias, noise**2 * (right.T * inverse**2) @ right


def _checked_design(X: ArrayLike, strength: ArrayLike) -> tuple[Array, float]:
    """X, and Nλ."""
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2:
        raise ValueError(f"X must be a matrix, got shape {X.shape}")
    strength = _checked_scalar("strength", strength)
    if not strength >= 0.0:
        raise ValueError(f"strength must be at least 0, got {strength}")
    return X, len(X) * strength


def _inverse(s: Array, penalty: float, shape: tuple[int, ...]) -> Array:
    """The factors s / (s² + Nλ); 0 where s is 0 up to rounding."""
    smallest = np.finfo(float).eps * max(shape) * s.max(initial=0.0)
    return np.divide(s, s**2 + penalty, out=np.zeros_like(s), where=s > smallest)


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

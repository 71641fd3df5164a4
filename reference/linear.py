"""The affine map z = Wx + b and its three gradients (lecture, unit 1, "Derivative wrt a weight matrix")."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def linear(x: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> Array:
    """The affine map z = Wx + b, for one vector x or for every row of a batch.

    Element by element, z_i = Σ_k W_ik x_k + b_i. A batch keeps one vector x to a row, X (N, n); the same sum
    then reads Z = X Wᵀ + 1bᵀ, (N, m) = (N, n)(n, m) + (N, 1)(1, m).

    Args:
        x: (..., n), rows under any leading axes, of any size including zero.
        W: (m, n), outputs × inputs, as in the lecture.
        b: (m,), or None for no bias.

    Returns:
        z, (..., m).

    Raises:
        ValueError: where the shapes of x, W and b do not fit.
    """
    x, W, b = _checked(x, W, b)
    z = x @ W.T
    return z if b is None else z + b


def linear_vjp(
    x: ArrayLike, W: ArrayLike, b: ArrayLike | None, dy: ArrayLike
) -> tuple[Array, Array, Array | None]:
    """Gradients of a scalar s by x, W and b, given δ = ∂s/∂z.

    Names and shapes, for one vector: x (n,), W (m, n), b (m,), z = Wx + b (m,), and δ (m,), the argument dy:
    the error signal that arrives at z has z's shape.

    Element by element. In z_i = Σ_k W_ik x_k + b_i no other row of W and no other entry of b occurs, so

        ∂z_i/∂W_ij = x_j,    ∂z_i/∂b_i = 1,    ∂z_k/∂W_ij = ∂z_k/∂b_i = 0 where k ≠ i,    ∂z_k/∂x_j = W_kj.

    s depends on all of z. The chain rule adds up every path, one through each output k = 1 … m:

        ∂s/∂W_ij = Σ_k δ_k ∂z_k/∂W_ij = δ_i x_j            (one path only: error signal × local gradient)
        ∂s/∂b_i  = Σ_k δ_k ∂z_k/∂b_i  = δ_i
        ∂s/∂x_j  = Σ_k δ_k ∂z_k/∂x_j  = Σ_k W_kj δ_k       (x_j feeds every output)

    Matrix form. By the shape convention a gradient has the shape of what it belongs to:

        ∂s/∂W = δ xᵀ      (m, n) = (m, 1)(1, n)
        ∂s/∂b = δ         (m,)
        ∂s/∂x = Wᵀ δ      (n,)   = (n, m)(m,)

    A batch of N rows, X (N, n) and Δ (N, m). W and b are used once by every row, so their gradients add over
    rows; a row of X is used once:

        ∂s/∂W = Σ_r δ_r x_rᵀ = Δᵀ X,      ∂s/∂b = Σ_r δ_r = Δᵀ 1,      ∂s/∂X = Δ W.

    Two slips on the slides. The sum in ∂s/∂W_ij is written there as Σ_{k=1…4} δ ∂z_k/∂W_ij: k runs over the
    outputs (two in that example, not the four inputs), and the factor is δ_k, an entry of δ. Under δxᵀ stand
    the shapes m × n, n × 1, 1 × m: it is m × n = (m × 1)(1 × n).

    Args:
        x: (..., n).
        W: (m, n).
        b: (m,) or None.
        dy: δ, (..., m).

    Returns:
        (dx, dW, db) with the shapes of x, W and b; db is None where b is.

    Raises:
        ValueError: where a shape does not fit.
    """
    x, W, b = _checked(x, W, b)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != (*x.shape[:-1], W.shape[0]):
        raise ValueError(f"dy has shape {dy.shape} but z has shape {(*x.shape[:-1], W.shape[0])}")
    rows = tuple(range(x.ndim - 1))
    dx = dy @ W
    dW = np.tensordot(dy, x, axes=(rows, rows))
    return dx, dW, None if b is None else dy.sum(axis=rows)


def _checked(x: ArrayLike, W: ArrayLike, b: ArrayLike | None) -> tuple[Array, Array, Array | None]:
    x = np.asarray(x, dtype=np.float64)
    W = np.asarray(W, dtype=np.float64)
    if W.ndim != 2:
        raise ValueError(f"W must have shape (outputs, inputs), got {W.shape}")
    if x.ndim == 0:
        raise ValueError("x must have an axis of inputs, got a scalar")
    if x.shape[-1] != W.shape[1]:
        raise ValueError(f"W has shape {W.shape} but x ends in {x.shape[-1]}")
    if b is None:
        return x, W, None
    b = np.asarray(b, dtype=np.float64)
    if b.shape != W.shape[:1]:
        raise ValueError(f"b has shape {b.shape} but W has shape {W.shape}, so b must be {W.shape[:1]}")
    return x, W, b


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "linear": [
        ("f64[4]", "f64[3,4]", "f64[3]"),
        ("f64[2,5,4]", "f64[3,4]", "f64[3]"),
        ("f64[5,4]", "f64[3,4]", None),
    ],
}

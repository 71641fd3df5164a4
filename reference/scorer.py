"""The lecture's scorer s = uᵀ f(Wx + b): all its gradients at once, and one at a time.

Every scalar multiplication of two numbers is made in one place, `_Multiplier.times`, and counted there.

Source: lecture, unit 1 "Derivative wrt a weight matrix"; unit 2 "Efficiency".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.activations import hardtanh, sigmoid, tanh

Array = NDArray[np.float64]
Gradients = tuple[Array, Array, Array, Array]

_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": tanh,
    "sigmoid": sigmoid,
    "hardtanh": hardtanh,
    "identity": lambda z: z,
}


def scorer(x: ArrayLike, W: ArrayLike, b: ArrayLike, u: ArrayLike, f: str = "tanh") -> np.float64:
    """The score s = uᵀh, h = f(z), z = Wx + b of a window x, say for "its middle word is a place".

    Args:
        x: (n,).
        W: (m, n).
        b: (m,).
        u: (m,).
        f: "tanh", "sigmoid", "hardtanh" or "identity" (the lecture's first example, s = uᵀz).

    Returns:
        s, a scalar.

    Raises:
        ValueError: where a shape does not fit, or f is unknown.
    """
    x, W, b, u = _checked(x, W, b, u, f)
    _, h = _forward(_Multiplier(), x, W, b, f)
    return np.float64(u @ h)


def scorer_vjp(
    x: ArrayLike, W: ArrayLike, b: ArrayLike, u: ArrayLike, f: str, dy: ArrayLike
) -> tuple[Array, Array, Array, Array, None]:
    """All gradients of the scorer in one sweep, times dy, the gradient that arrives at s.

    Names and shapes: x (n,), W (m, n), b (m,), u (m,), z = Wx + b (m,), h = f(z) (m,), s = uᵀh a scalar.

    Element by element, from the score back to the input:

        s = Σ_i u_i h_i           ∂s/∂u_i  = h_i,     ∂s/∂h_i = u_i
        h_i = f(z_i)              ∂s/∂z_i  = u_i f'(z_i) = δ_i
        z_i = Σ_j W_ij x_j + b_i  ∂s/∂W_ij = δ_i x_j, ∂s/∂b_i = δ_i, ∂s/∂x_j = Σ_i W_ij δ_i

    Matrix form. The chain rules

        ∂s/∂W = ∂s/∂h ∂h/∂z ∂z/∂W,      ∂s/∂b = ∂s/∂h ∂h/∂z ∂z/∂b,      ∂s/∂x = ∂s/∂h ∂h/∂z ∂z/∂x

    begin with the same two factors. Their product is the error signal δ = u ∘ f'(z), (m,), and computing it
    once is the point of backpropagation:

        ∂s/∂u = h (m,),    ∂s/∂W = δxᵀ (m, n),    ∂s/∂b = δ (m,),    ∂s/∂x = Wᵀδ (n,).

    What it costs, see `scorer_gradients` and `scorer_gradients_one_at_a_time`.

    Args:
        x: (n,).
        W: (m, n).
        b: (m,).
        u: (m,).
        f: as in `scorer`.
        dy: ∂L/∂s, a scalar.

    Returns:
        (dx, dW, db, du, None), in the shapes of x, W, b and u.

    Raises:
        ValueError: as `scorer`, and where dy is not a scalar.
    """
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != ():
        raise ValueError(f"dy must be a scalar, got shape {dy.shape}")
    dx, dW, db, du = scorer_gradients(x, W, b, u, f)[0]
    return dy * dx, dy * dW, dy * db, dy * du, None


def scorer_gradients(
    x: ArrayLike, W: ArrayLike, b: ArrayLike, u: ArrayLike, f: str = "tanh"
) -> tuple[Gradients, int]:
    """The gradients of s in one sweep: z and h forward once, δ once, and each gradient from them.

    Three products of size mn dominate: Wx, δxᵀ and Wᵀδ. So all gradients together cost about three times the
    score itself, however many weights there are.

    Args:
        x: (n,).
        W: (m, n).
        b: (m,).
        u: (m,).
        f: as in `scorer`.

    Returns:
        ((dx, dW, db, du), multiplications): the scalar multiplications that were made.

    Raises:
        ValueError: as `scorer`.
    """
    x, W, b, u = _checked(x, W, b, u, f)
    multiplier = _Multiplier()
    z, h = _forward(multiplier, x, W, b, f)
    delta = _delta(multiplier, z, h, u, f)
    dW = multiplier.times(delta[:, None], x[None, :])
    dx = multiplier.times(W, delta[:, None]).sum(axis=0)
    return (dx, dW, delta, h), multiplier.count


def scorer_gradients_one_at_a_time(
    x: ArrayLike, W: ArrayLike, b: ArrayLike, u: ArrayLike, f: str = "tanh"
) -> tuple[Gradients, int]:
    """The same gradients, each by its own chain rule from the beginning.

    z and h are computed for each of the four, and δ anew for dx, dW and db.

    Six products of size mn, against three. Here that is twice the work. In a network of L such layers the δ
    of the lowest one passes through all others, so anew for each layer it takes about L²/2 products and in
    one sweep L.

    Args:
        x: (n,).
        W: (m, n).
        b: (m,).
        u: (m,).
        f: as in `scorer`.

    Returns:
        ((dx, dW, db, du), multiplications): the scalar multiplications that were made.

    Raises:
        ValueError: as `scorer`.
    """
    x, W, b, u = _checked(x, W, b, u, f)
    multiplier = _Multiplier()

    def delta_from_the_beginning() -> Array:
        return _delta(multiplier, *_forward(multiplier, x, W, b, f), u, f)

    dx = multiplier.times(W, delta_from_the_beginning()[:, None]).sum(axis=0)
    dW = multiplier.times(delta_from_the_beginning()[:, None], x[None, :])
    db = delta_from_the_beginning()
    _, du = _forward(multiplier, x, W, b, f)
    return (dx, dW, db, du), multiplier.count


class _Multiplier:
    """Multiplies entry by entry, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def times(self, x: Array, y: Array) -> Array:
        products = x * y
        self.count += products.size
        return products


def _forward(multiplier: _Multiplier, x: Array, W: Array, b: Array, f: str) -> tuple[Array, Array]:
    """The layer's z and h."""
    z = multiplier.times(W, x[None, :]).sum(axis=1) + b
    return z, _FUNCTIONS[f](z)


def _delta(multiplier: _Multiplier, z: Array, h: Array, u: Array, f: str) -> Array:
    """δ = u ∘ f'(z). A slope of 0 or 1 selects and multiplies nothing.

    tanh and sigmoid have their slopes in terms of h, as on the slides; `reference.activations` has the forms
    that do not cancel where h is near 1.
    """
    if f == "identity":
        return u.copy()
    if f == "hardtanh":
        return np.where(np.abs(z) <= 1.0, u, 0.0)
    slope = 1.0 - multiplier.times(h, h) if f == "tanh" else multiplier.times(h, 1.0 - h)
    return multiplier.times(u, slope)


def _checked(
    x: ArrayLike, W: ArrayLike, b: ArrayLike, u: ArrayLike, f: str
) -> tuple[Array, Array, Array, Array]:
    x, W, b, u = (np.asarray(value, dtype=np.float64) for value in (x, W, b, u))
    if f not in _FUNCTIONS:
        raise ValueError(f"f must be one of {', '.join(_FUNCTIONS)}, got {f!r}")
    if W.ndim != 2:
        raise ValueError(f"W must have shape (hidden, inputs), got {W.shape}")
    for name, value, shape in (("x", x, W.shape[1:]), ("b", b, W.shape[:1]), ("u", u, W.shape[:1])):
        if value.shape != shape:
            raise ValueError(f"{name} must have shape {shape} for W of shape {W.shape}, got {value.shape}")
    return x, W, b, u


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "scorer": [("f64[4]", "f64[3,4]", "f64[3]", "f64[3]", f"'{f}'") for f in _FUNCTIONS],
}

"""How large random weights should be at the start, on paper (lecture, unit 3, "Weight Initialization").

One layer z = Wx + b, x (n_in,), W (n_out, n_in). Suppose that all W_ij are independent with mean 0 and
variance v, that they are independent of x and of δ, that b = 0, and that f'(z) is about 1 (tanh near 0).

Forward, element by element: z_i = Σ_j W_ij x_j has n_in terms. A product of independent factors, one of mean
0, has the variance Var(W_ij) E[x_j²], and variances of uncorrelated terms add up:

    Var(z_i) = n_in v E[x²].

The signal keeps its size from layer to layer where n_in v = 1.

Backward: ∂s/∂x_j = Σ_i W_ij δ_i (`reference.linear`) has n_out terms, so in the same way

    Var(∂s/∂x_j) = n_out v E[δ²].

The gradient keeps its size where n_out v = 1. Otherwise L layers scale it by (n_out v)^L: it vanishes or
explodes.

Both hold only where n_in = n_out. Glorot and Bengio (2010; Xavier) take the v that belongs to the mean of the
two:

    (n_in + n_out)/2 · v = 1,      v = Var(W) = 2 / (n_in + n_out).

A uniform variable on (-r, r) has variance ∫ w² dw / (2r) = r²/3. So the uniform distribution of variance v
has

    r = √(3v) = √(6 / (n_in + n_out)).

With relu f'(z) is not about 1: it is 1 for one half of the units and 0 for the other. Let the weights'
distribution be symmetric (uniform and normal are). Then z is symmetric about 0 given any x, since turning the
sign of all weights turns the sign of z. x = relu(z) of the layer before keeps z² where z > 0, so it has half
of the sum:

    E[x²] = E[z²; z > 0] = E[z²] / 2 = Var(z) / 2.

(x has a mean above 0, so this is E[x²] and not Var(x); it is E[x²] that the forward pass needs.) Hence

    Var(z_next) = n_in v E[x²] = n_in v Var(z) / 2,

and the signal keeps its size where n_in v / 2 = 1: He et al. (2015) take

    v = Var(W) = 2 / n_in,      r = √(3v) = √(6 / n_in)    (uniform),      σ = √v    (normal).

Backward, δ = f'(z) ∂s/∂x is 0 for half of the units: E[δ²] = E[(∂s/∂x)²] / 2, where f'(z) and ∂s/∂x are
taken to be independent. So a layer scales the gradient's variance by n_out v / 2, which is n_out / n_in with
this v. One layer's n_out is the next one's n_in: over L layers the product is n_out of the last / n_in of the
first. It does not grow with L, so no second condition is needed. Xavier's v would halve both mean squares in
every layer of equal width: 2^-L after L of them.

Biases start at zero: they break no symmetry that random weights have not already broken.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def xavier_variance(n_in: int, n_out: int) -> float:
    """Var(W) = 2 / (n_in + n_out).

    Args:
        n_in: inputs of the layer.
        n_out: outputs of the layer.

    Returns:
        The variance of each weight.

    Raises:
        ValueError: where n_in or n_out is below 1.
    """
    _check_size("n_in", n_in)
    _check_size("n_out", n_out)
    return 2.0 / (n_in + n_out)


def xavier_bound(n_in: int, n_out: int) -> float:
    """The bound r = √(6 / (n_in + n_out)) of the uniform distribution of `xavier_variance`.

    Args:
        n_in: inputs of the layer.
        n_out: outputs of the layer.

    Returns:
        r.

    Raises:
        ValueError: where n_in or n_out is below 1.
    """
    return math.sqrt(3.0 * xavier_variance(n_in, n_out))


def xavier_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> Array:
    """Weights of one layer, uniform with `xavier_bound`.

    Args:
        rng: the generator to draw from.
        n_in: inputs of the layer.
        n_out: outputs of the layer.

    Returns:
        W, (n_out, n_in): outputs × inputs, as in the lecture.

    Raises:
        ValueError: where n_in or n_out is below 1.
    """
    return uniform(rng, (n_out, n_in), xavier_bound(n_in, n_out))


def he_variance(n_in: int) -> float:
    """Var(W) = 2 / n_in, for a layer behind relu.

    Args:
        n_in: inputs of the layer.

    Returns:
        The variance of each weight.

    Raises:
        ValueError: where n_in is below 1.
    """
    _check_size("n_in", n_in)
    return 2.0 / n_in


def he_bound(n_in: int) -> float:
    """The bound r = √(6 / n_in) of the uniform distribution of `he_variance`.

    Args:
        n_in: inputs of the layer.

    Returns:
        r.

    Raises:
        ValueError: where n_in is below 1.
    """
    return math.sqrt(3.0 * he_variance(n_in))


def he_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> Array:
    """Weights of one layer behind relu, uniform with `he_bound`.

    Args:
        rng: the generator to draw from.
        n_in: inputs of the layer.
        n_out: outputs of the layer.

    Returns:
        W, (n_out, n_in): outputs × inputs, as in the lecture.

    Raises:
        ValueError: where n_in or n_out is below 1.
    """
    r = he_bound(n_in)
    _check_size("n_out", n_out)
    return uniform(rng, (n_out, n_in), r)


def he_normal(rng: np.random.Generator, n_in: int, n_out: int) -> Array:
    """Weights of one layer behind relu, normal with mean 0 and `he_variance`; nothing is cut off.

    Args:
        rng: the generator to draw from.
        n_in: inputs of the layer.
        n_out: outputs of the layer.

    Returns:
        W, (n_out, n_in): outputs × inputs, as in the lecture.

    Raises:
        ValueError: where n_in or n_out is below 1.
    """
    deviation = math.sqrt(he_variance(n_in))
    _check_size("n_out", n_out)
    return rng.normal(0.0, deviation, size=(n_out, n_in))


def uniform(rng: np.random.Generator, shape: tuple[int, ...], r: float) -> Array:
    """Weights from the lecture's Uniform(-r, r), r chosen by hand (neither very small nor very large).

    Args:
        rng: the generator to draw from.
        shape: the weights' shape.
        r: the bound, at least 0.

    Returns:
        Weights of that shape, of variance r²/3.

    Raises:
        ValueError: where r is below 0 or not finite.
    """
    if not 0.0 <= r < math.inf:
        raise ValueError(f"r must be at least 0 and finite, got {r}")
    return rng.uniform(-r, r, size=shape)


def zeros(shape: tuple[int, ...]) -> Array:
    """Biases at the start.

    Args:
        shape: the biases' shape, (n_out,) for a layer.

    Returns:
        Zeros of that shape.
    """
    return np.zeros(shape)


def _check_size(name: str, size: int) -> None:
    if size < 1:
        raise ValueError(f"{name} must be at least 1, got {size}")

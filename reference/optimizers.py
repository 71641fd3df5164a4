"""One step of each optimizer, on paper (lecture, unit 3 "Optimizer").

θ are the parameters before the step, g the gradient there, η the learning rate, t = 1, 2, … the step. All
rules are entrywise: arrays of any shape, and a model's parameters one array after the other. Whatever a rule
remembers between steps starts at 0 (Adagrad's sum: as said there) and is handed in and out.

SGD goes down the gradient; momentum adds up a velocity; the adaptive ones divide each entry by the size that
its gradients have had. Adagrad takes their sum, which only grows, so its rate only falls; RMSprop and Adam a
running mean, which forgets. A running mean that starts at 0 is too small at first. With weights that do not
depend on g,

    v_t = β v_{t-1} + (1 - β) x_t = (1 - β) Σ_{i=1…t} β^{t-i} x_i,      (1 - β) Σ_i β^{t-i} = 1 - β^t,

so where all x_i have the same mean, E[v_t] = (1 - β^t) E[x], and v̂_t = v_t / (1 - β^t) has the mean of x.

**RAdam.** Adam's rate for one entry is η ψ_t with ψ_t = 1/√v̂_t. At the start v̂_t is a mean of a few squares,
and ψ_t varies widely. How does its variance fall with t? Let the g_i be independent and normal of mean 0 and
variance σ², much as at the start of training. Three steps:

1. *How many squares?* Treat v̂_t as the plain mean of the last ρ squares, ρ such that both have the same mean
   age. The ages 0 … ρ - 1 have the mean (ρ - 1)/2. In v̂_t age i has the weight (1 - β) β^i / (1 - β^t):

       Σ_{i=0…t-1} i β^i (1 - β) / (1 - β^t) = β/(1 - β) - t β^t / (1 - β^t).

   Equal where ρ_t = ρ_∞ - 2 t β^t / (1 - β^t) with ρ_∞ = 2/(1 - β) - 1. So ρ_1 = 1, ρ_t is near t as long as
   t is far below ρ_∞, and tends to ρ_∞ (1999 for β = 0.999).
2. *The variance.* The sum of ρ squares is σ² χ²_ρ, so ψ² = ρ / (σ² χ²_ρ), a multiple of an inverse χ²:

       E[ψ²] = ρ / (σ² (ρ - 2)),      Var(ψ²) = 2ρ² / (σ⁴ (ρ - 2)² (ρ - 4)),      finite for ρ > 4 alone.

   To first order about the mean √u has the variance Var(u) / (4 E[u]):

       Var(ψ) ≈ ρ / (2 σ² (ρ - 2)(ρ - 4)),      which falls with ρ.

3. *Rectified.* r_t ψ_t has at every step the variance that ψ ends with at ρ_∞ if

       r_t² = Var at ρ_∞ / Var at ρ_t = (ρ_t - 4)(ρ_t - 2) ρ_∞ / ((ρ_∞ - 4)(ρ_∞ - 2) ρ_t):

   near 0 at first, 1 in the end. It is a warm-up of the rate that nobody had to tune.

Where ρ_t ≤ 4 the formula has no value, and the step is momentum's, un-adapted: -η m̂_t. The paper asks for
ρ_t > 4; its authors' code and optax ask for ρ_t ≥ 5, which with β = 0.999 holds from t = 6 on. With β ≤ 0.6
ρ_∞ is at most 4, and RAdam is momentum for ever.

Source: lecture, unit 3 "Optimizer"; Nesterov 1983 and Sutskever et al. 2013; Duchi et al. 2011; Tieleman and
    Hinton 2012; Kingma and Ba 2015; Loshchilov and Hutter 2019; Liu et al. 2020.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def sgd(
    theta: ArrayLike,
    gradient: ArrayLike,
    velocity: ArrayLike,
    *,
    rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> tuple[Array, Array]:
    """A step of gradient descent: v ← μ v + g, θ ← θ - η v; plain where μ = 0.

    Under a constant g the velocity tends to g / (1 - μ): with μ = 0.9 steps are ten times as long, while what
    changes its sign from step to step cancels.

    Nesterov's takes the gradient where momentum alone would lead to, θ' = θ - η μ v:

        v ← μ v + g(θ'),      θ ← θ - η v.

    Written in θ', so that g is wanted where the parameters are (η constant):

        θ'_t = θ_t - η μ v_t = (θ'_{t-1} + η μ v_{t-1}) - η v_t - η μ v_t = θ'_{t-1} - η (g_t + μ v_t),

    for v_t - μ v_{t-1} = g_t. That is the step here: v ← μ v + g, θ ← θ - η (g + μ v).

    Args:
        theta: θ, any shape.
        gradient: g, of theta's shape.
        velocity: v, of theta's shape.
        rate: η.
        momentum: μ, in [0, 1).
        nesterov: whether the gradient counts as taken ahead.

    Returns:
        (theta, velocity) after the step.

    Raises:
        ValueError: where shapes differ, or momentum is out of range.
    """
    theta, gradient, velocity = _checked(theta=theta, gradient=gradient, velocity=velocity)
    _check_factor("momentum", momentum)
    velocity = momentum * velocity + gradient
    return theta - rate * (gradient + momentum * velocity if nesterov else velocity), velocity


def adagrad(
    theta: ArrayLike, gradient: ArrayLike, total: ArrayLike, *, rate: float, epsilon: float = 1e-7
) -> tuple[Array, Array]:
    """A step of Adagrad: s ← s + g², θ ← θ - η g / √(s + ε).

    An entry whose gradient is rarely other than 0, such as a rare word's vector, keeps a large rate. With
    gradients of one size c the rate is η / (c √t).

    Args:
        theta: θ, any shape.
        gradient: g, of theta's shape.
        total: s, of theta's shape; it starts at a small number (optax: 0.1).
        rate: η.
        epsilon: ε, in the root. Where s = 0 there has been no gradient, and no step is made.

    Returns:
        (theta, total) after the step.

    Raises:
        ValueError: where shapes differ.
    """
    theta, gradient, total = _checked(theta=theta, gradient=gradient, total=total)
    total = total + gradient**2
    return theta - rate * gradient * np.where(total > 0.0, 1.0 / np.sqrt(total + epsilon), 0.0), total


def rmsprop(
    theta: ArrayLike,
    gradient: ArrayLike,
    square: ArrayLike,
    *,
    rate: float,
    decay: float = 0.9,
    epsilon: float = 1e-8,
) -> tuple[Array, Array]:
    """A step of RMSprop: v ← β v + (1 - β) g², θ ← θ - η g / √(v + ε).

    v is not corrected for its start at 0, so the first steps are longer: the first is -η g/(√(1 - β) |g|),
    three times η where β = 0.9.

    Args:
        theta: θ, any shape.
        gradient: g, of theta's shape.
        square: v, of theta's shape.
        rate: η.
        decay: β, in [0, 1).
        epsilon: ε, in the root.

    Returns:
        (theta, square) after the step.

    Raises:
        ValueError: where shapes differ, or decay is out of range.
    """
    theta, gradient, square = _checked(theta=theta, gradient=gradient, square=square)
    _check_factor("decay", decay)
    square = decay * square + (1.0 - decay) * gradient**2
    return theta - rate * gradient / np.sqrt(square + epsilon), square


def adam(
    theta: ArrayLike,
    gradient: ArrayLike,
    mean: ArrayLike,
    square: ArrayLike,
    step: int,
    *,
    rate: float,
    b1: float = 0.9,
    b2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """A step of Adam: means of g and of g², both corrected, θ ← θ - η m̂ / (√v̂ + ε).

        m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²,   m̂ = m / (1 - β₁^t),   v̂ = v / (1 - β₂^t)

    Gradients c times as large change nothing (up to ε), and |m̂|/√v̂ is 1 where they do not change: η is the
    length of a step in each entry, not a factor of the gradient. The first step is -η g/|g|.

    Args:
        theta: θ, any shape.
        gradient: g, of theta's shape.
        mean: m, of theta's shape.
        square: v, of theta's shape.
        step: t, this step's number, from 1.
        rate: η.
        b1: β₁, in [0, 1).
        b2: β₂, in [0, 1).
        epsilon: ε, beside the root.

    Returns:
        (theta, mean, square) after the step.

    Raises:
        ValueError: where shapes differ, step is below 1, or b1 or b2 is out of range.
    """
    theta, mean_hat, square_hat, mean, square = _corrected(theta, gradient, mean, square, step, b1, b2)
    return theta - rate * mean_hat / (np.sqrt(square_hat) + epsilon), mean, square


def adamw(
    theta: ArrayLike,
    gradient: ArrayLike,
    mean: ArrayLike,
    square: ArrayLike,
    step: int,
    *,
    rate: float,
    b1: float = 0.9,
    b2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 1e-4,
) -> tuple[Array, Array, Array]:
    """A step of AdamW: Adam's, and beside it θ ← θ - η λ θ.

    For plain SGD this is the penalty (λ/2) Σ θ² of `reference.l2`, whose gradient is λ θ. For Adam it is not:
    added to g, λ θ would be divided by √v̂ as well, and weights with large gradients would hardly decay.
    Apart from g every weight is multiplied by 1 - ηλ.

    Args:
        theta: as in `adam`.
        gradient: as in `adam`; of the loss without penalty.
        mean: as in `adam`.
        square: as in `adam`.
        step: as in `adam`.
        rate: as in `adam`.
        b1: as in `adam`.
        b2: as in `adam`.
        epsilon: as in `adam`.
        weight_decay: λ.

    Returns:
        (theta, mean, square) after the step.

    Raises:
        ValueError: as `adam`.
    """
    before = np.asarray(theta, dtype=np.float64)
    moved, mean, square = adam(theta, gradient, mean, square, step, rate=rate, b1=b1, b2=b2, epsilon=epsilon)
    return moved - rate * weight_decay * before, mean, square


def radam(
    theta: ArrayLike,
    gradient: ArrayLike,
    mean: ArrayLike,
    square: ArrayLike,
    step: int,
    *,
    rate: float,
    b1: float = 0.9,
    b2: float = 0.999,
    epsilon: float = 1e-8,
    threshold: float = 5.0,
) -> tuple[Array, Array, Array]:
    """A step of RAdam: θ ← θ - η r_t m̂ / (√v̂ + ε) where ρ_t reaches the threshold, else θ ← θ - η m̂.

    Args:
        theta: as in `adam`.
        gradient: as in `adam`.
        mean: as in `adam`.
        square: as in `adam`.
        step: as in `adam`.
        rate: as in `adam`.
        b1: as in `adam`.
        b2: as in `adam`.
        epsilon: as in `adam`.
        threshold: the least ρ_t, above 4, with which the rate is adapted.

    Returns:
        (theta, mean, square) after the step.

    Raises:
        ValueError: as `adam`, or where threshold is not above 4.
    """
    if not threshold > 4.0:
        raise ValueError(f"threshold must be above 4, got {threshold}")
    theta, mean_hat, square_hat, mean, square = _corrected(theta, gradient, mean, square, step, b1, b2)
    if averaged_squares(step, b2) >= threshold:
        mean_hat = rectification(step, b2) * mean_hat / (np.sqrt(square_hat) + epsilon)
    return theta - rate * mean_hat, mean, square


def averaged_squares(step: int, b2: float = 0.999) -> float:
    """ρ_t = ρ_∞ - 2 t β₂^t / (1 - β₂^t): of how many squares Adam's v̂_t is a mean, by their mean age.

    Args:
        step: t, from 1.
        b2: β₂, in [0, 1).

    Returns:
        ρ_t, from 1 (t = 1) up to ρ_∞ = 2/(1 - β₂) - 1.

    Raises:
        ValueError: where step is below 1 or b2 is out of range.
    """
    _check_step(step)
    _check_factor("b2", b2)
    power = b2**step
    return 2.0 / (1.0 - b2) - 1.0 - 2.0 * step * power / (1.0 - power)


def rectification(step: int, b2: float = 0.999) -> float:
    """r_t, which gives the adaptive rate the variance that it has in the end.

    Args:
        step: t, from 1.
        b2: β₂, in [0, 1).

    Returns:
        r_t, in (0, 1].

    Raises:
        ValueError: where ρ_t is at most 4, so that the formula has no value; and as `averaged_squares`.
    """
    rho, limit = averaged_squares(step, b2), 2.0 / (1.0 - b2) - 1.0
    if not rho > 4.0:
        raise ValueError(f"step {step} with b2 {b2} averages {rho:.3g} squares, and above 4 are needed")
    return math.sqrt((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho))


def _corrected(
    theta: ArrayLike,
    gradient: ArrayLike,
    mean: ArrayLike,
    square: ArrayLike,
    step: int,
    b1: float,
    b2: float,
) -> tuple[Array, Array, Array, Array, Array]:
    """θ, m̂ and v̂; and m and v, to be kept."""
    theta, gradient, mean, square = _checked(theta=theta, gradient=gradient, mean=mean, square=square)
    _check_step(step)
    _check_factor("b1", b1)
    _check_factor("b2", b2)
    mean = b1 * mean + (1.0 - b1) * gradient
    square = b2 * square + (1.0 - b2) * gradient**2
    return theta, mean / (1.0 - b1**step), square / (1.0 - b2**step), mean, square


def _checked(**arrays: ArrayLike) -> list[Array]:
    """The arrays in float64, which must have the shape of the first."""
    checked = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
    shape = checked["theta"].shape
    for name, array in checked.items():
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape} but theta has shape {shape}")
    return list(checked.values())


def _check_factor(name: str, factor: float) -> None:
    if not 0.0 <= factor < 1.0:
        raise ValueError(f"{name} must be in [0, 1), got {factor}")


def _check_step(step: int) -> None:
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step}")

"""A recurrent layer, and backpropagation through time.

When does the gradient explode or vanish? Over one step h_t = f(z_t), z_t = W_h h_{t-1} + …, the chain rule
multiplies by one matrix, and over k steps by their product:

    ∂s/∂h_{t-1} = W_hᵀ D_t ∂s/∂h_t          with D_t = diag(f'(z_t)), (m, m)
    ∂s/∂h_{t-k} = (W_hᵀ D_{t-k+1}) … (W_hᵀ D_t) ∂s/∂h_t.

Linear dynamics, f(z) = z. Every D is I and the product is the power (W_hᵀ)^k. Let W_h = V Λ V⁻¹ (it has a
basis of eigenvectors), λ_1 be the eigenvalue of largest modulus and ρ = |λ_1|. Then W_h^k = V Λ^k V⁻¹, hence

    ρ^k ≤ ‖W_h^k‖ ≤ κ(V) ρ^k      with κ(V) = ‖V‖ ‖V⁻¹‖ ≥ 1:

over many steps the gradient vanishes where ρ < 1, and where ρ > 1 it explodes, if it has any part along λ_1's
eigenvector. The slide says "largest eigenvalue": it is the modulus that counts, so that an eigenvalue of -2,
or a pair of ±2i, explodes as 2 does.

Normal and not. For a normal W_h (W_h W_hᵀ = W_hᵀ W_h: symmetric or orthogonal ones, for example) V can be
chosen unitary, κ(V) = 1, and ‖W_h^k‖ = ρ^k holds exactly, from the first step on. Otherwise ρ decides in the
limit alone: with W_h = [[½, 100], [0, ¼]] both eigenvalues are below 1, yet W_h² holds a 75.

With a nonlinearity ρ decides nothing by itself. f' ≤ 1 for tanh and relu, so a step stretches at most by the
largest singular value of W_h: where that is below 1 the gradient vanishes. Where it is not, the states choose
the D_t. Without input,

    ρ = 2, yet the gradient is 0:        W_h = -2I under relu. From h ≥ 0 every unit dies at once, D_1 = 0.
    ρ = 2, yet the gradient vanishes:    W_h = 2I under tanh. h settles where h = tanh(2h), at ±0.957…, and
                                         there a step multiplies by 2 (1 - h²) = 0.166….
    ρ = 0, yet the gradient explodes:    W_h = [[2, 2], [-2, -2]] under relu. W_h² = 0, but from h = (a, 0),
                                         a > 0, come z = (2a, -2a) and h = (2a, 0): the second unit stays
                                         off, the active part of W_h is 2, and states and gradients double.

What counts is the product of the D_t and W_hᵀ that occurred, which the eigenvalues of W_h alone do not tell.

Source: lecture, unit 3 "Exploding Gradients in vanilla RNNs".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.activations import relu, relu_vjp, tanh, tanh_vjp

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# f, and the product of f' with what arrives.
_ACTIVATIONS = {"tanh": (tanh, tanh_vjp), "relu": (relu, relu_vjp)}


def rnn(
    x: ArrayLike,
    W_x: ArrayLike,
    W_h: ArrayLike,
    b: ArrayLike | None = None,
    h0: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    *,
    activation: str = "tanh",
) -> Array:
    """The states h_t = f(W_h h_{t-1} + W_x x_t + b), for t = 1 … T.

    Args:
        x: (..., T, n), one row a step; T may be 0.
        W_x: (m, n), from the input.
        W_h: (m, m), from the previous state.
        b: (m,), or None for no bias.
        h0: the state before the first step, (..., m); None for zeros.
        mask: (..., T) of bool, or None. Where it is False the state passes through, h_t = h_{t-1}, and x_t is
            not read: padding may hold anything.
        activation: f, "tanh" or "relu".

    Returns:
        Every state h_1 … h_T, (..., T, m); the last one is the final state.

    Raises:
        ValueError: where shapes do not fit, or activation is another one.
        TypeError: where mask is not bool.
    """
    x, W_x, W_h, b, h0, counted = _checked(x, W_x, W_h, b, h0, mask, activation)
    return _states(x, W_x, W_h, b, h0, counted, activation)[1]


def rnn_vjp(
    x: ArrayLike,
    W_x: ArrayLike,
    W_h: ArrayLike,
    b: ArrayLike | None,
    h0: ArrayLike | None,
    mask: ArrayLike | None,
    dy: ArrayLike,
    *,
    activation: str = "tanh",
) -> tuple[Array, Array, Array, Array | None, Array | None, None]:
    """Gradients of a scalar s, given dy_t = ∂s/∂h_t by way of the output h_t alone.

    Names and shapes, for one sequence: x_t (n,), W_x (m, n), W_h (m, m), b (m,), z_t = W_h h_{t-1} + W_x x_t
    + b (m,), h_t = f(z_t) (m,), dy_t (m,).

    The state h_t is copied: to the output, and to the next step. Behind a copy gradients add, so with g_t for
    the whole gradient ∂s/∂h_t and δ_t for ∂s/∂z_t

        g_t = dy_t + (what comes from step t+1),      δ_t = f'(z_t) ∘ g_t.

    What comes from step t+1: h_t occurs in z_{t+1} = W_h h_t + …, a linear map whose input gradient is
    W_hᵀ δ_{t+1} (`reference.linear`). Nothing comes from beyond the end. So, from T down to 1,

        δ_t = f'(z_t) ∘ (dy_t + W_hᵀ δ_{t+1}),      δ_{T+1} = 0.

    Each z_t is a linear map of x_t and h_{t-1} with the same W_x, W_h and b. A step's share of their
    gradients is error signal × input, and behind weights that all steps use the shares add:

        ∂s/∂W_h = Σ_t δ_t h_{t-1}ᵀ    (m, m) = (m, 1)(1, m)      the state *before* the step
        ∂s/∂W_x = Σ_t δ_t x_tᵀ        (m, n) = (m, 1)(1, n)
        ∂s/∂b   = Σ_t δ_t             (m,)
        ∂s/∂x_t = W_xᵀ δ_t            (n,)   = (n, m)(m,)        x_t is used once
        ∂s/∂h_0 = W_hᵀ δ_1            (m,)                       h_0 is no output: nothing to add

    A batch adds over sequences too. f' is 1 - h_t² for tanh (computed from z_t, where it does not cancel:
    `tanh_vjp`) and [z_t > 0] for relu, whose kink at 0 passes nothing.

    Masked steps. Where the mask is False h_t = h_{t-1}, whatever x_t, W and b are: δ_t = 0, and the gradient
    passes the step as the state did, g_{t-1} = dy_{t-1} + g_t. Both cases in one line, with m_t = 1 or 0:

        δ_t = m_t f'(z_t) ∘ g_t,      g_{t-1} = dy_{t-1} + W_hᵀ δ_t + (1 - m_t) g_t.

    With T = 0 there is no step: the gradients of the weights and of h_0 are 0.

    Args:
        x: (..., T, n).
        W_x: (m, n).
        W_h: (m, m).
        b: (m,) or None.
        h0: (..., m) or None.
        mask: (..., T) of bool, or None.
        dy: (..., T, m).
        activation: as in `rnn`.

    Returns:
        (dx, dW_x, dW_h, db, dh0, None), in the shapes of the arguments; db and dh0 are None where b and h0
        are, and mask has no gradient.

    Raises:
        ValueError: as `rnn`, and where dy does not have the shape of the states.
        TypeError: as `rnn`.
    """
    bias_given, state_given = b is not None, h0 is not None
    x, W_x, W_h, b, h0, counted = _checked(x, W_x, W_h, b, h0, mask, activation)
    z, h = _states(x, W_x, W_h, b, h0, counted, activation)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != h.shape:
        raise ValueError(f"dy has shape {dy.shape} but the states have shape {h.shape}")
    _, through = _ACTIVATIONS[activation]
    delta = np.empty_like(h)
    from_next = np.zeros_like(h0)
    for t in reversed(range(x.shape[-2])):
        g = dy[..., t, :] + from_next
        runs = counted[..., t, None]
        delta[..., t, :] = np.where(runs, through(z[..., t, :], g)[0], 0.0)
        from_next = np.where(runs, delta[..., t, :] @ W_h, g)
    steps = tuple(range(x.ndim - 1))
    before = np.concatenate([h0[..., None, :], h], axis=-2)[..., :-1, :]
    # A step that did not run adds 0, also after a state of inf.
    before = np.where(counted[..., None], before, 0.0)
    dW_h = np.tensordot(delta, before, axes=(steps, steps))
    dW_x = np.tensordot(delta, x, axes=(steps, steps))
    db = delta.sum(axis=steps) if bias_given else None
    return delta @ W_x, dW_x, dW_h, db, from_next if state_given else None, None


def bare_rnn(W: ArrayLike, h0: ArrayLike, steps: int) -> Array:
    """The lecture's loop, without input and bias: h_t = max(0, W h_{t-1}), for t = 1 … steps.

    Args:
        W: (m, m).
        h0: the state before the first step, (..., m).
        steps: how many, at least 0.

    Returns:
        Every state h_1 … h_steps, (..., steps, m).

    Raises:
        ValueError: where W is not square, h0 does not fit it, or steps is below 0.
        TypeError: where steps is not an integer.
    """
    W, h, steps = _checked_bare(W, h0, steps)
    states = np.empty((*h.shape[:-1], steps, h.shape[-1]))
    for t in range(steps):
        h = np.maximum(0.0, h @ W.T)
        states[..., t, :] = h
    return states


def bare_rnn_vjp(W: ArrayLike, h0: ArrayLike, steps: int, dy: ArrayLike) -> tuple[Array, Array, None]:
    """Gradients of a scalar s by W and h_0, given dy_t = ∂s/∂h_t by way of the output h_t alone.

    Names and shapes, for one state: W (m, m), z_t = W h_{t-1} (m,), h_t = max(0, z_t) (m,), dy_t (m,).

    It is `rnn_vjp` with f = relu and nothing but the state:

        δ_t = [z_t > 0] ∘ (dy_t + Wᵀ δ_{t+1}),      ∂s/∂W = Σ_t δ_t h_{t-1}ᵀ,      ∂s/∂h_0 = Wᵀ δ_1.

    On the slide δ_t is dss[t], with [h_t > 0] for the mask, which is the same: max(0, z) > 0 where z > 0. Its
    gradient enters at the last state alone, so `dhs[t-1] = np.dot(whh.T, dss[t])` need not add dy_{t-1}; and
    the slide stops short of ∂s/∂W. At z_t = 0, the kink, relu passes nothing. Where all of a state is 0 no
    gradient gets back behind it.

    Args:
        W: (m, m).
        h0: (..., m).
        steps: as in `bare_rnn`.
        dy: (..., steps, m).

    Returns:
        (dW, dh0, None), in the shapes of W and h0; steps is an integer and has none.

    Raises:
        ValueError: as `bare_rnn`, and where dy does not have the shape of the states.
        TypeError: as `bare_rnn`.
    """
    W, h0, steps = _checked_bare(W, h0, steps)
    h = bare_rnn(W, h0, steps)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != h.shape:
        raise ValueError(f"dy has shape {dy.shape} but the states have shape {h.shape}")
    dW, from_next = np.zeros_like(W), np.zeros_like(h0)
    rows = tuple(range(h0.ndim - 1))
    for t in reversed(range(steps)):
        delta = np.where(h[..., t, :] > 0, dy[..., t, :] + from_next, 0.0)
        dW += np.tensordot(delta, h[..., t - 1, :] if t > 0 else h0, axes=(rows, rows))
        from_next = delta @ W
    return dW, from_next, None


def _states(
    x: Array, W_x: Array, W_h: Array, b: Array, h0: Array, counted: Mask, activation: str
) -> tuple[Array, Array]:
    """Every z_t and every h_t, (..., T, m) each."""
    f, _ = _ACTIVATIONS[activation]
    z = x @ W_x.T + b
    h = np.empty_like(z)
    state = h0
    for t in range(x.shape[-2]):
        z[..., t, :] += state @ W_h.T
        state = np.where(counted[..., t, None], f(z[..., t, :]), state)
        h[..., t, :] = state
    return z, h


def _checked(
    x: ArrayLike,
    W_x: ArrayLike,
    W_h: ArrayLike,
    b: ArrayLike | None,
    h0: ArrayLike | None,
    mask: ArrayLike | None,
    activation: str,
) -> tuple[Array, Array, Array, Array, Array, Mask]:
    """The arguments as arrays: 0 for what is None and for inputs that are masked, and which steps run."""
    if activation not in tuple(_ACTIVATIONS):
        raise ValueError(f"activation must be 'tanh' or 'relu', got {activation!r}")
    x = np.asarray(x, dtype=np.float64)
    W_x = np.asarray(W_x, dtype=np.float64)
    W_h = np.asarray(W_h, dtype=np.float64)
    if x.ndim < 2:
        raise ValueError(f"x must have shape (..., steps, inputs), got {x.shape}")
    if W_x.ndim != 2:
        raise ValueError(f"W_x must have shape (outputs, inputs), got {W_x.shape}")
    if x.shape[-1] != W_x.shape[1]:
        raise ValueError(f"W_x has shape {W_x.shape} but x ends in {x.shape[-1]}")
    m = W_x.shape[0]
    if W_h.shape != (m, m):
        raise ValueError(f"W_h has shape {W_h.shape} but W_x has shape {W_x.shape}, so W_h must be {(m, m)}")
    b = np.zeros(m) if b is None else np.asarray(b, dtype=np.float64)
    if b.shape != (m,):
        raise ValueError(f"b has shape {b.shape} but W_x has shape {W_x.shape}, so b must be {(m,)}")
    state = (*x.shape[:-2], m)
    h0 = np.zeros(state) if h0 is None else np.asarray(h0, dtype=np.float64)
    if h0.shape != state:
        raise ValueError(f"h0 has shape {h0.shape} but x has shape {x.shape}, so h0 must be {state}")
    if mask is None:
        return x, W_x, W_h, b, h0, np.ones(x.shape[:-1], dtype=bool)
    counted = np.asarray(mask)
    if counted.dtype != np.bool_:
        raise TypeError(f"mask must be bool, got dtype {counted.dtype}")
    if counted.shape != x.shape[:-1]:
        raise ValueError(
            f"mask has shape {counted.shape} but x has shape {x.shape}, so mask must be {x.shape[:-1]}"
        )
    return np.where(counted[..., None], x, 0.0), W_x, W_h, b, h0, counted


def _checked_bare(W: ArrayLike, h0: ArrayLike, steps: int) -> tuple[Array, Array, int]:
    W = np.asarray(W, dtype=np.float64)
    h0 = np.asarray(h0, dtype=np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"W must be square, (units, units), got {W.shape}")
    if h0.ndim == 0:
        raise ValueError("h0 must have an axis of units, got a scalar")
    if h0.shape[-1] != W.shape[0]:
        raise ValueError(f"W has shape {W.shape} but h0 ends in {h0.shape[-1]}")
    if not isinstance(steps, int | np.integer) or isinstance(steps, bool):
        raise TypeError(f"steps must be an integer, got {steps!r}")
    if steps < 0:
        raise ValueError(f"steps must be at least 0, got {steps}")
    return W, h0, int(steps)


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "rnn": [
        ("f64[4,3]", "f64[2,3]", "f64[2,2]", "f64[2]", "f64[2]", None),
        ("f64[2,4,3]", "f64[2,3]", "f64[2,2]", "f64[2]", "f64[2,2]", "bool[2,4]"),
        ("f64[2,4,3]", "f64[2,3]", "f64[2,2]", None, None, "bool[2,4]", "activation='relu'"),
        ("f64[4,3]", "f64[2,3]", "f64[2,2]", "f64[2]", "f64[2]", None, "activation='relu'"),
    ],
    "bare_rnn": [("f64[3,3]", "f64[3] positive", 4), ("f64[3,3]", "f64[2,3]", 3)],
}

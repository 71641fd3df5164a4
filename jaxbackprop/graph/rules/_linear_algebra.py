"""Factorizations: what a factor's gradient says of the matrix that was taken apart.

Each follows from the product of the factors by the product rule, solved for the factors' differentials.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._rule import Local, rule

_matmul = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)
_t = jnp.matrix_transpose


@rule("lu", formula="dx = Pᵀ L⁻ᵀ (⌊Lᵀ dL⌋ + ⌈dU Uᵀ⌉) U⁻ᵀ, ⌊⌋ below the diagonal, ⌈⌉ from it on (P x = L U)")
def _lu(at: Local, i: int, dy: jax.Array, *_: Any) -> jax.Array:
    factors, permutation = at.y[0], at.y[2]
    rows, columns = factors.shape[-2:]
    if rows != columns:
        raise NotImplementedError(f"the rule of lu is for square matrices, got {rows} x {columns}")
    upper = jnp.triu(factors)
    lower = jnp.tril(factors, -1) + _eye(factors[..., 0])
    inner = jnp.tril(_matmul(_t(lower), jnp.tril(dy, -1)), -1) + jnp.triu(_matmul(jnp.triu(dy), _t(upper)))
    inner = lax.linalg.triangular_solve(lower, inner, left_side=True, lower=True, transpose_a=True)
    inner = lax.linalg.triangular_solve(upper, inner, left_side=False, lower=False, transpose_a=True)
    back = jnp.argsort(permutation, axis=-1)
    return jnp.take_along_axis(inner, back[..., None], axis=-2)


@rule("qr", formula="dx = (dQ + Q (⌊M⌋ + ⌊M⌋ᵀ, the diagonal once)) R⁻ᵀ, M = R dRᵀ - dQᵀ Q (x = Q R)")
def _qr(at: Local, i: int, dq: jax.Array, dr: jax.Array, *_: Any) -> jax.Array:
    q, r = at.y[0], at.y[1]
    _refuse_complex("qr", at)
    if r.shape[-1] != r.shape[-2]:
        raise NotImplementedError(
            f"the rule of qr is for thin factors, got R of {r.shape[-2]} x {r.shape[-1]}"
        )
    inner = _matmul(r, _t(dr)) - _matmul(_t(dq), q)
    inner = jnp.tril(inner) + _t(jnp.tril(inner, -1))
    return lax.linalg.triangular_solve(
        r, dq + _matmul(q, inner), left_side=False, lower=False, transpose_a=True
    )


@rule("eigh", formula="dx = V̄ (F ∘ (Vᵀ dV) + diag(dw)) Vᵀ, F_ij = 1 / (w_j - w_i), 0 on the diagonal")
def _eigh(at: Local, i: int, dv: jax.Array, dw: jax.Array) -> jax.Array:
    v, w = at.y[0], at.y[1]
    apart = _apart(w).astype(v.dtype)
    inner = apart * _matmul(_t(v), dv) + _diagonal(dw.astype(v.dtype))
    return _matmul(_matmul(jnp.conj(v), inner), _t(v))


@rule(
    "svd",
    formula="dx = U (diag(ds) + (F ∘ (Uᵀ dU - dUᵀ U)) S + S (F ∘ (Vᵀ dV - dVᵀ V))) Vᵀ + what U, V leave out",
)
def _svd(at: Local, i: int, ds: jax.Array, *rest: jax.Array) -> jax.Array:
    _refuse_complex("svd", at)
    if not at.params["compute_uv"]:
        u, _, vt = jnp.linalg.svd(at.x[0], full_matrices=False)
        return _matmul(u * ds[..., None, :], vt)
    s, u, vt = at.y[0], at.y[1], at.y[2]
    if at.params["full_matrices"] and u.shape[-1] != vt.shape[-2]:
        raise NotImplementedError("the rule of svd is for full_matrices=False")
    du, dvt = rest
    apart = _apart(jnp.square(s))
    left = _matmul(_t(u), du)
    right = _matmul(vt, _t(dvt))
    inner = _diagonal(ds) + (apart * (left - _t(left))) * s[..., None, :]
    inner = inner + s[..., :, None] * (apart * (right - _t(right)))
    dx = _matmul(_matmul(u, inner), vt)
    dx = dx + _matmul((du - _matmul(u, left)) / s[..., None, :], vt)
    return dx + _matmul(u, (dvt - _matmul(_t(right), vt)) / s[..., :, None])


@rule("eig", formula="dx = V⁻ᵀ diag(dw) Vᵀ, its real part where x is real (x V = V diag(w))")
def _eig(at: Local, i: int, dw: jax.Array, *rest: jax.Array) -> jax.Array:
    if len(rest) or not at.operands[0].shape:
        raise NotImplementedError("the rule of eig is for eigenvalues alone: jnp.linalg.eigvals")
    _, v = jnp.linalg.eig(at.x[0])
    dx = jnp.linalg.solve(_t(v), dw[..., :, None] * _t(v))
    return dx if jnp.issubdtype(at.operands[0].dtype, jnp.complexfloating) else lax.real(dx)


@rule("tridiagonal_solve", formula="db = a⁻ᵀ dy, da = -db yᵀ on the three diagonals (y = a⁻¹ b)")
def _tridiagonal_solve(at: Local, i: int, dy: jax.Array) -> jax.Array:
    below, middle, above = at.x[0], at.x[1], at.x[2]
    none = jnp.zeros_like(below[..., :1])
    db = lax.linalg.tridiagonal_solve(
        jnp.concatenate([none, above[..., :-1]], -1),
        middle,
        jnp.concatenate([below[..., 1:], none], -1),
        dy,
    )
    if i == 3:
        return db
    y = at.y[0]
    if i == 1:
        return -jnp.sum(db * y, -1)
    if i == 0:
        return jnp.concatenate([none, -jnp.sum(db[..., 1:, :] * y[..., :-1, :], -1)], -1)
    return jnp.concatenate([-jnp.sum(db[..., :-1, :] * y[..., 1:, :], -1), none], -1)


def _apart(w: jax.Array) -> jax.Array:
    """1 / (w_j - w_i), and 0 on the diagonal."""
    eye = _eye(w)
    return jnp.reciprocal(eye + w[..., None, :] - w[..., :, None]) - eye


def _diagonal(w: jax.Array) -> jax.Array:
    return _eye(w) * w[..., None, :]


def _eye(w: jax.Array) -> jax.Array:
    """The identity of w's length and dtype, once for each vector."""
    return jnp.broadcast_to(jnp.eye(w.shape[-1], dtype=w.dtype), (*w.shape, w.shape[-1]))


def _refuse_complex(name: str, at: Local) -> None:
    if jnp.issubdtype(at.operands[0].dtype, jnp.complexfloating):
        raise NotImplementedError(f"the rule of {name} is for real matrices, got {at.operands[0].dtype}")

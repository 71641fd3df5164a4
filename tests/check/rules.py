"""Small custom VJPs, right and wrong in one way each, that several tests judge."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def normal(*shape, seed=0, dtype=np.float32):
    """Normal numbers as a JAX array, the same at every call."""
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape), dtype)


def rule(primal, bwd, *, fwd=None, static=()):
    """A custom VJP; by default all differentiable arguments are kept for the backward rule."""
    op = jax.custom_vjp(primal, nondiff_argnums=static)
    op.defvjp(fwd or (lambda *args: (primal(*args), args)), bwd)
    return op


def elementwise(f, slope):
    """A function of one array whose derivative is a slope."""
    return rule(f, lambda r, dy: (slope(r[0]) * dy,))


def sine(factor=1.0):
    """Sin, its gradient times a factor."""
    return elementwise(jnp.sin, lambda x: factor * jnp.cos(x))


def product(bwd=lambda r, dy: (r[1] * dy, r[0] * dy)):
    """The product of two arrays."""
    return rule(lambda x, y: x * y, bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 2))
def scaled(f, x, n, y):
    """A function scaled by a setting, plus an array: settings stand first and third."""
    return f(x) * n + y


scaled.defvjp(
    lambda f, x, n, y: (scaled(f, x, n, y), x),
    lambda f, n, x, dy: (jax.vjp(f, x)[1](n * dy)[0], dy),
)


@jax.custom_vjp
def affine(W, x, b):
    """W x + b for a batch of rows x."""
    return x @ W.T + b[None]


affine.defvjp(
    lambda W, x, b: (affine(W, x, b), (W, x)), lambda r, dy: (dy.T @ r[1], dy @ r[0], jnp.sum(dy, 0))
)


@jax.custom_vjp
def doubled_bias(W, x, b):
    """W x + b, whose db is twice what it should be."""
    return x @ W.T + b[None]


doubled_bias.defvjp(
    lambda W, x, b: (doubled_bias(W, x, b), (W, x)),
    lambda r, dy: (dy.T @ r[1], dy @ r[0], 2 * jnp.sum(dy, 0)),
)

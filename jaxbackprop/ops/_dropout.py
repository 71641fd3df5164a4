"""Dropout with inverted scaling."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from jaxbackprop._shapes import as_floats, as_static_bool, as_static_float
from jaxbackprop._sharding import Like, explicit_sharding, vary_together


def dropout(
    x: Float[ArrayLike, "..."], key: ArrayLike | None, rate: float, *, deterministic: bool = False
) -> Float[Array, "..."]:
    """Zeroes each entry with probability `rate` and divides the others by 1 - rate.

    Gradient: dx = dy / (1 - rate) where the entry was kept, else 0: the mask of the forward pass again. Keeps
    one bool an entry. The mask depends on key, rate and shape alone, not on dtype or on the x64 setting: an
    entry is kept where its 32 random bits are at least rate · 2³².

    Args:
        x: any shape.
        key: a JAX random key (typed, or raw uint32 words); may be None where nothing is dropped.
        rate: in [0, 1]; 1 drops everything; static.
        deterministic: returns x itself; static.

    Returns:
        The thinned x, of its shape and dtype.

    Raises:
        TypeError: where x is not floating-point, rate or deterministic is traced, or key is no single random
            key.
        ValueError: where rate is outside [0, 1].

    Source: lecture, unit 3 "Overfitting" (dropout); Srivastava et al. 2014.
    """
    (x,) = as_floats(x=x)
    rate = as_rate("rate", rate)
    if as_static_bool("deterministic", deterministic) or rate == 0:
        return x
    if drops_all(rate):
        return jnp.zeros_like(x)
    key = as_key(key)
    return _dropout(*vary_together((x,), key), key, rate)


def as_rate(name: str, rate: Any) -> float:
    """Converts a static probability to a Python float."""
    number = as_static_float(name, rate)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {number}")
    return number


def drops_all(rate: float) -> bool:
    """Whether no entry is kept, whatever its random bits are."""
    return _threshold(rate) == 2**32


def as_key(key: ArrayLike | None, name: str = "key") -> Array:
    """Converts a random key, typed or raw words, to a typed one."""
    if isinstance(key, np.ndarray):
        key = jnp.asarray(key)
    if not isinstance(key, jax.Array):
        raise TypeError(f"{name} must be a JAX random key, got {type(key).__name__}")
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and key.dtype != jnp.uint32:
        raise TypeError(f"{name} must be a JAX random key, got an array of dtype {key.dtype}")
    if typed and key.ndim == 0:
        return key
    # Raw words say by their number what they are, whatever the default generator is.
    if typed or key.shape not in ((2,), (4,)):
        raise TypeError(f"{name} must be a single random key, got shape {key.shape}")
    return jax.random.wrap_key_data(key, impl="threefry2x32" if key.shape == (2,) else "rbg")


def dropout_plain(x: Float[Array, "..."], key: Array, rate: float) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return scale_kept(x, keep_mask(key, x, rate), rate)


def _threshold(rate: float) -> int:
    return round(rate * 2**32)


def keep_mask(key: Array, x: Float[Array, "..."], rate: float) -> Bool[Array, "..."]:
    """Which entries of x are kept."""
    bits = jax.random.bits(key, x.shape, jnp.uint32, out_sharding=explicit_sharding(x))
    return bits >= jnp.uint32(_threshold(rate))


def scale_kept(x: Float[Array, "..."], keep: Bool[Array, "..."], rate: float) -> Float[Array, "..."]:
    """The entries that are kept, over 1 - rate, and 0 for the others: linear in x and its own transpose."""
    return jnp.where(keep, x / (1 - rate), jnp.zeros((), x.dtype))


_dropout = jax.custom_vjp(dropout_plain, nondiff_argnums=(2,))


class _Residuals(NamedTuple):
    keep: Bool[Array, "..."]
    x_like: Like


def _dropout_fwd(x: Float[Array, "..."], key: Array, rate: float) -> tuple[Float[Array, "..."], _Residuals]:
    keep = keep_mask(key, x, rate)
    return scale_kept(x, keep, rate), _Residuals(keep, Like.of(x))


def _dropout_bwd(
    rate: float, residuals: _Residuals, dy: Float[Array, "..."]
) -> tuple[Float[Array, "..."], None]:
    keep, x_like = residuals
    return scale_kept(dy, keep, rate).astype(x_like.dtype), None


_dropout.defvjp(_dropout_fwd, _dropout_bwd)

"""What every gradient of the reference is held against: autodiff of a plain twin, and differences."""

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from reference.numerical import central_difference


def values(shape: tuple[int, ...], bound: float = 3.0) -> st.SearchStrategy[np.ndarray]:
    """Arrays of float64 in [-bound, bound]; hypothesis likes zeros and repetitions."""
    # Below 1e-150 products are subnormal, which XLA flushes to zero.
    numbers = st.floats(-bound, bound).map(lambda v: 0.0 if abs(v) < 1e-150 else v)
    return hnp.arrays(np.float64, shape, elements=numbers)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def check_against_autodiff(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    twin: Callable[..., Any],
    args: Sequence[Any],
    wrt: Sequence[int],
    dy: Any,
    *,
    rtol: float = 1e-11,
    atol: float = 1e-12,
    **keywords: Any,
) -> None:
    """Compares value and gradients with those of a jnp twin in float64; the other arguments must get None."""
    y = f(*args, **keywords)
    cotangents = f_vjp(*args, dy, **keywords)
    with jax.enable_x64(True):

        def of_differentiable(*chosen: jax.Array) -> Any:
            every = list(args)
            for place, value in zip(wrt, chosen, strict=True):
                every[place] = value
            return twin(*every, **keywords)

        twin_y, pull = jax.vjp(of_differentiable, *(jnp.asarray(args[k], jnp.float64) for k in wrt))
        twin_cotangents = pull(jax.tree.map(lambda d: jnp.asarray(d, jnp.float64), dy))
    for ours, theirs in zip(jax.tree.leaves(y), jax.tree.leaves(twin_y), strict=True):
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
    assert isinstance(cotangents, tuple)
    assert len(cotangents) == len(args)
    for k, cotangent in enumerate(cotangents):
        if k not in wrt:
            assert cotangent is None
            continue
        assert cotangent.dtype == np.float64
        assert cotangent.shape == np.shape(args[k])
        np.testing.assert_allclose(cotangent, twin_cotangents[wrt.index(k)], rtol=rtol, atol=atol)


def check_against_differences(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    args: Sequence[Any],
    wrt: Sequence[int],
    dy: Any,
    *,
    h: float = 1e-5,
    tolerance: float = 1e-7,
    **keywords: Any,
) -> None:
    """Compares gradients with central differences of Σ dy · f, in units of the largest entry (at least 1)."""
    cotangents = f_vjp(*args, dy, **keywords)
    for k in wrt:

        def total(value: np.ndarray, k: int = k) -> float:
            y = f(*args[:k], value, *args[k + 1 :], **keywords)
            return sum(
                float(np.sum(d * part))
                for d, part in zip(jax.tree.leaves(dy), jax.tree.leaves(y), strict=True)
            )

        numerical, _ = central_difference(total, args[k], h)
        scale = max(1.0, float(np.max(np.abs(numerical), initial=0.0)))
        np.testing.assert_allclose(cotangents[k], numerical, rtol=0, atol=tolerance * scale)

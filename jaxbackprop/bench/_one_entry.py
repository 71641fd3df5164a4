"""One wrong entry among many: s = uᵀ tanh(W x) with one entry of dW wrong, and who finds it.

Those of jax get it in float32, as its users do; torch and autograd want float64. These get it in their own
operations: through jax its 2 × 262,144 evaluations would measure the crossing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._checkers import chex_numerical_grads, jax_check_grads, ours, seeded_check_grads

RULES = {"right": 1.0, "1 % off": 1.01, "sign flipped": -1.0}


@dataclasses.dataclass(frozen=True)
class OneEntry:
    """The rule with one entry of dW multiplied; a case as the checkers take it.

    Attributes:
        factor: of the entry; 1 for the right rule.
        size: rows and columns of W.
    """

    factor: float
    size: int = 512
    mistakes: tuple[str, ...] = ()
    wrong_arguments: tuple[int, ...] = ()
    oracle: Callable[..., Any] | None = None
    oracle_vjp: Callable[..., Any] | None = None
    domains: tuple[Any, ...] | None = None
    in_axes: Any = 0
    kwargs: Any = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """What is wrong."""
        return next(name for name, factor in RULES.items() if factor == self.factor)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """u, W and x."""
        rng = np.random.default_rng(0)
        W = rng.normal(size=(self.size, self.size)) / np.sqrt(self.size)
        return rng.normal(size=self.size), W, rng.normal(size=self.size)

    @property
    def entry(self) -> tuple[int, int]:
        """Which entry of dW is multiplied."""
        return self.size // 2, self.size // 3

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments in float32, as jax arrays."""
        return tuple(jnp.asarray(a, jnp.float32) for a in self.arrays)

    def setting(self) -> contextlib.AbstractContextManager[None]:
        """As the caller has it."""
        return contextlib.nullcontext()

    @property
    def op(self) -> Callable[..., Any]:
        """The function with its rule."""
        entry, factor = self.entry, self.factor

        @jax.custom_vjp
        def score(u: jax.Array, W: jax.Array, x: jax.Array) -> jax.Array:
            return u @ jnp.tanh(W @ x)

        def forward(u: jax.Array, W: jax.Array, x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
            h = jnp.tanh(W @ x)
            return u @ h, (u, W, x, h)

        def backward(kept: tuple[jax.Array, ...], dy: jax.Array) -> tuple[jax.Array, ...]:
            u, W, x, h = kept
            dz = dy * u * (1 - h * h)
            return dy * h, jnp.outer(dz, x).at[entry].multiply(factor), W.T @ dz

        score.defvjp(forward, backward)
        return score


def torch_gradcheck(case: OneEntry, *, fast: bool) -> None:
    """`torch.autograd.gradcheck` by W, as torch's own operations."""
    import torch

    entry, factor = case.entry, case.factor

    class Score(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, u: Any, W: Any, x: Any) -> Any:
            h = torch.tanh(W @ x)
            ctx.save_for_backward(u, W, x, h)
            return u @ h

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            u, W, x, h = ctx.saved_tensors
            dz = dy * u * (1 - h * h)
            dW = torch.outer(dz, x)
            dW[entry] *= factor
            return dy * h, dW, W.T @ dz

    tensors = tuple(torch.tensor(a, requires_grad=True) for a in case.arrays)
    torch.autograd.gradcheck(Score.apply, tensors, fast_mode=fast)


def autograd_check_grads(case: OneEntry) -> None:
    """The `check_grads` of autograd by each argument, as NumPy's operations."""
    from autograd.extend import defvjp, primitive

    entry, factor = case.entry, case.factor

    @primitive
    def score(u: np.ndarray, W: np.ndarray, x: np.ndarray) -> Any:
        return u @ np.tanh(W @ x)

    def local(u: np.ndarray, W: np.ndarray, x: np.ndarray, dy: Any) -> np.ndarray:
        return np.asarray(dy * u * (1 - np.tanh(W @ x) ** 2))

    def by_W(u: np.ndarray, W: np.ndarray, x: np.ndarray, dy: Any) -> np.ndarray:
        dW = np.outer(local(u, W, x, dy), x)
        dW[entry] *= factor
        return dW

    defvjp(
        score,
        lambda s, u, W, x: lambda dy: dy * np.tanh(W @ x),
        lambda s, u, W, x: lambda dy: by_W(u, W, x, dy),
        lambda s, u, W, x: lambda dy: W.T @ local(u, W, x, dy),
    )
    for argument in range(3):
        seeded_check_grads(score, argument, *case.arrays)


FINDERS: dict[str, Callable[[Any], object]] = {
    "jaxbackprop check_vjp": functools.partial(ours, effort="quick"),
    "jax.test_util.check_grads": jax_check_grads,
    "chex.assert_numerical_grads": chex_numerical_grads,
    "torch gradcheck": functools.partial(torch_gradcheck, fast=False),
    "torch gradcheck, fast mode": functools.partial(torch_gradcheck, fast=True),
    "autograd check_grads": autograd_check_grads,
}

"""Optimizers that read and write the touched rows of a table alone, as optax's transformations."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from ._row_tree import Rate, as_schedule, check_range, check_table, map_rows, map_rows_with


class SgdState(NamedTuple):
    """Updates made so far, int32."""

    step: Int[Array, ""]


class AdagradState(NamedTuple):
    """Updates made so far, and the sum of squared gradients, of the tables' shapes."""

    step: Int[Array, ""]
    sum_of_squares: Any


class LazyAdamState(NamedTuple):
    """Updates made so far, and the running means of gradient and squared gradient, of the tables' shapes."""

    step: Int[Array, ""]
    mu: Any
    nu: Any


def sgd(learning_rate: Rate, momentum: float | None = None) -> optax.GradientTransformation:
    """Stochastic gradient descent by rows: w <- w - η g on the touched rows. Exact.

    The other rows have gradient zero, and `optax.sgd` would leave them where they are too: both follow the
    same trajectory.

    Args:
        learning_rate: η, or a schedule of the updates made so far.
        momentum: only None or 0. With momentum every row that was ever touched moves at every step, so its
            trajectory is not to be had by touching fewer.

    Returns:
        A gradient transformation for trees of `RowGradient`.

    Raises:
        ValueError: a momentum.
        TypeError: the learning rate is neither a number nor a schedule.
    """
    rate = as_schedule(learning_rate)
    if momentum is not None and momentum != 0:
        raise ValueError(
            f"momentum must be None, got {momentum}: it moves every row at every step, so the exact "
            "trajectory needs a dense update; take optax.sgd for that, or rows.lazy_adam"
        )

    def init(params: Any) -> SgdState:
        jax.tree.map(check_table, params)
        return SgdState(jnp.zeros((), jnp.int32))

    def update(updates: Any, state: SgdState, params: Any = None) -> tuple[Any, SgdState]:
        del params
        step_size = rate(state.step)
        updates = map_rows("sgd", lambda g: g * -step_size, updates)
        return updates, SgdState(optax.safe_increment(state.step))

    return optax.GradientTransformation(init, update)


def adagrad(
    learning_rate: Rate, initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> optax.GradientTransformation:
    """Adagrad by rows: s <- s + g², w <- w - η g / √(s + ε) on the touched rows. Exact.

    Where g is zero neither s nor w changes, so the trajectory is that of `optax.adagrad`, whose arguments
    these are.

    Args:
        learning_rate: η, or a schedule of the updates made so far.
        initial_accumulator_value: s before the first update, at least 0.
        eps: ε, at least 0. A number whose s is 0 stays as it is.

    Returns:
        A gradient transformation for trees of `RowGradient`.

    Raises:
        ValueError: an argument is out of range.
        TypeError: the learning rate is neither a number nor a schedule.

    Source: Duchi, Hazan and Singer, Adaptive Subgradient Methods, JMLR 12, 2011.
    """
    rate = as_schedule(learning_rate)
    check_range("initial_accumulator_value", initial_accumulator_value)
    check_range("eps", eps)

    def init(params: Any) -> AdagradState:
        jax.tree.map(check_table, params)
        sums = jax.tree.map(lambda table: jnp.full_like(table, initial_accumulator_value), params)
        return AdagradState(jnp.zeros((), jnp.int32), sums)

    def update(updates: Any, state: AdagradState, params: Any = None) -> tuple[Any, AdagradState]:
        del params
        step_size = rate(state.step)

        def rule(g: Array, s: Array) -> tuple[Array, tuple[Array]]:
            s = s + jnp.square(g)
            scale = jnp.where(s > 0, jax.lax.rsqrt(s + jnp.asarray(eps, s.dtype)), jnp.zeros((), s.dtype))
            return -step_size.astype(g.dtype) * (scale * g), (s,)

        updates, (sums,) = map_rows_with("adagrad", rule, updates, state.sum_of_squares)
        return updates, AdagradState(optax.safe_increment(state.step), sums)

    return optax.GradientTransformation(init, update)


def lazy_adam(
    learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam by rows, lazily: a row that is not touched keeps its place and its running means.

    On the touched rows, with t the updates made so far including this one:

        m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g²
        w <- w - η √(1 - b2^t) / (1 - b1^t) · m / (√v + ε)

    Adam itself would let the means of the other rows decay and move those rows on by what is left of them; a
    row would go on for some ten steps after its last gradient. So this is another algorithm, with larger
    means for rare words. ε stands where torch has it, beside the √v that is not yet corrected. A row that
    was looked up is touched, even where its gradient is zero.

    Args:
        learning_rate: η, or a schedule of the updates made so far.
        b1: decay of the mean of gradients, in [0, 1).
        b2: decay of the mean of squares, in [0, 1).
        eps: ε, above 0.

    Returns:
        A gradient transformation for trees of `RowGradient`.

    Raises:
        ValueError: an argument is out of range.
        TypeError: the learning rate is neither a number nor a schedule.

    Source: Kingma and Ba, Adam, ICLR 2015; the lazy form is torch.optim.SparseAdam's.
    """
    rate = as_schedule(learning_rate)
    check_range("b1", b1, below=1)
    check_range("b2", b2, below=1)
    check_range("eps", eps, above=True)

    def init(params: Any) -> LazyAdamState:
        jax.tree.map(check_table, params)
        zeros = jax.tree.map(jnp.zeros_like, params)
        return LazyAdamState(jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.copy, zeros))

    def update(updates: Any, state: LazyAdamState, params: Any = None) -> tuple[Any, LazyAdamState]:
        del params
        count = optax.safe_increment(state.step)
        t = count.astype(jnp.float32)
        step_size = rate(state.step) * jnp.sqrt(1 - b2**t) / (1 - b1**t)

        def rule(g: Array, m: Array, v: Array) -> tuple[Array, tuple[Array, Array]]:
            m = m + jnp.asarray(1 - b1, m.dtype) * (g - m)
            v = v + jnp.asarray(1 - b2, v.dtype) * (jnp.square(g) - v)
            moved = m / (jnp.sqrt(v) + jnp.asarray(eps, v.dtype))
            return -step_size.astype(g.dtype) * moved, (m, v)

        updates, (mu, nu) = map_rows_with("lazy_adam", rule, updates, state.mu, state.nu)
        return updates, LazyAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)

"""All chunks, one after the other: the losses alone, or with the gradients of their weighted sum."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxbackprop._sharding import Like, vary_together, witness, zeros_split_as

from ._chunk import MeanClass, chunk_delta, chunk_gradients, chunk_logits, chunk_losses, product
from ._tokens import Settings, Tokens, is_ignored


def losses_alone(
    x: Float[Array, "... D"],
    W: Float[Array, "V D"],
    labels: Int[Array, "..."],
    bias: Float[Array, " V"] | None,
    settings: Settings,
) -> Float[Array, "..."]:
    """The loss of each token, in float32 at least, and nothing else."""
    tokens = Tokens(x, W, labels, settings)
    mean = MeanClass.of(W, bias) if settings.smoothing else None

    def one_chunk(i: Array, losses: Array) -> Array:
        x_i, classes = tokens.chunk(i)
        z = chunk_logits(x_i, W, bias)
        loss, _ = chunk_losses(z, classes, None if mean is None else mean.logit(x_i), settings.smoothing)
        return tokens.put(losses, loss, i)

    return tokens.losses(lax.fori_loop(0, tokens.count, one_chunk, tokens.zeros()))


def losses_and_gradients(
    x: Float[Array, "... D"],
    W: Float[Array, "V D"],
    labels: Int[Array, "..."],
    bias: Float[Array, " V"] | None,
    weights: Float[Array, "..."],
    settings: Settings,
) -> tuple[Float[Array, "..."], tuple[Float[Array, "..."], ...]]:
    """The loss of each token; and of their weighted sum dx, dW and, where there is a bias, db.

    All are in float32 at least.
    """
    tokens = Tokens(x, W, labels, settings)
    wide, half, smoothing = tokens.wide, x.dtype.itemsize == 2, settings.smoothing
    mean = MeanClass.of(W, bias) if smoothing else None
    weights = weights.reshape(-1)
    # Tiny weights would take the half-precision factors of dW out of range.
    unit = jnp.ones((), wide)
    if half:
        largest = lax.stop_gradient(jnp.max(jnp.abs(weights), initial=0.0))
        unit = jnp.where(largest > 0, largest, unit)
    weight_chunks = tokens.split(weights)

    def one_chunk(i: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        losses, dx, dW, *db = carry
        x_i, classes = tokens.chunk(i)
        z = chunk_logits(x_i, W, bias)
        loss, residuals = chunk_losses(z, classes, None if mean is None else mean.logit(x_i), smoothing)
        delta = chunk_delta(residuals, classes, smoothing)
        weights_i = lax.dynamic_index_in_dim(weight_chunks, i, 1, keepdims=False)
        dx_i, dW_i, db_i = chunk_gradients(
            delta, residuals.total, weights_i, unit, x_i, W, with_bias=bias is not None
        )
        sums = [dW + dW_i] if db_i is None else [dW + dW_i, db[0] + db_i]
        return tokens.put(losses, loss, i), tokens.put(dx, dx_i, i), *sums

    parameters = (W,) if bias is None else (W, bias)
    zeros = vary_together(
        tuple(zeros_split_as(witness(p), Like.of(p), np.dtype(wide)) for p in parameters), x
    )
    losses, dx, dW, *db = lax.fori_loop(
        0, tokens.count, one_chunk, (tokens.zeros(), tokens.zeros(x.shape[-1]), *zeros)
    )
    dx = tokens.join(dx)
    if half:
        dW = dW * unit
    if mean is not None:
        # The label's ε / V is the same for every class: one row for all of dW.
        dx = dx - smoothing * jnp.expand_dims(weights, 1) * jnp.expand_dims(mean.row, 0)
        row = product(weights, tokens.join(tokens.x).astype(wide), ((0,), (0,)), wide)
        dW = dW - jnp.expand_dims((smoothing / W.shape[0]) * row, 0)
        db = [db_i - (smoothing / W.shape[0]) * jnp.sum(weights) for db_i in db]
    dx = dx.reshape(x.shape)
    ignored = is_ignored(labels, settings)
    if ignored is not None:
        # Where W is not finite, a weight of 0 is not enough.
        dx = jnp.where(jnp.expand_dims(ignored, -1), jnp.zeros((), wide), dx)
    return tokens.losses(losses), (dx, dW, *db)

"""A deep network of equal layers at its start: how its signal and its gradient change from layer to layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import ops

DEPTH, WIDTH, EXAMPLES = 20, 256, 128
FUNCTIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "linear": lambda z: z,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "relu": ops.relu,
}


@dataclass(frozen=True)
class Flow:
    """Of the last layer relative to the first, or the other way round.

    Attributes:
        signal: variance about 0 of the last layer's z over the first one's.
        gradient: mean square of the first layer's error signal over the last one's.
        saturated: share of the last layer's units beyond 3 or -3.
    """

    signal: float
    gradient: float
    saturated: float


def flow(name: str, draw: Callable[[np.random.Generator, int], np.ndarray], seed: int = 0) -> Flow:
    """Measures a network of 20 layers of 256 units.

    Args:
        name: of the activation, one of `FUNCTIONS`.
        draw: makes the weights of a layer, (width, width), from a generator and the width.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    weights = jnp.asarray(np.stack([draw(rng, WIDTH) for _ in range(DEPTH)]), jnp.float32)
    x, dy = jnp.asarray(rng.normal(size=(2, EXAMPLES, WIDTH)), jnp.float32)
    z, delta = (np.asarray(each, dtype=np.float64) for each in _signals(name, weights, x, dy))
    size, error = (np.mean(each**2, axis=(1, 2)) for each in (z, delta))
    return Flow(float(size[-1] / size[0]), float(error[0] / error[-1]), float(np.mean(np.abs(z[-1]) > 3)))


@partial(jax.jit, static_argnums=0)
def _signals(name: str, weights: jax.Array, x: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sums z and the error signals δ of all layers."""
    activation = FUNCTIONS[name]

    # Adding e = 0 to z changes nothing, and the gradient by e is the error signal.
    def layer(h: jax.Array, W_and_e: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        W, e = W_and_e
        z = ops.linear(h, W) + e
        return activation(z), z

    def network(e: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.lax.scan(layer, x, (weights, e))

    _, back, z = jax.vjp(network, jnp.zeros((DEPTH, EXAMPLES, WIDTH)), has_aux=True)
    return z, back(dy)[0]


def xavier_bound(width: int) -> float:
    """The bound r of the uniform distribution on (-r, r) with variance 2 / (n_in + n_out)."""
    return float(np.sqrt(3 / width))


def uniform(r: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Weights uniform on (-r, r)."""
    return lambda rng, width: rng.uniform(-r, r, (width, width))

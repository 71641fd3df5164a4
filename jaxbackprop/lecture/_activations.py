"""Unit 3: tanh as a sigmoid, and what the exponential in an activation costs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import ops
from jaxbackprop.bench import Peer, side_by_side, waiting

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict

_SLIDE = "Activation Function"
_WITH_EXP = ("sigmoid", "tanh", "elu", "gelu")
_LAYER = (256, 512)
# What is slower by less costs nothing to speak of; what differs by less is as dear, whatever the machine does
# beside.
_DEARER, _MUCH_DEARER = 1.1, 1.5


def tanh_by_sigmoid(x: jax.Array) -> jax.Array:
    """2 σ(2x) - 1, which is tanh(x).

    Args:
        x: any shape.
    """
    return 2 * ops.sigmoid(2 * x) - 1


def _rescaled(effort: Effort, say: Say) -> dict[str, Any]:
    x = jnp.linspace(-20, 20, 400_001, dtype=jnp.float32)
    tanh, by_sigmoid = (jax.jit(jax.vmap(jax.value_and_grad(f)))(x) for f in (ops.tanh, tanh_by_sigmoid))
    value, slope = (
        float(np.abs(np.float64(one) - np.float64(other)).max())
        for one, other in zip(tanh, by_sigmoid, strict=True)
    )
    return {"value": value, "slope": slope}


def _is_rescaled(figures: Figures) -> Verdict:
    figure = f"values at most {figures['value']:.0e} apart, slopes {figures['slope']:.0e}"
    if max(figures.values()) < 1e-6:
        return Verdict(Outcome.HOLDS, figure, "equal to the rounding of float32; derived in the reference")
    return Verdict(Outcome.FAILS, figure, "they differ by more than rounding")


def _exp(effort: Effort, say: Say) -> dict[str, Any]:
    """Times of value and gradient relative to relu's: of the function alone, and of a layer with it."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1024, 1024)), jnp.float32)
    inputs, W = (jnp.asarray(rng.normal(size=(rows, _LAYER[1])), jnp.float32) for rows in _LAYER)
    W = W / np.float32(np.sqrt(_LAYER[1]))

    def alone(name: str) -> Peer:
        f = jax.jit(jax.value_and_grad(lambda x: jnp.sum(getattr(ops, name)(x))))
        return Peer(name, waiting(f, (x,)))

    def layer(name: str) -> Peer:
        def loss(W: jax.Array, x: jax.Array) -> jax.Array:
            return jnp.mean(jnp.square(getattr(ops, name)(ops.linear(x, W))))

        return Peer(name, waiting(jax.jit(jax.value_and_grad(loss, argnums=(0, 1))), (W, inputs)))

    found = {}
    for case, peer in {"alone": alone, "in a layer": layer}.items():
        say(case)
        rows = side_by_side("lecture", case, peer("relu"), list(map(peer, _WITH_EXP)), seconds=effort.seconds)
        found[case] = {row.peer: row.ratio[1] for row in rows}
    return found


def _dear(figures: Figures) -> Verdict:
    def shown(case: str) -> str:
        return ", ".join(f"{name} {times:.1f}" for name, times in figures[case].items())

    figure = f"times relu: alone {shown('alone')}; in a layer {shown('in a layer')}"
    alone = figures["alone"]
    theirs, others = max(alone["sigmoid"], alone["tanh"]), max(alone["elu"], alone["gelu"])
    if theirs < _DEARER:
        return Verdict(Outcome.FAILS, figure, "exp costs nothing to speak of")
    if others < theirs / _MUCH_DEARER:
        return Verdict(Outcome.HOLDS, figure, "sigmoid and tanh cost much more than elu and gelu")
    layer = max(figures["in a layer"][name] for name in ("sigmoid", "tanh"))
    why = f"exp costs, at most {layer:.1f} times in a layer with its products, but elu and gelu, which are"
    why += " used, pay for it too; sigmoid and tanh saturate, which is the better reason"
    return Verdict(Outcome.IN_PART, figure, why)


CLAIMS = (
    Claim(
        "tanh-is-sigmoid",
        3,
        _SLIDE,
        "tanh is a rescaled sigmoid: tanh(x) = 2σ(2x) − 1.",
        _rescaled,
        _is_rescaled,
    ),
    Claim(
        "cost-of-exp",
        3,
        _SLIDE,
        "Sigmoid and tanh are avoided in deep networks because exp is expensive.",
        _exp,
        _dear,
        "jaxbackprop bench ops",
    ),
)

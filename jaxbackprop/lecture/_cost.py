"""Unit 2: what forward pass, backward pass and numerical gradients cost as the network grows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import ops
from jaxbackprop.bench import Peer, side_by_side, waiting
from jaxbackprop.graph import trace

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict
from ._statistics import exponent

_BATCH, _CLASSES, _LAYERS = 64, 10, 6
# A cost is of the same order where it grows alike and stays within so many times.
_ALIKE, _TIMES = 0.15, 5.0
_NARROWEST, _FEWEST_UNITS, _SIZES = 64, 16, 4


def _loss(weights: list[jax.Array], x: jax.Array, labels: jax.Array) -> jax.Array:
    *hidden, last = weights
    for W in hidden:
        x = ops.tanh(ops.linear(x, W))
    return jnp.mean(ops.softmax_cross_entropy(ops.linear(x, last), labels))


def _network(width: int, layers: int) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape) / np.sqrt(shape[-1]), jnp.float32)

    weights = [normal(width, width) for _ in range(layers)] + [normal(_CLASSES, width)]
    return weights, normal(_BATCH, width), jnp.asarray(rng.integers(0, _CLASSES, _BATCH))


def _passes(effort: Effort, say: Say) -> dict[str, Any]:
    weights, forward, backward, times = [], [], [], []
    for doubling in range(effort.doublings):
        width = _NARROWEST * 2**doubling
        say(f"{width} units a layer")
        arguments = _network(width, 3)
        cost = trace(_loss, *arguments).cost()
        weights.append(sum(W.size for W in arguments[0]))
        forward.append(cost.forward)
        backward.append(cost.backward)
        alone = Peer("forward", waiting(jax.jit(_loss), arguments))
        both = Peer("both", waiting(jax.jit(jax.value_and_grad(_loss)), arguments))
        (row,) = side_by_side("lecture", "passes", alone, [both], seconds=effort.seconds)
        times.append(row.ratio[1] - 1)
    return {
        "weights": weights,
        "forward multiplications": forward,
        "backward multiplications": backward,
        "backward over forward, time": times,
    }


def _same_order(figures: Figures) -> Verdict:
    growth = exponent(
        figures["weights"],
        np.divide(figures["backward multiplications"], figures["forward multiplications"]).tolist(),
    )
    ratio = figures["backward multiplications"][-1] / figures["forward multiplications"][-1]
    time = figures["backward over forward, time"][-1]
    figure = f"backward is {ratio:.2f} times forward in multiplications, {time:.1f} in time"
    if abs(growth) > _ALIKE:
        return Verdict(Outcome.FAILS, figure, f"the ratio grows with the weights, as W^{growth:.2f}")
    if max(ratio, time) > _TIMES:
        return Verdict(Outcome.IN_PART, figure, f"it grows alike, but is above {_TIMES:g} times")
    why = f"from {min(figures['weights']):,} to {max(figures['weights']):,} weights the ratio stays: each"
    why += " product of the forward pass has two in the backward pass, for weights and for input"
    return Verdict(Outcome.HOLDS, figure, why)


def _numerical(effort: Effort, say: Say) -> dict[str, Any]:
    weights, one_by_one, at_once, times = [], [], [], []
    for doubling in range(min(effort.doublings, _SIZES)):
        units = _FEWEST_UNITS * 2**doubling
        say(f"{units} × {units} weights")
        rng = np.random.default_rng(0)
        W, x, u = (jnp.asarray(rng.normal(size=size), jnp.float32) for size in ((units, units), units, units))

        def s(W: jax.Array, x: jax.Array, u: jax.Array) -> jax.Array:
            return jnp.vdot(u, ops.tanh(ops.linear(x, W)))

        cost = trace(s, W, x, u).cost()
        weights.append(W.size)
        # Two calls a weight, each of them a whole forward pass.
        one_by_one.append(2 * W.size * cost.forward)
        at_once.append(cost.forward + cost.backward)

        @jax.jit
        def differences(W: jax.Array, x: jax.Array, u: jax.Array, h: float = 1e-2) -> jax.Array:
            def slope(i: jax.Array) -> jax.Array:
                up, down = (s(W.ravel().at[i].add(move).reshape(W.shape), x, u) for move in (h, -h))
                return (up - down) / (2 * h)

            return jax.lax.map(slope, jnp.arange(W.size))

        slow = Peer("differences", waiting(differences, (W, x, u)))
        fast = Peer("backpropagation", waiting(jax.jit(jax.grad(s)), (W, x, u)))
        (row,) = side_by_side("lecture", "numerical", fast, [slow], seconds=effort.seconds)
        times.append(row.ratio[1])
    return {
        "weights": weights,
        "multiplications of differences": one_by_one,
        "multiplications of backpropagation": at_once,
        "differences over backpropagation, time": times,
    }


def _square(figures: Figures) -> Verdict:
    weights = figures["weights"]
    slow = exponent(weights, figures["multiplications of differences"])
    fast = exponent(weights, figures["multiplications of backpropagation"])
    figure = f"differences W^{slow:.2f}, backpropagation W^{fast:.2f} in multiplications"
    time = figures["differences over backpropagation, time"][-1]
    if abs(slow - 2) < _ALIKE and abs(fast - 1) < _ALIKE:
        why = f"with {weights[-1]:,} weights differences took {time:,.0f} times as long"
        return Verdict(Outcome.HOLDS, figure, why)
    return Verdict(Outcome.FAILS, figure, "the exponents are not 2 and 1")


def _sweep(effort: Effort, say: Say) -> dict[str, Any]:
    arguments = _network(128, _LAYERS)

    def one_of(at: int) -> Any:
        def loss(W: jax.Array, weights: list[jax.Array], *rest: jax.Array) -> jax.Array:
            return _loss([*weights[:at], W, *weights[at + 1 :]], *rest)

        return lambda weights, *rest: jax.grad(loss)(weights[at], weights, *rest)

    def each(*arguments: Any) -> list[Any]:
        return [one_of(at)(*arguments) for at in range(_LAYERS + 1)]

    def operations(f: Any) -> float:
        analysis = jax.jit(f).lower(*arguments).compile().cost_analysis()
        assert analysis is not None  # the CPU's and GPU's compilers have one
        return float(analysis["flops"])

    return {
        "layers": _LAYERS + 1,
        "operations, one sweep": operations(jax.grad(_loss)),
        "operations, one at a time": sum(operations(one_of(at)) for at in range(_LAYERS + 1)),
        "operations, one at a time in one program": operations(each),
    }


def _once(figures: Figures) -> Verdict:
    sweep = figures["operations, one sweep"]
    apart = figures["operations, one at a time"] / sweep
    together = figures["operations, one at a time in one program"] / sweep
    figure = f"one at a time takes {apart:.1f} times the operations, for {figures['layers']} layers"
    if apart < 1.2:
        return Verdict(Outcome.FAILS, figure, "one sweep saves nothing")
    why = "each gradient anew walks down the same layers again"
    if together < 1.2:
        why += f"; written so inside one jit, XLA finds the common parts itself ({together:.2f} times)"
    return Verdict(Outcome.HOLDS, figure, why)


_GRAPH = "Computation Graph"
CLAIMS = (
    Claim(
        "forward-and-backward",
        2,
        _GRAPH,
        "Forward and backward pass are of the same order.",
        _passes,
        _same_order,
    ),
    Claim(
        "numerical-cost",
        2,
        "Numerical Gradient",
        "Numerical gradients cost O(W²), backpropagation O(W).",
        _numerical,
        _square,
    ),
    Claim(
        "one-sweep",
        2,
        "Efficiency",
        "All gradients in one sweep: one after the other is inefficient.",
        _sweep,
        _once,
    ),
)

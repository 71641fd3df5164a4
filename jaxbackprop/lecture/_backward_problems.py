"""Unit 3: gradients that vanish behind sigmoids, relu units that die, gradients that explode through time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import ops

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict
from ._deep import DEPTH, WIDTH, flow, uniform, xavier_bound
from ._spiral import POINTS, spiral

_RATES = (0.01, 0.1, 1.0, 3.0, 10.0)
_UNITS, _BATCH = 64, 32
_TIME, _STATE = 50, 5
# The rule is right where it foresees so large a share; it is chance below.
_FORESEEN = 0.9


def _slope(effort: Effort, say: Say) -> dict[str, Any]:
    x = jnp.linspace(-30, 30, 600_001, dtype=jnp.float32)
    slopes = jax.jit(jax.vmap(jax.grad(ops.sigmoid)))(x)
    flows = [flow("sigmoid", uniform(xavier_bound(WIDTH)), seed) for seed in range(effort.seeds)]
    gradient = float(np.median([f.gradient for f in flows])) ** 0.5
    return {"largest slope": float(slopes.max()), "gradient": gradient, "layers": DEPTH}


def _vanishes(figures: Figures) -> Verdict:
    slope, gradient, layers = figures["largest slope"], figures["gradient"], figures["layers"]
    figure = f"largest slope {slope:.4g}; gradient × {gradient:.0e} from layer {layers} to layer 1"
    bound = 0.25 ** (layers - 1)
    if slope <= 0.25 and gradient < 100 * bound:
        return Verdict(Outcome.HOLDS, figure, f"¼ a layer is {bound:.0e} over {layers - 1} layers (Xavier)")
    if slope <= 0.25:
        return Verdict(Outcome.IN_PART, figure, "the slope is bounded, the gradient does not vanish")
    return Verdict(Outcome.FAILS, figure, "the slope is above ¼")


def _dying(effort: Effort, say: Say) -> dict[str, Any]:
    """The share of relu units that no point activates after training, by learning rate."""
    rng = np.random.default_rng(0)
    x, y = spiral()
    batches = jnp.asarray(rng.integers(0, POINTS, (effort.steps, _BATCH)))

    def hidden(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return ops.relu(ops.linear(x, p["W"], p["b"]))

    def loss(p: dict[str, jax.Array], rows: jax.Array) -> jax.Array:
        z = ops.linear(hidden(p, x[rows]), p["U"], p["c"])
        return jnp.mean(ops.softmax_cross_entropy(z, y[rows]))

    def train(p: dict[str, jax.Array], rate: jax.Array) -> jax.Array:
        def step(p: dict[str, jax.Array], rows: jax.Array) -> tuple[dict[str, jax.Array], None]:
            return jax.tree.map(lambda w, g: w - rate * g, p, jax.grad(loss)(p, rows)), None

        p, _ = jax.lax.scan(step, p, batches)
        return jnp.mean(jnp.all(hidden(p, x) == 0, axis=0))

    networks = {
        "W": rng.normal(size=(effort.seeds, _UNITS, 2)),
        "b": np.zeros((effort.seeds, _UNITS)),
        "U": rng.normal(size=(effort.seeds, 3, _UNITS)) * np.sqrt(2 / _UNITS),
        "c": np.zeros((effort.seeds, 3)),
    }
    by_seed = jax.vmap(train, in_axes=(0, None))
    dead = jax.jit(jax.vmap(by_seed, in_axes=(None, 0)))(
        jax.tree.map(jnp.float32, networks), jnp.asarray(_RATES)
    )
    return {"rates": list(_RATES), "dead": np.asarray(dead, dtype=float).tolist()}


def _die(figures: Figures) -> Verdict:
    shares = [float(np.mean(each)) for each in figures["dead"]]
    by_rate = ", ".join(
        f"{share:.0%} at {rate:g}" for rate, share in zip(figures["rates"], shares, strict=True)
    )
    figure = f"dead units: {by_rate}"
    if shares[-1] > 0.25 and shares[0] < 0.05:
        return Verdict(Outcome.HOLDS, figure, "a step too long throws a unit out of the data, for good")
    if shares[-1] > shares[0] + 0.05:
        return Verdict(Outcome.IN_PART, figure, "more die at high rates, but few")
    return Verdict(Outcome.FAILS, figure, "the learning rate makes no difference")


def _through_time(effort: Effort, say: Say) -> dict[str, Any]:
    """How often the slide's recurrent network does what the modulus of the largest eigenvalue foretells."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(effort.draws, _STATE, _STATE))
    modulus = np.abs(np.linalg.eigvals(W)).max(axis=1)
    wanted = np.where(np.arange(effort.draws) % 2, 0.8, 1.25)
    W *= (wanted / modulus)[:, None, None]
    h, end = rng.normal(size=(2, effort.draws, _STATE))
    found: dict[str, Any] = {"steps": _TIME}
    for name, kept in {"linear": -np.inf, "relu": 0.0}.items():
        on, state = [], h
        for _ in range(_TIME):
            z = np.einsum("kij,kj->ki", W, state)
            on.append(z > kept)
            state = np.where(on[-1], z, 0.0)
        g = end
        for mask in reversed(on):
            g = np.einsum("kji,kj->ki", W, mask * g)
        grows = np.linalg.norm(g, axis=1) > np.linalg.norm(end, axis=1)
        found[name] = {
            "explodes above 1": float(np.mean(grows[wanted > 1])),
            "vanishes below 1": float(np.mean(~grows[wanted < 1])),
        }
    return found


def _eigenvalue(figures: Figures) -> Verdict:
    linear, relu = figures["linear"], figures["relu"]
    figure = (
        f"linear: {linear['explodes above 1']:.0%} explode above 1, {linear['vanishes below 1']:.0%} vanish "
        f"below; relu: {relu['explodes above 1']:.0%}, {relu['vanishes below 1']:.0%}"
    )
    if min(linear.values()) < _FORESEEN:
        return Verdict(Outcome.FAILS, figure, "not even linear networks follow it")
    if min(relu.values()) >= _FORESEEN:
        return Verdict(Outcome.HOLDS, figure, f"over {figures['steps']} steps the largest modulus decides")
    why = "the modulus decides for linear networks; in the slide's, relu switches units off, and the active"
    return Verdict(Outcome.IN_PART, figure, f"{why} part of W decides")


CLAIMS = (
    Claim(
        "sigmoid-slope",
        3,
        "Vanishing Gradients on Sigmoid",
        "σ′ is at most ¼, so the gradient vanishes over 20 layers of sigmoids.",
        _slope,
        _vanishes,
    ),
    Claim(
        "dying-relu",
        3,
        "Dying ReLU",
        "A high learning rate kills relu units.",
        _dying,
        _die,
    ),
    Claim(
        "largest-eigenvalue",
        3,
        "Exploding Gradients in vanilla RNNs",
        "Over 50 steps a gradient explodes where the largest eigenvalue is above 1, vanishes below.",
        _through_time,
        _eigenvalue,
    ),
)

"""Unit 3: where the weights start."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import ops

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict
from ._deep import DEPTH, WIDTH, flow, uniform, xavier_bound

_SLIDE = "Weight Initialization"
# A variance is kept where twenty layers change it by less than this factor.
_KEPT = 4.0
# A gradient has vanished or exploded where twenty layers change it by so much.
_LOST, _GROWN, _SATURATED = 1e-6, 1e6, 0.5


def _xavier(effort: Effort, say: Say) -> dict[str, Any]:
    draw = uniform(xavier_bound(WIDTH))
    found: dict[str, Any] = {"layers": DEPTH}
    for name in ("linear", "tanh", "relu"):
        flows = [flow(name, draw, seed) for seed in range(effort.seeds)]
        signals, gradients = ([getattr(f, of) for f in flows] for of in ("signal", "gradient"))
        found[name] = {"signal": float(np.median(signals)), "gradient": float(np.median(gradients))}
    return found


def _is_kept(ratios: dict[str, float]) -> bool:
    return all(1 / _KEPT < ratio < _KEPT for ratio in ratios.values())


def _keeps(figures: Figures) -> Verdict:
    parts = [f"{figures[name]['signal']:.2g} {name}" for name in ("linear", "tanh", "relu")]
    figure = f"of z's variance {', '.join(parts)} is left after {figures['layers']} layers"
    kept = [name for name in ("linear", "tanh", "relu") if _is_kept(figures[name])]
    if len(kept) == 3:
        return Verdict(Outcome.HOLDS, figure, "signal and gradient keep their size with all three")
    if "linear" not in kept:
        return Verdict(Outcome.FAILS, figure, "not even linear layers keep it")
    why = "exact where f is linear, as derived"
    if "tanh" not in kept:
        why += "; tanh takes a little in each layer"
    if "relu" not in kept:
        why += "; relu halves it in each, hence He's 2 / n_in"
    return Verdict(Outcome.IN_PART, figure, why)


def _bounds(effort: Effort, say: Say) -> dict[str, Any]:
    right = xavier_bound(WIDTH)
    found: dict[str, Any] = {"xavier r": right}
    for name, r in {"small": right / 10, "xavier": right, "large": right * 10}.items():
        flows = [flow("tanh", uniform(r), seed) for seed in range(effort.seeds)]
        found[name] = {
            "r": r,
            "gradient": float(np.median([f.gradient for f in flows])) ** 0.5,
            "saturated": float(np.median([f.saturated for f in flows])),
        }
    return found


def _neither(figures: Figures) -> Verdict:
    small, right, large = (figures[name] for name in ("small", "xavier", "large"))
    figure = "gradient through 20 tanh layers × " + ", ".join(
        f"{each['gradient']:.0e} for r = {each['r']:.2g}" for each in (small, right, large)
    )
    vanishes = small["gradient"] < _LOST
    spoils = large["gradient"] > _GROWN or large["saturated"] > _SATURATED
    if vanishes and spoils and _LOST**0.5 < right["gradient"] < _GROWN**0.5:
        why = f"too small vanishes; too large explodes and saturates {large['saturated']:.0%} of the units"
        return Verdict(Outcome.HOLDS, figure, why)
    if vanishes or spoils:
        return Verdict(Outcome.IN_PART, figure, "one of the two does harm, the other not")
    return Verdict(Outcome.FAILS, figure, "neither vanishes nor explodes")


def _alike(effort: Effort, say: Say) -> dict[str, Any]:
    """How many different hidden units there are after training, of 16, by where their weights start."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(64, 8)), jnp.float32)
    y = jnp.asarray(rng.integers(0, 3, 64))
    starts = {
        "zeros": (np.zeros((16, 8)), np.zeros((3, 16))),
        "all alike": (np.full((16, 8), 0.1), np.full((3, 16), 0.1)),
        "random": (rng.normal(size=(16, 8)) / 3, rng.normal(size=(3, 16)) / 4),
    }

    def loss(weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        W, U = weights
        return jnp.mean(ops.softmax_cross_entropy(ops.linear(ops.tanh(ops.linear(x, W)), U), y))

    @jax.jit
    def train(weights: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        def step(_: int, weights: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            stepped: tuple[jax.Array, jax.Array] = jax.tree.map(
                lambda w, g: w - 0.5 * g, weights, jax.grad(loss)(weights)
            )
            return stepped

        weights = jax.lax.fori_loop(0, effort.steps, step, weights)
        return weights[0], loss(weights)

    found = {}
    for name, weights in starts.items():
        W, after = train(jax.tree.map(jnp.float32, weights))
        # Sums in another order may part equal units by their last digits.
        different = len(np.unique(np.asarray(W).round(4), axis=0))
        found[name] = {"different units": different, "loss": float(after)}
    return {"units": 16, **found}


def _symmetric(figures: Figures) -> Verdict:
    counts = {name: figures[name]["different units"] for name in ("zeros", "all alike", "random")}
    figure = f"of {figures['units']} units differ, trained: " + ", ".join(
        f"{count} from {name}" for name, count in counts.items()
    )
    if counts["zeros"] == counts["all alike"] == 1 and counts["random"] == figures["units"]:
        why = f"equal units get equal gradients; loss {figures['zeros']['loss']:.2f} against "
        why += f"{figures['random']['loss']:.2f}"
        return Verdict(Outcome.HOLDS, figure, why)
    return Verdict(Outcome.FAILS, figure, "units that start alike do not stay alike, or random ones do")


CLAIMS = (
    Claim(
        "random-start",
        3,
        _SLIDE,
        "Weights must start at random: from zeros all units stay alike.",
        _alike,
        _symmetric,
    ),
    Claim(
        "bounds-of-r",
        3,
        _SLIDE,
        "r of Uniform(−r, r) must be neither very small nor very large.",
        _bounds,
        _neither,
    ),
    Claim(
        "xavier",
        3,
        _SLIDE,
        "Xavier's Var(W) = 2 / (n_in + n_out) keeps the variance over 20 layers.",
        _xavier,
        _keeps,
    ),
)

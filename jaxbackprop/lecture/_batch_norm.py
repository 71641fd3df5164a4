"""Unit 3: whether batch normalization makes training faster."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import ops

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict
from ._spiral import spiral
from ._statistics import mean, paired
from ._training import COMMAND, compare, settings

_RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_TAGGER_RATES = (0.1, 1.0)
_LAYERS, _UNITS = 10, 32
_SIDES = ("without", "with")


def _speeds(effort: Effort, say: Say) -> dict[str, Any]:
    """The training loss, a mean over all steps: the lower, the sooner it fell. SGD, each at its best rate."""
    found: dict[str, Any] = {}
    for side in _SIDES:
        say(f"10 layers, {side}")
        rates = {f"{rate:g}": losses for rate, losses in zip(_RATES, _deep(effort, side), strict=True)}
        found[f"{_LAYERS} layers, {side}"] = rates
        tagger = compare(
            {
                f"{rate:g}": settings(
                    effort, optimizer="sgd", lr=rate, schedule="constant", batch_norm=side == "with"
                )
                for rate in _TAGGER_RATES
            },
            effort,
            say,
        )
        found[f"tagger, {side}"] = {
            rate: [mean(losses) for losses in each["losses"]] for rate, each in tagger.items()
        }
    return found


def _deep(effort: Effort, side: str) -> list[list[float]]:
    """A rate and a seed: the mean loss of a network of ten layers of sigmoids, over its training."""
    x, y = spiral()
    rng = np.random.default_rng(0)
    first = rng.normal(size=(effort.seeds, _UNITS, 2)) / np.sqrt(2)
    middle = rng.normal(size=(effort.seeds, _LAYERS - 1, _UNITS, _UNITS)) / np.sqrt(_UNITS)
    last = rng.normal(size=(effort.seeds, 3, _UNITS)) / np.sqrt(_UNITS)
    shifts = np.zeros((effort.seeds, _LAYERS, _UNITS))
    start = jax.tree.map(jnp.float32, (first, middle, last, 1 + shifts, shifts))

    def loss(parameters: tuple[jax.Array, ...]) -> jax.Array:
        first, middle, last, scales, shifts = parameters

        def layer(h: jax.Array, own: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
            W, scale, shift = own
            if side == "with":
                return ops.sigmoid(ops.batch_norm(ops.linear(h, W), scale, shift)[0]), None
            return ops.sigmoid(ops.linear(h, W, shift)), None

        h, _ = layer(x, (first, scales[0], shifts[0]))
        h, _ = jax.lax.scan(layer, h, (middle, scales[1:], shifts[1:]))
        return jnp.mean(ops.softmax_cross_entropy(ops.linear(h, last), y))

    def train(parameters: tuple[jax.Array, ...], rate: jax.Array) -> jax.Array:
        def step(parameters: tuple[jax.Array, ...], _: None) -> tuple[tuple[jax.Array, ...], jax.Array]:
            value, slopes = jax.value_and_grad(loss)(parameters)
            return jax.tree.map(lambda w, g: w - rate * g, parameters, slopes), value

        return jnp.mean(jax.lax.scan(step, parameters, length=effort.steps)[1])

    by_seed = jax.vmap(train, in_axes=(0, None))
    made = jax.jit(jax.vmap(by_seed, in_axes=(None, 0)))(start, jnp.asarray(_RATES, jnp.float32))
    return np.asarray(made, dtype=float).tolist()


def _best(rates: dict[str, list[float]]) -> str:
    """The rate with the least mean loss; one that diverged is none."""
    return min(rates, key=lambda rate: mean(rates[rate]) if np.isfinite(rates[rate]).all() else np.inf)


def _faster(figures: Figures) -> Verdict:
    networks = [name.removesuffix(", with") for name in figures if name.endswith(", with")]
    faster, slower, parts = [], [], []
    for network in networks:
        rates = {side: _best(figures[f"{network}, {side}"]) for side in _SIDES}
        without, normalised = (figures[f"{network}, {side}"][rates[side]] for side in _SIDES)
        gain = paired(without, normalised, len(networks))
        faster += [network] if gain.above else []
        slower += [network] if gain.below else []
        parts.append(
            f"{network}: mean loss {mean(without):.3g} without (lr {rates['without']}), "
            f"{mean(normalised):.3g} with (lr {rates['with']})"
        )
    figure = "; ".join(parts)
    if len(faster) == len(networks):
        return Verdict(Outcome.HOLDS, figure, "the training loss falls sooner in both, each at its best rate")
    if faster:
        return Verdict(Outcome.IN_PART, figure, f"sooner in one of them, {faster[0]}, each at its best rate")
    if slower:
        return Verdict(Outcome.FAILS, figure, f"the training loss falls later: {' and '.join(slower)}")
    return Verdict(Outcome.UNDECIDED, figure, "the seeds differ by more")


CLAIMS = (
    Claim(
        "batch-norm",
        3,
        "Too slow",
        "Batch normalization makes training faster.",
        _speeds,
        _faster,
        f"{COMMAND} --schedule constant --optimizer sgd --lr 1 --batch-norm",
    ),
)

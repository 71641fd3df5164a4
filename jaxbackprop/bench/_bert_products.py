"""The matrix products of a BERT's training step by themselves: the part of its time that no rule decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.models import BertConfig

from ._torch import to_its_end

# (x, K, dy) of each map x K; and (q, k, v, p, dp, dy) of the attention, heads before steps.
Operands = tuple[Sequence[Sequence[Any]], Sequence[Any]]


def jax_products(config: BertConfig, batch: int, steps: int) -> Callable[[], object]:
    """Every product of a step in jax, as often as there are layers."""
    operands = jax.tree.map(jnp.asarray, _operands(config, batch, steps))
    program = jax.jit(_of_a_layer).lower(*operands).compile()

    def call() -> object:
        for _ in range(config.num_hidden_layers):
            found = program(*operands)
        return jax.block_until_ready(found)

    call()
    return call


def torch_products(config: BertConfig, batch: int, steps: int, device: str) -> Callable[[], object]:
    """The same in torch."""
    import torch

    operands = jax.tree.map(lambda a: torch.from_numpy(a).to(device), _operands(config, batch, steps))

    def call() -> object:
        for _ in range(config.num_hidden_layers):
            found = _of_a_layer(*operands)
        return found

    return to_its_end(call, device)


def _of_a_layer(maps: Sequence[Sequence[Any]], attention: Sequence[Any]) -> list[Any]:
    """Forward, and backward for both operands; jax's arrays or torch's."""
    found = [product for x, K, dy in maps for product in (x @ K, dy @ K.T, x.T @ dy)]
    q, k, v, p, dp, dy = attention
    found += [q @ k.swapaxes(-1, -2), p @ v]
    return [*found, dp @ k, dp.swapaxes(-1, -2) @ q, dy @ v.swapaxes(-1, -2), p.swapaxes(-1, -2) @ dy]


def _operands(config: BertConfig, batch: int, steps: int) -> Operands:
    rng = np.random.default_rng(0)
    size, wide, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads

    def drawn(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    pieces = batch * steps
    sizes = [(size, size)] * 4 + [(size, wide), (wide, size)]
    maps = [(drawn(pieces, n), drawn(n, m), drawn(pieces, m)) for n, m in sizes]
    vectors, weights = (batch, heads, steps, size // heads), (batch, heads, steps, steps)
    return maps, [drawn(*shape) for shape in (vectors,) * 3 + (weights,) * 2 + (vectors,)]

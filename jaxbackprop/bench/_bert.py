"""`bench bert`: a training step of a BERT classifier beside the same model in plain flax, and in torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxbackprop import ops
from jaxbackprop.models import Bert, BertClassifier, BertConfig
from jaxbackprop.train import init_state, make_step

from ._bert_products import jax_products, torch_products
from ._machine import Limits
from ._measure import Peer, Row, side_by_side
from ._memory import temporary_rows
from ._plain_bert import PlainBert
from ._torch import to_its_end, torch_device

FLAX = "plain flax, jax.grad"
TORCH = "torch eager, transformers"
PRODUCTS, TORCH_PRODUCTS = "its matrix products alone", "torch, its matrix products alone"
_BATCH, _STEPS, _LABELS, _RATE = 32, 64, 2, 1e-4
# all-MiniLM-L6-v2, which is bert-mini.
MINI = BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536)
# The smallest ratios that are asked for: time over ours, memory over ours.
_FASTER, _TORCH_BAR, _LESS_MEMORY = 1 / 0.95, 1.0, 1.0


def bert(limits: Limits, say: Callable[[str], None]) -> list[Row]:
    """Time and temporary memory of an AdamW step on 32 × 64 pieces, with dropout and without.

    Args:
        limits: of the machine.
        say: told why a peer is left out.
    """
    found = []
    for rate in (0.0, 0.1):
        config = dataclasses.replace(MINI, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)
        found += at(config, limits, say, case=f"a step, {_BATCH} × {_STEPS} pieces, dropout {rate:g}")
        jax.clear_caches()
    return found


def at(
    config: BertConfig,
    limits: Limits,
    say: Callable[[str], None],
    *,
    case: str,
    batch: int = _BATCH,
    steps: int = _STEPS,
    seconds: float = 8.0,
) -> list[Row]:
    """The rows of one model."""
    ours, plain = Stepper("ours", config, batch, steps), Stepper(FLAX, config, batch, steps)
    peers = [Peer(FLAX, plain, _FASTER), Peer(PRODUCTS, jax_products(config, batch, steps))]
    torch_step = _torch_step(config, batch, steps, say)
    if torch_step is not None:
        peers.append(Peer(TORCH, torch_step, _TORCH_BAR))
        peers.append(Peer(TORCH_PRODUCTS, torch_products(config, batch, steps, torch_device(say) or "cpu")))
    bound = 1e3 * operations(config, batch, steps) / limits.gemm
    rows = side_by_side("bert", case, Peer("ours", ours), peers, seconds=seconds, bound_ms=bound)
    say(f"bert, {case}: {_shares(rows)}")
    return rows + temporary_rows("bert", case, FLAX, ours.program, plain.program, _LESS_MEMORY)


def _shares(rows: list[Row]) -> str:
    """What the products take of each step: where they are nearly all, no rule makes it faster."""
    took = {row.peer: row.other for row in rows}
    steps = {"our step": (rows[0].ours, PRODUCTS), FLAX: (took[FLAX], PRODUCTS)}
    if TORCH in took:
        steps[TORCH] = (took[TORCH], TORCH_PRODUCTS)
    shares = [f"{took[products] / whole:.0%} of {step}" for step, (whole, products) in steps.items()]
    return f"the matrix products alone take {'; '.join(shares)}"


def operations(config: BertConfig, batch: int, steps: int) -> float:
    """Of the matrix products alone: forward, and backward for weights and inputs."""
    size, wide, pieces = config.hidden_size, config.intermediate_size, batch * steps
    layer = pieces * (4 * size**2 + 2 * size * wide) + 2 * batch * steps**2 * size
    return 3 * 2 * config.num_hidden_layers * layer


class _PlainClassifier(nnx.Module):
    """As `BertClassifier`, in flax's own layers."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.bert = PlainBert(config, rngs=rngs)
        self.dropout = nnx.Dropout(config.hidden_dropout_prob)
        self.classifier = nnx.Linear(config.hidden_size, _LABELS, rngs=rngs)

    def __call__(self, ids: Any, types: Any, mask: Any, *, key: jax.Array) -> jax.Array:
        encoder_key, head_key = jax.random.split(key)
        _, pooled = self.bert(ids, types, mask, key=encoder_key)
        return self.classifier(self.dropout(pooled, deterministic=False, rngs=head_key))


def _loss(model: Any, batch: dict[str, jax.Array], key: jax.Array) -> jax.Array:
    logits = model(batch["ids"], batch["types"], batch["mask"], key=key)
    return jnp.mean(ops.softmax_cross_entropy(logits, batch["labels"]))


def _plain_loss(model: Any, batch: dict[str, jax.Array], key: jax.Array) -> jax.Array:
    logits = model(batch["ids"], batch["types"], batch["mask"], key=key)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]))


class Stepper:
    """A model in training: each call makes one step, in place.

    Attributes:
        program: the step, compiled.
    """

    def __init__(self, name: str, config: BertConfig, batch: int, steps: int) -> None:
        """Compiles it.

        Args:
            name: "ours" or `FLAX`.
            config: the sizes.
            batch: sequences a step.
            steps: pieces in each.
        """
        model: nnx.Module
        if name == "ours":
            model, loss = BertClassifier(Bert(config, rngs=nnx.Rngs(0)), _LABELS, rngs=nnx.Rngs(1)), _loss
        else:
            model, loss = _PlainClassifier(config, rngs=nnx.Rngs(0)), _plain_loss
        graphdef, params = nnx.split(model)
        optimizer = optax.adamw(_RATE)
        self._state = init_state(params, optimizer)
        self._batch = {name: jnp.asarray(rows) for name, rows in examples(config, batch, steps).items()}
        step = make_step(graphdef, loss, optimizer, jax.random.key(0))
        arguments: tuple[Any, ...] = (self._state, nnx.State({}), self._batch, None)
        self.program = jax.jit(step, donate_argnums=0).lower(*arguments).compile()
        self()

    def __call__(self) -> None:
        """Makes a step and waits for its end."""
        self._state = self.program(self._state, nnx.State({}), self._batch, None)
        jax.block_until_ready(self._state)


def examples(config: BertConfig, batch: int, steps: int) -> dict[str, np.ndarray]:
    """Random pieces, three quarters of the places of a sequence filled on average."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(steps // 2, steps + 1, (batch, 1))
    return {
        "ids": rng.integers(0, config.vocab_size, (batch, steps), dtype=np.int32),
        "types": np.zeros((batch, steps), np.int32),
        "mask": (np.arange(steps) < lengths).astype(np.int32),
        "labels": rng.integers(0, _LABELS, batch, dtype=np.int32),
    }


def _torch_step(
    config: BertConfig, batch: int, steps: int, say: Callable[[str], None]
) -> Callable[[], Any] | None:
    """The same by transformers' BertModel and torch's AdamW; None where they are not there."""
    device = torch_device(say)
    if device is None:
        return None
    if find_spec("transformers") is None:
        say("transformers is not installed (extra bert-test): nothing is measured beside it")
        return None
    import torch
    import transformers

    sizes = {name: value for name, value in config.to_dict().items() if name != "model_type"}
    encoder = transformers.BertModel(transformers.BertConfig(**sizes)).to(device).train()
    head = torch.nn.Linear(config.hidden_size, _LABELS, device=device)
    drop = torch.nn.Dropout(config.hidden_dropout_prob)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=_RATE, weight_decay=1e-4)
    data = {name: torch.from_numpy(a).long().to(device) for name, a in examples(config, batch, steps).items()}

    def step() -> Any:
        optimizer.zero_grad()
        found = encoder(data["ids"], token_type_ids=data["types"], attention_mask=data["mask"])
        loss = torch.nn.functional.cross_entropy(head(drop(found.pooler_output)), data["labels"])
        loss.backward()
        optimizer.step()
        return loss

    return to_its_end(step, device)

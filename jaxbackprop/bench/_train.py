"""`bench train`: a training step of the window classifier beside the same model in plain flax."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.train import Config, RowUpdates, init_state, make_optimizer, make_row_optimizer, make_step

from ._machine import Limits
from ._measure import Curve, Peer, Row, side_by_side
from ._memory import temporary_rows

FLAX = "plain flax, jax.grad"
_WORDS, _SHAPES, _AFFIXES, _TAGS, _WORD_DIM = 5_000, 8, 1_000, 21, 50
_BATCHES = (128, 1024)
_GROWTH = (32, 128, 512, 2048)
_EXAMPLES = 8192


class PlainWindowNER(nnx.Module):
    """The classifier of `jaxbackprop.models` in flax's own layers; parameters by the same names.

    Args:
        num_words, word_dim, num_shapes, num_prefixes, num_suffixes, num_tags: see `WindowNER`.
        shape_dim, affix_dim, window, hidden, dropout: see `WindowNER`; the activation is tanh.
        rngs: random streams.
    """

    def __init__(
        self,
        *,
        num_words: int,
        word_dim: int,
        num_shapes: int,
        num_prefixes: int,
        num_suffixes: int,
        num_tags: int,
        shape_dim: int,
        affix_dim: int,
        window: int,
        hidden: int,
        dropout: float,
        rngs: nnx.Rngs,
    ) -> None:
        self.words = nnx.Embed(num_words, word_dim, rngs=rngs)
        self.shapes = nnx.Embed(num_shapes, shape_dim, rngs=rngs)
        self.prefixes = nnx.Embed(num_prefixes, affix_dim, rngs=rngs)
        self.suffixes = nnx.Embed(num_suffixes, affix_dim, rngs=rngs)
        self.hidden = nnx.Linear((2 * window + 1) * (word_dim + shape_dim + 2 * affix_dim), hidden, rngs=rngs)
        self.dropout = nnx.Dropout(dropout)
        self.output = nnx.Linear(hidden, num_tags, rngs=rngs)

    def __call__(self, batch: Mapping[str, jax.Array], *, key: jax.Array | None = None) -> jax.Array:
        """Logits (B, C) of windows of ids (B, 2m + 1); see `WindowNER`."""
        pieces = []
        for name in ("words", "shapes", "prefixes", "suffixes"):
            ids = batch[name]
            rows = getattr(self, name)(jnp.maximum(ids, 0))
            rows = jnp.where((ids >= 0)[..., None], rows, jnp.zeros_like(rows))
            pieces.append(rows.reshape(ids.shape[0], -1))
        h = jnp.tanh(self.hidden(jnp.concatenate(pieces, axis=-1)))
        return self.output(self.dropout(h, deterministic=key is None, rngs=key))


def plain_loss(
    model: PlainWindowNER, batch: Mapping[str, jax.Array], l2: float, *, key: jax.Array | None = None
) -> jax.Array:
    """The loss of `window_ner_loss` by optax and jax.numpy."""
    losses = optax.softmax_cross_entropy_with_integer_labels(model(batch, key=key), batch["labels"])
    kernels = model.hidden.kernel[...], model.output.kernel[...]
    return jnp.mean(losses) + l2 * sum(jnp.sum(jnp.square(W)) for W in kernels)


def train(limits: Limits, say: Callable[[str], None]) -> list[Row]:
    """Time and temporary memory of a step, one case a batch size; tokens a second are told.

    Args:
        limits: of the machine.
        say: told the rates.
    """
    found = []
    for batch in _BATCHES:
        ours, peer = Stepper("ours", batch), Stepper(FLAX, batch)
        case = f"a step on {batch:,} words"
        rows = side_by_side(
            "train", case, ours.peer(), [peer.peer()], bound_ms=1e3 * ours.operations / limits.gemm
        )
        mine, theirs = (1e3 * batch / time for time in (rows[0].ours, rows[0].other))
        say(f"train, words a second in batches of {batch:,}: ours {mine:,.0f}, plain flax {theirs:,.0f}")
        found += rows
        found += temporary_rows("train", case, FLAX, ours.program, peer.program)
    return found


def curves(limits: Limits, say: Callable[[str], None]) -> list[Curve]:
    """Time of a step against the words in a batch."""
    times: dict[str, list[float]] = {"ours": [], FLAX: []}
    for batch in _GROWTH:
        ours, peer = Stepper("ours", batch), Stepper(FLAX, batch)
        (row,) = side_by_side("train", "growth", ours.peer(), [peer.peer()], seconds=0.5)
        times["ours"].append(row.ours)
        times[FLAX].append(row.other)
    return [Curve("a training step of the window classifier", "words in a batch", _GROWTH, times)]


class Stepper:
    """A model in training: each call makes one step, in place.

    Ours is trained as `jaxbackprop train` does it, the word table by the rows of the batch.

    Args:
        name: "ours" or `FLAX`.
        batch: words a step.

    Attributes:
        program: the step, compiled.
    """

    def __init__(self, name: str, batch: int) -> None:
        config = Config()
        model, loss = _model(name, config)
        schedule = optax.constant_schedule(config.lr)
        optimizer = make_optimizer(config, schedule)
        graphdef, *states = nnx.split(model, nnx.Param, ...)
        params, constants = states
        self._name = name
        row_optimizer = make_row_optimizer(config, schedule) if isinstance(model, WindowNER) else None
        rows = None
        if row_optimizer is not None:
            rows = RowUpdates(row_optimizer, {("words", "embedding"): "words"}, model.words.padding_id)
        self._state = init_state(params, optimizer, rows=rows)
        self._constants = constants
        step = make_step(graphdef, loss, optimizer, jax.random.key(0), rows=rows)
        self._data = {name: jnp.asarray(rows) for name, rows in _examples().items()}
        self._indices = np.random.default_rng(1).permutation(_EXAMPLES)[:batch].astype(np.int32)
        arguments = (self._state, self._constants, self._data, self._indices)
        self.program = jax.jit(step, donate_argnums=0).lower(*arguments).compile()
        self._inputs = int(model.hidden.kernel.shape[0])
        self._units, self._batch = config.hidden, batch

    @property
    def operations(self) -> float:
        """Of the matrix products alone: forward, and backward for weights and inputs."""
        return 3 * 2 * self._batch * self._units * (self._inputs + _TAGS)

    def __call__(self) -> None:
        """Makes a step and waits for its end."""
        self._state = self.program(self._state, self._constants, self._data, self._indices)
        jax.block_until_ready(self._state)

    def peer(self) -> Peer:
        """For `side_by_side`."""
        return Peer(self._name, self)


def _model(name: str, config: Config) -> tuple[Any, Callable[..., jax.Array]]:
    sizes: dict[str, Any] = {
        "num_words": _WORDS,
        "word_dim": _WORD_DIM,
        "num_shapes": _SHAPES,
        "num_prefixes": _AFFIXES,
        "num_suffixes": _AFFIXES,
        "num_tags": _TAGS,
        "shape_dim": config.shape_dim,
        "affix_dim": config.affix_dim,
        "window": config.window,
        "hidden": config.hidden,
        "dropout": config.dropout,
    }
    make, loss = (WindowNER, window_ner_loss) if name == "ours" else (PlainWindowNER, plain_loss)
    return make(**sizes, rngs=nnx.Rngs(0)), functools.partial(_as_trained, loss, config.l2)


def _as_trained(loss: Callable[..., Any], l2: float, model: Any, batch: Any, key: Any) -> Any:
    return loss(model, batch, l2, key=key)


def _examples() -> dict[str, np.ndarray]:
    """Windows of ids, words as Zipf has them, one place in twenty outside the sentence."""
    rng = np.random.default_rng(0)
    width = 2 * Config().window + 1
    highs = {"words": _WORDS, "shapes": _SHAPES, "prefixes": _AFFIXES, "suffixes": _AFFIXES}
    data = {}
    for name, high in highs.items():
        chances = 1 / np.arange(1, high + 1)
        ids = rng.choice(high, (_EXAMPLES, width), p=chances / chances.sum())
        data[name] = np.where(rng.random(ids.shape) < 0.05, -1, ids).astype(np.int32)
    return data | {"labels": rng.integers(0, _TAGS, _EXAMPLES, dtype=np.int32)}

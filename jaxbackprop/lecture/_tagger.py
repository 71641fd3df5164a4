"""The window classifier trained many times: one compilation serves every seed and every learning rate."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop import ops
from jaxbackprop.data import (
    Corpus,
    Encoder,
    Sentence,
    Windows,
    WordVectors,
    batch_indices,
    default_corpus,
    load_vectors,
    tag_set,
)
from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.ner import as_batch, build_model, make_updates, tag_sentences, trainable
from jaxbackprop.train import (
    Config,
    TrainState,
    epoch_end,
    init_state,
    make_plateau,
    make_schedule,
    make_step,
    score,
)

# Two runs at a time: a step on few words keeps no more than one core busy.
_THREADS = 2
# Of the settings, those that a compiled run takes as arguments.
_ARGUMENTS = (
    *("seed", "epochs", "l2", "lr", "base_lr", "min_lr", "schedule", "warmup_epochs", "cycle_epochs"),
    *("halve_every", "decay", "plateau_monitor", "plateau_patience"),
)


# Those that the model at its start depends on.
_OF_THE_MODEL = (
    *("seed", "window", "shape_dim", "affix_dim", "hidden", "activation", "dropout", "input_dropout"),
    *("batch_norm", "init"),
)


@dataclass(frozen=True)
class Run:
    """What a run of the tagger came to, with its parameters (averaged, where they are) of the last epoch.

    Attributes:
        f1: exact-match entity F1 on the development sentences; 0 where the run diverged.
        train_f1: the same on the training sentences.
        losses: mean loss of each epoch, with dropout and penalty, in nats.
    """

    f1: float
    train_f1: float
    losses: tuple[float, ...]


def run_all(
    configs: Mapping[str, Config], seeds: int, say: Callable[[str], None], sentences: int | None = None
) -> dict[str, list[Run]]:
    """Trains each configuration once a seed.

    Args:
        configs: by name; their seeds do not count.
        seeds: how many: 0, 1, 2, …
        say: told what is being trained.
        sentences: of the training sentences the first so many; None takes all.

    Returns:
        The runs by name, in the order of their seeds, so that equal places are pairs.
    """
    _data(sentences)
    each = {
        name: [dataclasses.replace(config, seed=n) for n in range(seeds)] for name, config in configs.items()
    }
    names = {config: f"{name}, seed {config.seed}" for name, group in each.items() for config in group}
    # Of those that share a program the first one compiles it, two programs at a time.
    compiling = {_fixed(config): config for config in reversed(names)}.values()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for jobs in (compiling, names):
                for config, _ in zip(jobs, pool.map(lambda job: run(job, sentences), jobs), strict=True):
                    say(names[config])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {name: [run(config, sentences) for config in group] for name, group in each.items()}


@functools.cache
def run(config: Config, sentences: int | None = None) -> Run:
    """Trains the tagger as `jaxbackprop train` does with these settings.

    Args:
        config: the settings; of the built-in corpus.
        sentences: of the training sentences the first so many; None takes all.
    """
    data = _data(sentences)
    model = _model(Config(**{name: getattr(config, name) for name in _OF_THE_MODEL}), sentences)
    count = len(data.windows.labels)
    batch_size = min(config.batch_size, count)
    ends = [epoch_end(epoch, count, batch_size) for epoch in range(config.epochs + 1)]
    indices = np.stack(
        [batch_indices(config.seed, step, count=count, batch_size=batch_size) for step in range(ends[-1])]
    )
    planned = np.asarray(make_schedule(config, count / batch_size)(np.arange(ends[-1])), np.float32)
    plateau = make_plateau(config)

    graphdef, *states = nnx.split(model, trainable(config), nnx.Not(nnx.Param), ...)
    params, variables, constants = states
    program = _program(_fixed(config), graphdef, count / batch_size, model.words.padding_id)
    state, losses = program.begin(params, variables), np.zeros(0, np.float32)

    def merged(state: TrainState) -> WindowNER:
        shown = state.params if state.average is None else state.average
        model: WindowNER = nnx.merge(graphdef, shown, state.variables, constants)
        return model

    def dev_f1(state: TrainState) -> float:
        return data.f1(merged(state), data.corpus.dev, data.dev, config.decode)

    given = constants, np.float32(config.l2), jax.random.key(config.seed), data.examples, indices
    for begin, end in itertools.pairwise(ends):
        rates = planned if plateau is None else planned * np.float32(plateau.scale(begin))
        state, made = program.epoch(state, rates, begin, end, *given)
        losses = np.append(losses, made[begin:end])
        if plateau is not None:
            plateau.judge({"loss": float(losses[begin:end].mean()), "dev_f1": dev_f1(state)}, end)
    by_epoch = tuple(float(losses[begin:end].mean()) for begin, end in itertools.pairwise(ends))
    if not np.isfinite(losses).all():
        return Run(0.0, 0.0, by_epoch)
    train_f1 = data.f1(merged(state), data.corpus.train, data.windows, config.decode)
    return Run(dev_f1(state), train_f1, by_epoch)


def count_words(sentences: int | None) -> int:
    """The words to train on."""
    return len(_data(sentences).windows.labels)


@dataclass(frozen=True, eq=False)
class _Data:
    corpus: Corpus
    vectors: WordVectors
    encoder: Encoder
    windows: Windows
    dev: Windows
    examples: dict[str, jax.Array]

    def f1(self, model: WindowNER, sentences: Sequence[Sentence], windows: Windows, decode: str) -> float:
        predicted = tag_sentences(model, self.encoder, windows, decode=decode)
        return float(score([sentence.tags for sentence in sentences], predicted).measures["f1"])


@functools.cache
def _data(sentences: int | None) -> _Data:
    """The built-in corpus with GloVe vectors, encoded as `jaxbackprop train` does by default."""
    corpus = default_corpus()
    corpus = dataclasses.replace(corpus, train=corpus.train[:sentences])
    config, vectors = Config(), load_vectors("glove")
    encoder = Encoder.build(
        corpus.train,
        dev=corpus.dev,
        tags=tag_set(corpus.train, config.task),
        window=config.window,
        vectors=vectors,
        min_count=config.min_count,
    )
    windows = encoder.encode(corpus.train)
    examples = {name: jnp.asarray(entries) for name, entries in as_batch(windows).items()}
    return _Data(corpus, vectors, encoder, windows, encoder.encode(corpus.dev, labels=False), examples)


@functools.cache
def _model(config: Config, sentences: int | None) -> WindowNER:
    """The model at its start, which many settings of its training share; training copies it."""
    data = _data(sentences)
    table = data.encoder.initial_table(data.vectors, np.random.default_rng(config.seed), dim=None)
    return build_model(config, data.encoder, table.shape[1], table)


def _fixed(config: Config) -> Config:
    """The settings that a compiled run depends on; those that it takes as arguments are at their defaults."""
    fixed = {name: value for name, value in config.to_dict().items() if name not in _ARGUMENTS}
    return Config(**fixed)


class _Program(NamedTuple):
    begin: Callable[..., TrainState]
    epoch: Callable[..., tuple[TrainState, jax.Array]]


@functools.cache
def _program(
    fixed: Config, graphdef: nnx.GraphDef[WindowNER], steps_per_epoch: float, padding_id: int | None
) -> _Program:
    """The start of a run, and an epoch of it, as compiled functions."""

    @jax.jit
    def begin(params: nnx.State, variables: nnx.State) -> TrainState:
        optimizer, rows = make_updates(fixed, lambda step: jnp.float32(0), steps_per_epoch, padding_id)
        return init_state(params, optimizer, variables=variables, average=fixed.average, rows=rows)

    @jax.jit
    def epoch(
        state: TrainState,
        rates: jax.Array,
        first: int,
        last: int,
        constants: nnx.State,
        l2: jax.Array,
        key: jax.Array,
        data: dict[str, jax.Array],
        indices: jax.Array,
    ) -> tuple[TrainState, jax.Array]:
        def schedule(step: Any) -> jax.Array:
            return rates[step]

        def loss(model: WindowNER, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
            penalty = ops.l2(nnx.to_pure_dict(nnx.state(model, nnx.Param)), l2)
            return window_ner_loss(model, batch, 0.0, key=key) + penalty

        optimizer, rows = make_updates(fixed, schedule, steps_per_epoch, padding_id)
        step = make_step(graphdef, loss, optimizer, key, average=fixed.average, rows=rows)

        def advance(at: jax.Array, carried: tuple[TrainState, jax.Array]) -> tuple[TrainState, jax.Array]:
            state, losses = carried
            state = step(state, constants, data, indices[at])
            losses = losses.at[at].set(jnp.where(state.bad_step < 0, state.loss_sum, jnp.nan))
            return state._replace(aux={}, loss_sum=jnp.zeros((), jnp.float32)), losses

        made: tuple[TrainState, jax.Array] = jax.lax.fori_loop(
            first, last, advance, (state, jnp.zeros(len(rates), jnp.float32))
        )
        return made

    return _Program(begin, epoch)

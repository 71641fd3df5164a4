"""The window classifier trained on the built-in corpus with many settings and seeds, each once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.data import (
    Corpus,
    Encoder,
    Sentence,
    Windows,
    WordVectors,
    default_corpus,
    load_vectors,
    tag_set,
)
from jaxbackprop.models import WindowNER
from jaxbackprop.ner import as_batch, build_model, compiled_settings, tag_sentences, train_in_memory
from jaxbackprop.train import Config, score

# Two runs at a time: a step on few words keeps no more than one core busy.
_THREADS = 2
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
    compiling = {compiled_settings(config): config for config in reversed(names)}.values()
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

    def dev_f1(model: WindowNER) -> float:
        return data.f1(model, data.corpus.dev, data.dev, config.decode)

    made = train_in_memory(config, model, data.examples, measure=lambda model: {"dev_f1": dev_f1(model)})
    if made.diverged:
        return Run(0.0, 0.0, made.losses)
    train_f1 = data.f1(made.model, data.corpus.train, data.windows, config.decode)
    return Run(dev_f1(made.model), train_f1, made.losses)


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

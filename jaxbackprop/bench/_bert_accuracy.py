"""`bench bert --accuracy`: a BERT beside logistic regression, by what is trained and on how much."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from flax import nnx
from jaxtyping import Bool

from jaxbackprop._output import write_json
from jaxbackprop.data import Labelled
from jaxbackprop.finetune import MINI, Settings, Texts, locate, read_texts, weights_sha256
from jaxbackprop.models import BertClassifier, load_bert
from jaxbackprop.pretrained import load_tokenizer

from ._accuracy_table import BASELINES, Accuracies
from ._bert_strategies import STRATEGIES, Strategy, Trainer
from ._bert_texts import EncodedTexts
from ._report import CannotBench
from ._sentence_baselines import VECTORS, on_vectors, on_words, refuse_missing_sklearn

_EVERY = "all"
# Passes make up so many sentences, but are at least one and at most six.
_READ, _MOST_EPOCHS = 4_000, 6


def bert_accuracy(
    sizes: Sequence[str],
    seeds: int,
    say: Callable[[str], None],
    *,
    model: str = MINI,
    data: str,
    json_path: str | None = None,
) -> Accuracies:
    """Trains each of the lecture's four strategies on each size with each seed, beside two baselines.

    A seed draws the training sentences, which are the same for all rows, and beside them the new layer, the
    batches and the dropouts. The learning rate of a strategy is the one of two or three with which the first
    seed does best on development sentences at the smallest size. The new layer alone, trained from the frozen
    encoder's outputs, has ten times the epochs.

    Args:
        sizes: training sentences: numbers, or "all".
        seeds: how many, from 0.
        say: told of every run.
        model: the encoder: an asset, or a folder.
        data: the sentences: an asset, or a file.
        json_path: file for the figures, written anew after every run. Where it is there and was written of
            the same encoder and sentences, the runs in it are not made again.

    Raises:
        CannotBench: an argument does not fit, or scikit-learn is not installed.
        CannotRun, DataError, MissingExtra: see `jaxbackprop.finetune.finetune`.
    """
    if seeds < 1:
        raise CannotBench(f"--seeds must be at least 1, not {seeds}")
    refuse_missing_sklearn()
    settings = Settings.of({"model": model, "data": data}, {})
    texts = read_texts(settings.own)
    if texts.in_pairs:
        raise CannotBench(f"--data {data}: expected single sentences, got pairs")
    folder = locate(model, MINI)
    source = {"model": model, "model_sha256": weights_sha256(folder), "data": texts.name, **texts.describe()}
    found = Accuracies(source, len(texts.test), _sizes(sizes, len(texts.train)))
    if json_path is not None and (held := found.recall(json_path)):
        say(f"{json_path} holds {held} runs, which are not made again")
    bert, tokenizer = load_bert(folder, warn=say), load_tokenizer(folder)
    began = time.perf_counter()
    encoded = {
        part: EncodedTexts(getattr(texts, part), texts.labels, tokenizer, bert)
        for part in ("train", "dev", "test")
    }
    say(f"{texts.name}: {len(texts.train):,} / {len(texts.dev):,} / {len(texts.test):,} sentences")
    say(f"frozen vectors: {time.perf_counter() - began:.0f} s")
    runs = _Runs(found, texts, encoded, Trainer(settings, bert.config.num_hidden_layers), say)
    for seed in range(seeds):
        for size in found.sizes:
            model_of_seed = BertClassifier(bert, len(texts.labels), rngs=nnx.Rngs(seed))
            for _ in runs.at(size, seed, model_of_seed):
                if json_path is not None:
                    write_json(json_path, found.to_dict())
    return found


def epochs_of(count: int) -> int:
    """Passes over so many training sentences."""
    return max(1, min(_MOST_EPOCHS, round(_READ / count)))


def _sizes(words: Sequence[str], most: int) -> dict[str, int]:
    found = {}
    for word in words:
        count = most if word == _EVERY else int(word) if word.isascii() and word.isdigit() else 0
        if not 2 <= count <= most:
            raise CannotBench(
                f"--sizes must be all, or from 2 to {most} training sentences, not {word!r:.40}"
            )
        found[word if word == _EVERY else f"{count:,}"] = count
    return dict(sorted(found.items(), key=lambda one: one[1]))


class _Runs:
    """The runs of one comparison."""

    def __init__(
        self,
        found: Accuracies,
        texts: Texts,
        encoded: dict[str, EncodedTexts],
        trainer: Trainer,
        say: Callable[[str], None],
    ) -> None:
        self._found, self._texts, self._encoded, self._trainer, self._say = (
            found,
            texts,
            encoded,
            trainer,
            say,
        )

    def at(self, size: str, seed: int, model: BertClassifier) -> Iterator[None]:
        """Makes all runs of a size and a seed that are missing, one by one."""
        count = self._found.sizes[size]
        rows = np.random.default_rng([seed, count]).permutation(len(self._texts.train))[:count]
        if len(np.unique(self._encoded["train"].labels[rows])) < 2:
            raise CannotBench(f"--sizes: the {count} sentences of seed {seed} have one label alone")
        runs: dict[str, Callable[[], Bool[np.ndarray, "N"]]] = {
            **{name: partial(self._baseline, name, rows) for name in BASELINES},
            **{one.name: partial(self._trained, one, seed, rows, model) for one in STRATEGIES},
        }
        for name, run in runs.items():
            if len(self._found.right.get((name, size), [])) <= seed:
                began = time.perf_counter()
                self._add(name, size, seed, run(), began)
                yield

    def _baseline(self, name: str, rows: np.ndarray) -> Bool[np.ndarray, "N"]:
        train, dev, test = (self._encoded[part] for part in ("train", "dev", "test"))
        labels = train.labels[rows]
        if name == VECTORS:
            return on_vectors(
                train.vectors[rows], labels, (dev.vectors, dev.labels), (test.vectors, test.labels)
            )
        sentences = [self._texts.train[at].sentence for at in rows]
        return on_words(
            sentences,
            labels,
            (_sentences(self._texts.dev), dev.labels),
            (_sentences(self._texts.test), test.labels),
        )

    def _trained(
        self, strategy: Strategy, seed: int, rows: np.ndarray, model: BertClassifier
    ) -> Bool[np.ndarray, "N"]:
        epochs, rate = epochs_of(len(rows)), self._found.rates.get(strategy.name)
        tried = [
            (one, self._trainer.train(model, strategy, one, self._encoded["train"], rows, epochs, seed))
            for one in (strategy.rates if rate is None else (rate,))
        ]
        if rate is None:
            rate, trained = max(tried, key=lambda one: self._right("dev", strategy, one[1]).mean())
            self._found.rates[strategy.name] = rate
        else:
            trained = tried[0][1]
        return self._right("test", strategy, trained)

    def _right(self, part: str, strategy: Strategy, model: BertClassifier) -> Bool[np.ndarray, "N"]:
        texts = self._encoded[part]
        return texts.predicted(model, frozen=strategy.frozen) == texts.labels

    def _add(self, name: str, size: str, seed: int, right: Bool[np.ndarray, "N"], began: float) -> None:
        self._found.right.setdefault((name, size), []).append(right)
        rate = self._found.rates.get(name)
        with_rate = "" if rate is None else f", rate {rate:g}"
        self._say(
            f"{size}, seed {seed}: {name} {right.mean():.4f}{with_rate}, {time.perf_counter() - began:.0f} s"
        )


def _sentences(rows: Sequence[Labelled]) -> list[str]:
    return [row.sentence for row in rows]

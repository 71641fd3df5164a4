"""`jaxbackprop bench ner`: the window classifier beside a linear-chain CRF, in one run."""

from __future__ import annotations

import dataclasses
import io
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxbackprop.data import default_corpus, read_corpus
from jaxbackprop.ner import Reporting, load_tagger, train
from jaxbackprop.train import Config

from ._bootstrap import f1_of, paired_bootstrap
from ._crf import crf_baseline
from ._report import CannotBench


def ner(config: Config, *, seeds: int, console: Console) -> dict[str, Any]:
    """Trains the classifier once a seed and the CRF once a point of its grid, and compares them on test.

    Both choose on development data alone. The interval is a paired bootstrap over test sentences.

    Args:
        config: settings of the classifier; its seed is the first.
        seeds: how many runs of the classifier, at least 1.
        console: where progress and results are shown.

    Returns:
        The figures: F1 of every run, of the CRF, their difference and its interval, and seconds.

    Raises:
        CannotBench: seeds is below 1, the task is not spans, there are no test sentences, or sklearn-crfsuite
            is not installed.
        MissingExtra: the default data is not installed.
    """
    if seeds < 1:
        raise CannotBench(f"--seeds must be at least 1, not {seeds}")
    if config.task != "spans":
        raise CannotBench("--task must be spans: the comparison is on entities")
    if config.train is None:
        corpus = default_corpus()
    elif config.dev is None or config.test is None:
        raise CannotBench("--train needs --dev and --test: the comparison is on test sentences")
    else:
        corpus = read_corpus(
            config.train, config.dev, config.test, columns=config.columns, scheme=config.scheme
        )
    gold = [sentence.tags for sentence in corpus.test]

    began = time.perf_counter()
    try:
        crf = crf_baseline(corpus)
    except (ImportError, ValueError) as error:
        raise CannotBench(str(error)) from None
    crf_seconds = time.perf_counter() - began
    console.print(
        f"CRF, c1 {crf.c1} and c2 {crf.c2} by development F1 {crf.dev_f1:.4f}: test F1 {crf.test_f1:.4f}"
    )
    runs: list[Sequence[tuple[str, ...]]] = []
    each: list[float] = []
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(config.seed, config.seed + seeds):
            began = time.perf_counter()
            out = Path(folder) / str(seed)
            train(dataclasses.replace(config, seed=seed), out, Reporting(Console(file=io.StringIO())))
            seconds.append(time.perf_counter() - began)
            runs.append(load_tagger(out, console.print).tag([sentence.words for sentence in corpus.test]))
            each.append(f1_of(gold, runs[-1]))
            console.print(f"window classifier, seed {seed}: test F1 {each[-1]:.4f}, {seconds[-1]:.1f} s")

    found = paired_bootstrap(gold, runs, crf.predictions)
    console.print(
        f"window classifier {found.f1_a:.4f} (mean of {seeds} seeds, {min(each):.4f} to {max(each):.4f}), "
        f"CRF {found.f1_b:.4f}"
    )
    console.print(
        f"difference {found.difference:+.4f}, {found.confidence:.0%} interval "
        f"[{found.low:+.4f}, {found.high:+.4f}], p = {found.p:.4f}: exact-match entity F1, "
        f"paired bootstrap over {len(gold)} test sentences, {found.samples} samples"
    )
    return {
        "corpus": corpus.name,
        "test_sentences": len(gold),
        "f1": each,
        "crf": {"c1": crf.c1, "c2": crf.c2, "dev_f1": crf.dev_f1, "test_f1": crf.test_f1},
        "bootstrap": dataclasses.asdict(found),
        "seconds": {"classifier": float(np.mean(seconds)), "crf_with_its_grid": crf_seconds},
    }

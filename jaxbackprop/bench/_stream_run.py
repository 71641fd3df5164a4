"""One process of `bench stream`: it tokenizes shards or trains for some steps, and says what that took."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Seconds between two looks at the memory.
_LOOK = 0.01
# Steps that may compile, and are not timed; then those of each turn. Losses are read every hundred.
_WARM, TURN = 300, 200


class _Enough(Exception):
    pass


def main() -> None:
    """Does what the first argument says in JSON, and prints in JSON what it took."""
    told = json.loads(sys.argv[1])
    from jaxbackprop import data, ner  # noqa: F401, what is imported is resident at the start

    start = _memory()
    peak = dict(start)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK):
            for kind, size in _memory().items():
                peak[kind] = max(peak[kind], size)

    watching = threading.Thread(target=look)
    watching.start()
    work: dict[str, Callable[..., dict[str, Any]]] = {"tokenize": tokenize, "train": train}
    try:
        found = work[told.pop("work")](**told)
    finally:
        ended.set()
        watching.join()
    print(json.dumps({**found, "start": start, "peak": peak}))


def tokenize(files: str, dev: str) -> dict[str, Any]:
    """Fills the cache; how long that takes."""
    from jaxbackprop.data import stream_corpus

    began = time.perf_counter()
    words = stream_corpus(files, dev).train.words
    return {"words": words, "seconds": time.perf_counter() - began}


def train(files: str, dev: str) -> dict[str, Any]:
    """Trains as `jaxbackprop train --train files` does, but in turns, and ends when it is told to.

    For each line of standard input it makes `TURN` steps, and prints the seconds that they took.
    """
    from rich.console import Console

    from jaxbackprop import ner
    from jaxbackprop.train import Config

    config = Config(train=files, dev=dev, vectors="random", epochs=10_000)
    began = 0.0

    def on_steps(made: int, mean: float, rate: float | None) -> None:
        nonlocal began
        if made < _WARM or (made - _WARM) % TURN:
            return
        print(time.perf_counter() - began, flush=True)
        if not sys.stdin.readline():
            raise _Enough
        began = time.perf_counter()

    reporting = ner.Reporting(Console(file=io.StringIO()), lambda line: None, on_steps=on_steps)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        try:
            ner.train(config, out, reporting)
        except _Enough:
            pass
        rows = len(json.loads((out / "vocabulary.json").read_text())["words"]) + 1
    # The word table, both moments of adam, and the running average.
    return {"tables": 4 * 4 * rows * config.word_dim}


def _memory() -> dict[str, int]:
    """Bytes that are resident now: of this process's own (anonymous), and of files that it maps."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        lines = dict(line.split(":", 1) for line in file if line.startswith("Rss"))
    return {
        name: 1024 * int(lines[key].split()[0])
        for name, key in (("anonymous", "RssAnon"), ("files", "RssFile"))
    }

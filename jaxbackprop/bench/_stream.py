"""`bench stream`: a corpus in shards, tokenized and trained on without being held in memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._machine import BackgroundLoad, disturbs
from ._report import CannotBench
from ._stream_run import TURN

# So few different words that a million have nearly all of them: both tables are of one size.
_SHARDS, _TYPES, _SENTENCE = 10, 20_000, 20
_CHUNK = 1_000_000
_PROGRAM = "from jaxbackprop.bench._stream_run import main; main()"
# What is asked for: memory beyond the tables, speed beside that of data in memory, growth over ten times.
_MOST_BYTES, _LEAST_RATIO, _MOST_GROWTH = 2e9, 0.9, 0.1


@dataclass(frozen=True)
class Streaming:
    """What streaming came to, on a tenth of the words and on all of them.

    Attributes:
        words: of both corpora.
        tokenized_per_second: words.
        tokenizing_bytes: the most anonymous memory beyond the start of the process, on both.
        in_memory: steps a second on the smaller corpus, not streamed, of each turn; on the larger one they
            would be no more.
        streamed: steps a second on both, of each turn.
        tables: bytes of the word table with all that goes with its rows, on both.
        anonymous: the most anonymous memory in bytes, on both.
        files: the most memory of mapped files, which the system takes back where it needs it.
        start: anonymous memory at the start of the process.
        busy: whether others used the machine meanwhile.
    """

    words: tuple[int, int]
    tokenized_per_second: tuple[float, float]
    tokenizing_bytes: tuple[int, int]
    in_memory: list[float]
    streamed: tuple[list[float], list[float]]
    tables: tuple[int, int]
    anonymous: tuple[int, int]
    files: tuple[int, int]
    start: int
    busy: bool

    @property
    def ratios(self) -> list[list[float]]:
        """Streamed over in memory, of turns one after the other, on both corpora."""
        return [
            [ours / peer for ours, peer in zip(rates, self.in_memory, strict=True)] for rates in self.streamed
        ]

    @property
    def growth(self) -> float:
        """Of the anonymous memory beyond the tables, relative, from a tenth of the words to all."""
        small, large = (most - table for most, table in zip(self.anonymous, self.tables, strict=True))
        return large / small - 1

    @property
    def beyond_tables(self) -> int:
        """Bytes resident beyond the tables on the whole corpus, mapped files included."""
        return self.anonymous[1] + self.files[1] - self.tables[1]

    @property
    def bars(self) -> dict[str, bool]:
        """What is asked for, and whether it is met."""
        return {
            f"below {_MOST_BYTES / 1e9:.0f} GB beyond the tables": self.beyond_tables < _MOST_BYTES,
            f"at {_LEAST_RATIO} of the speed in memory": statistics.median(self.ratios[1]) >= _LEAST_RATIO,
            f"growth below {_MOST_GROWTH:.0%}": self.growth < _MOST_GROWTH,
        }

    @property
    def met(self) -> bool:
        """Whether all of that is met."""
        return all(self.bars.values())

    def lines(self) -> list[str]:
        """What is printed."""
        found = []
        for at, words in enumerate(self.words):
            rates = self.streamed[at]
            ratio = sorted(self.ratios[at])
            found += [
                f"{words:,} words in {_SHARDS} files",
                f"  tokenized: {self.tokenized_per_second[at]:,.0f} words a second,"
                f" {_mb(self.tokenizing_bytes[at])} beyond the start",
                f"  streamed: {statistics.median(rates):.0f} steps a second, {statistics.median(ratio):.3f}"
                f" of those in memory ({ratio[0]:.3f} to {ratio[-1]:.3f})",
                f"  at most resident: {_mb(self.anonymous[at])} of its own (start {_mb(self.start)}, tables"
                f" {_mb(self.tables[at])}), {_mb(self.files[at])} of files that are mapped",
            ]
        found.append(
            f"in memory ({self.words[0]:,} words): {statistics.median(self.in_memory):.0f} steps a second"
        )
        found.append(
            f"own memory beyond the tables grows by {self.growth:+.1%} from {self.words[0]:,} to"
            f" {self.words[1]:,} words"
        )
        found += [f"{bar}: {'met' if met else 'missed'}" for bar, met in self.bars.items()]
        return [*found, "busy: others used the machine meanwhile"] if self.busy else found

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "benchmark": "stream",
            **asdict(self),
            "ratios": self.ratios,
            "growth": self.growth,
            "beyond_tables": self.beyond_tables,
            "bars": self.bars,
            "met": self.met,
        }


def stream(tokens: int, rounds: int, say: Callable[[str], None]) -> Streaming:
    """Tokenizes and trains on a tenth of some words and on all of them.

    The settings are those of `jaxbackprop train`. Three fresh processes train side by side, in turns of 200
    steps, of which only one works at a time: on the smaller corpus in memory, on the smaller one streamed, on
    the larger one streamed.

    Args:
        tokens: words of the larger corpus.
        rounds: turns of each process.
        say: told how far it is.

    Raises:
        CannotBench: a number is too small; the system does not say what memory is resident; or a run fails.
    """
    for flag, value, least in (("--tokens", tokens, 100_000), ("--rounds", rounds, 1)):
        if value < least:
            raise CannotBench(f"{flag} must be at least {least:,}, not {value:,}")
    if not Path("/proc/self/status").exists():
        raise CannotBench("this system does not say what memory of a process is resident (/proc/self/status)")
    sizes = (tokens // 10, tokens)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        dev = write_text(folder / "dev", 20_000, shards=1, seed=1).replace("*", "0")
        patterns = [write_text(folder / str(size), size, shards=_SHARDS, seed=0) for size in sizes]
        whole = folder / "whole.conll"
        with whole.open("wb") as file:
            for path in sorted((folder / str(sizes[0])).iterdir()):
                file.write(path.read_bytes())
        tokenized = []
        for size, files in zip(sizes, patterns, strict=True):
            with _Run(folder, work="tokenize", files=files, dev=dev) as run:
                tokenized.append(run.end())
            say(f"tokenized {size:,} words in {tokenized[-1]['seconds']:.1f} s")
        # One after the other: each is ready when it has printed what its first steps took.
        runs = []
        for files in (str(whole), *patterns):
            runs.append(stack.enter_context(_Run(folder, work="train", files=files, dev=dev)))
            runs[-1].line()
        load = BackgroundLoad()
        rates: list[list[float]] = [[], [], []]
        for number in range(rounds):
            for place in range(len(runs)):
                at = (place + number) % len(runs)
                rates[at].append(TURN / runs[at].turn())
        busy = disturbs(load.cores())
        _, *streamed = [run.end() for run in runs]
    return Streaming(
        words=sizes,
        tokenized_per_second=_two(found["words"] / found["seconds"] for found in tokenized),
        tokenizing_bytes=_two(
            found["peak"]["anonymous"] - found["start"]["anonymous"] for found in tokenized
        ),
        in_memory=rates[0],
        streamed=_two(rates[1:]),
        tables=_two(found["tables"] for found in streamed),
        anonymous=_two(found["peak"]["anonymous"] for found in streamed),
        files=_two(found["peak"]["files"] for found in streamed),
        start=streamed[0]["start"]["anonymous"],
        busy=busy,
    )


class _Run:
    """A fresh process that does some work, with its caches in a folder."""

    def __init__(self, folder: Path, **told: str) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        # Closes its pipes, and waits for its end.
        self._process.__exit__(None, None, None)
        self._errors.close()

    def turn(self) -> float:
        """Has it make a turn; the seconds that it took."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self.line())

    def end(self) -> dict[str, Any]:
        """Has it come to its end; what it has found."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        found: dict[str, Any] = json.loads(self.line())
        return found

    def line(self) -> str:
        """The next line that it prints.

        Raises:
            CannotBench: it has failed.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines() or [f"exit status {self._process.wait()}"]
            raise CannotBench(f"a run failed in a process of its own: {said[-1]}")
        return line


def write_text(folder: Path, words: int, *, shards: int, seed: int) -> str:
    """Writes sentences whose words have Zipf's frequencies; returns the pattern of their files.

    Args:
        folder: which is made.
        words: in all.
        shards: files.
        seed: of the words.
    """
    folder.mkdir()
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, _TYPES + 1)
    ends = np.cumsum(chances / chances.sum())
    # A word names a person or a place by its number, so that there is something to learn.
    tags = ("O", "O", "O", "O", "O", "B-person", "B-place", "I-place")
    lines = np.array([f"{'Wa' if n % 7 == 5 else 'w'}{n:x}ord\t{tags[n % 8]}\n" for n in range(_TYPES)])
    for shard in range(shards):
        with (folder / f"{shard}.conll").open("w", encoding="utf-8") as file:
            left = words // shards
            while left:
                count = min(left, _CHUNK)
                drawn = lines[np.searchsorted(ends, rng.random(count), side="right").clip(max=_TYPES - 1)]
                breaks = np.flatnonzero(rng.random(count) < 1 / _SENTENCE)
                file.write("".join(np.insert(drawn, breaks, "\n")))
                left -= count
    return str(folder / "*.conll")


def _two(pair: Any) -> Any:
    small, large = pair
    return small, large


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"

"""`bench resume`: a run is killed at random moments and resumed; it must come to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._report import CannotBench

_COMMAND = "import sys; from jaxbackprop.__main__ import main; sys.exit(main())"
_FLAGS = ("--vectors=random", "--hidden=32", "--epochs=12", "--save-every=7", "--average=0.9")


@dataclass(frozen=True)
class Kill:
    """One run that was killed.

    Attributes:
        seconds: after its start.
        status: what its status.json said then; None where there was no run folder yet.
        checkpoint: the step of its newest checkpoint then, or None.
        equal: whether the resumed run came to the same metrics.jsonl and the same parameters.
        said: the last line of standard error, where it did not end well.
    """

    seconds: float
    status: str | None
    checkpoint: int | None
    equal: bool
    said: str = ""


@dataclass(frozen=True)
class Kills:
    """All of them."""

    kills: tuple[Kill, ...]

    @property
    def met(self) -> bool:
        """Whether every run came to the same bits."""
        return all(kill.equal for kill in self.kills)

    def lines(self) -> list[str]:
        """What is printed."""
        moments = {
            "before there was a run folder": [kill for kill in self.kills if kill.status is None],
            "before its first checkpoint": [
                kill for kill in self.kills if kill.status is not None and kill.checkpoint is None
            ],
            "later": [kill for kill in self.kills if kill.checkpoint is not None],
        }
        found = [f"{len(self.kills)} runs killed (SIGKILL) and resumed"]
        for moment, kills in moments.items():
            equal = sum(kill.equal for kill in kills)
            found.append(f"  {len(kills):3d} {moment}: {equal} came to the same bits")
        found += [
            f"  at {kill.seconds:.2f} s: {kill.said or 'other bits'}" for kill in self.kills if not kill.equal
        ]
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"benchmark": "resume", "kills": [asdict(kill) for kill in self.kills], "met": self.met}


def resume(kills: int, seed: int, say: Callable[[str], None]) -> Kills:
    """Kills a small training run `kills` times, each at another moment between its start and its end.

    Args:
        kills: how often.
        seed: of the moments.
        say: told how far it is.

    Raises:
        CannotBench: fewer than 1 kill, or the run does not end well even without.
    """
    if kills < 1:
        raise CannotBench(f"--kills must be at least 1, not {kills}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flags = [*_FLAGS, *_corpus(folder)]
        began = time.perf_counter()
        process = _train(["--out", str(folder / "whole"), *flags])
        _, stderr = process.communicate()
        if process.returncode:
            raise CannotBench(f"the run ended with {process.returncode}: {_last(stderr)}")
        lasted = time.perf_counter() - began
        say(f"a run lasts {lasted:.1f} s")
        moments = np.random.default_rng(seed).uniform(0, lasted, kills)
        found = []
        for number, moment in enumerate(moments):
            found.append(_one(folder / str(number), folder / "whole", float(moment), flags))
            say(f"{number + 1} of {kills}: killed after {moment:.1f} s, equal: {found[-1].equal}")
    return Kills(tuple(found))


def _one(out: Path, whole: Path, moment: float, flags: Sequence[str]) -> Kill:
    process = _train(["--out", str(out), *flags])
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    status = json.loads((out / "status.json").read_text())["status"] if _holds(out / "status.json") else None
    steps = [int(path.name) for path in (out / "checkpoints").glob("*") if path.name.isdigit()]
    again = ["--resume", str(out)] if _holds(out / "manifest.json") else ["--out", str(out) + "-anew", *flags]
    resumed = _train(again)
    _, stderr = resumed.communicate()
    if resumed.returncode:
        return Kill(moment, status, max(steps, default=None), False, _last(stderr))
    end = Path(again[1])
    equal = (end / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    equal &= _parameters(end) == _parameters(whole)
    return Kill(moment, status, max(steps, default=None), equal)


def _train(flags: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "train", *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _parameters(run: Path) -> str:
    found: str = json.loads((run / "results.json").read_text())["parameters_sha256"]
    return found


def _last(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


def _corpus(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    names, places = ["Anna", "Otto", "Ida", "Max"], ["Oslo", "Rome", "Lima", "Bonn"]
    for part, count in (("train", 200), ("dev", 40)):
        text = "".join(
            f"{rng.choice(names)}\tB-person\nmet\tO\nus\tO\nin\tO\nNew\tB-place\n{rng.choice(places)}\tI-place\n\n"
            for _ in range(count)
        )
        (folder / f"{part}.conll").write_text(text, encoding="utf-8")
    return [f"--{part}={folder / part}.conll" for part in ("train", "dev")]

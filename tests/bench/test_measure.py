"""Measurements: whose time is whose, who comes first, what a process takes, and when a machine is idle."""

import sys
import time
import types

import jax
import numpy as np
import pytest

from jaxbackprop.bench import _machine, _measure
from jaxbackprop.bench._machine import BackgroundLoad, limits, wait_until_idle
from jaxbackprop.bench._measure import Curve, Peer, Row, bytes_row, side_by_side
from jaxbackprop.bench._memory import peak_memory
from jaxbackprop.bench._torch import torch_device, torch_gemm

MEGABYTES = 1 << 20


def sleeper(name, seconds, bar=None):
    return Peer(name, lambda: time.sleep(seconds), bar)


def allocate(megabytes):
    """Runs in a process of its own."""
    print("what a function prints is no answer")
    np.ones(int(megabytes) * MEGABYTES // 8).sum()


def stumble():
    raise TypeError("no such thing")


def test_a_row_a_peer_in_their_order_with_whose_time_is_whose():
    peers = [sleeper("slower", 0.003, bar=1.5), sleeper("faster", 0.0002)]
    rows = side_by_side("rows", "V = 10", sleeper("ours", 0.001), peers, seconds=0.05, bound_ms=0.5)
    assert [row.peer for row in rows] == ["slower", "faster"]
    for row in rows:
        assert (row.benchmark, row.case, row.unit, row.bound) == ("rows", "V = 10", "ms", 0.5)
        assert 0 < row.ratio[0] <= row.ratio[1] <= row.ratio[2]
        assert row.ours >= 1
    slower, faster = rows
    assert slower.other >= 3
    assert slower.ratio[1] > 1 > faster.ratio[1]
    assert (slower.bar, faster.bar) == (1.5, None)


def test_every_round_has_everyone_and_who_comes_first_takes_turns(monkeypatch):
    order = []

    def seconds(call, repeats):
        order.append(call())
        return {"ours": 1.0, "a": 2.0, "b": 4.0}[order[-1]]

    monkeypatch.setattr(_measure, "_seconds", seconds)
    runners = [Peer(name, lambda name=name: name) for name in ("ours", "a", "b")]
    a, b = side_by_side("x", "y", runners[0], runners[1:], seconds=0.0)
    # Two calls of each tell how many make a sample.
    assert order[6:] == [
        "ours",
        "a",
        "b",
        "a",
        "b",
        "ours",
        "b",
        "ours",
        "a",
        "ours",
        "a",
        "b",
        "a",
        "b",
        "ours",
    ]
    assert (a.ratio, b.ratio) == ((2.0, 2.0, 2.0), (4.0, 4.0, 4.0))
    assert (a.ours, a.other, b.other) == (1000.0, 2000.0, 4000.0)


def test_ratios_are_of_one_round_and_their_median_counts(monkeypatch):
    """A machine that is five times slower for a round slows both, and changes no ratio."""
    monkeypatch.setattr(_measure, "_rounds", lambda calls, seconds: [[1, 2], [5, 10], [1, 2], [1, 3], [1, 1]])
    (row,) = side_by_side("x", "y", sleeper("ours", 0), [sleeper("peer", 0)])
    assert row.ratio == (1, 2, 3)
    assert (row.ours, row.other) == (1000, 2000)


def test_short_calls_are_repeated_and_warmed_up_and_long_ones_are_not(monkeypatch):
    seen = []
    times = {"short": 0.001, "long": 0.2}

    def seconds(call, repeats):
        seen.append((call.__name__, repeats))
        return times[call.__name__]

    calls = []

    def short():
        calls.append("short")

    def long():
        calls.append("long")

    monkeypatch.setattr(_measure, "_seconds", seconds)
    _measure._rounds([short, long], 0.0)
    assert set(seen[4:]) == {("short", 50), ("long", 1)}
    # Only those that are not timed get here.
    assert set(calls) == {"short"}


def test_a_bar_is_met_by_the_median():
    def row(median, bar):
        return Row("x", "y", "z", 1.0, median, (0.5, median, 9.0), bar)

    assert row(2.0, 2.0).met is True
    assert row(1.9, 2.0).met is False
    assert row(1.9, None).met is None


def test_the_share_of_the_bound():
    assert Row("x", "y", "z", 4.0, 8.0, (2, 2, 2), None, bound=1.0).share == 0.25
    assert Row("x", "y", "z", 4.0, 8.0, (2, 2, 2), None).share is None


def test_json_names_the_unit():
    timed = Row("head", "N = 4", "autodiff", 1.5, 3.0, (1.0, 2.0, 3.0), 1.2, bound=1.0)
    assert timed.as_json() == {
        "benchmark": "head",
        "case": "N = 4",
        "peer": "autodiff",
        "ours_ms": 1.5,
        "peer_ms": 3.0,
        "ratio": [1.0, 2.0, 3.0],
        "bar": 1.2,
    }
    memory = bytes_row("head", "temporaries", "autodiff", 100, 1500, 15.0)
    assert memory.met
    assert memory.as_json() == {
        "benchmark": "head",
        "case": "temporaries",
        "peer": "autodiff",
        "ours_bytes": 100,
        "peer_bytes": 1500,
        "ratio": [15.0, 15.0, 15.0],
        "bar": 15.0,
    }


def test_no_bytes_at_all_are_no_division_by_zero():
    assert bytes_row("x", "y", "z", 0, 0).ratio == (1, 1, 1)
    assert bytes_row("x", "y", "z", 0, 40).ratio == (40, 40, 40)


def test_a_curve_has_a_value_for_each_x():
    with pytest.raises(ValueError, match="ours has 1 values but x has 2"):
        Curve("growth", "V", [1, 2], {"ours": [1.0]})
    with pytest.raises(ValueError, match=r"x must hold positive values, got \[0, 1\]"):
        Curve("growth", "V", [0, 1], {"ours": [1.0, 2.0]})


def test_peak_memory_is_that_of_a_process_of_its_own():
    # What this process holds is not counted, though a child begins as its copy.
    held = np.ones(300 * MEGABYTES // 8)
    little, much = (peak_memory(f"{__name__}:allocate", size) for size in ("1", "200"))
    assert held.nbytes > 0
    assert 180 * MEGABYTES < much - little < 240 * MEGABYTES
    assert little < held.nbytes


def test_a_process_that_fails_is_told():
    with pytest.raises(
        RuntimeError, match="stumble failed in a process of its own: TypeError: no such thing"
    ):
        peak_memory(f"{__name__}:stumble")
    with pytest.raises(ValueError, match=r"target must be 'package.module:function', not 'numpy'"):
        peak_memory("numpy")


def test_limits_are_plausible():
    found = limits(elements=1 << 16, side=64, repeats=2)
    assert 1e6 < found.bandwidth < 1e14
    assert 1e6 < found.gemm < 1e16


def clocks(monkeypatch, *cores):
    """Others use so many cores during each look, and this process one."""
    state = {"wall": 0.0, "busy": 0.0, "own": 0.0}
    looks = iter(cores)

    def sleep(seconds):
        state["wall"] += seconds
        state["own"] += seconds
        state["busy"] += (1 + next(looks)) * seconds

    monkeypatch.setattr(_machine, "_now", lambda: _machine._Clock(**state))
    monkeypatch.setattr(_machine.time, "sleep", sleep)
    monkeypatch.setattr(_machine.time, "monotonic", lambda: state["wall"])


def test_it_waits_until_others_are_done(monkeypatch):
    clocks(monkeypatch, 1.5, 0.8, 0.0)
    said = []
    assert wait_until_idle(said.append)
    assert said == []


def test_patience_has_an_end_and_then_it_is_said(monkeypatch):
    clocks(monkeypatch, *[0.7] * 9)
    said = []
    assert not wait_until_idle(said.append, patience=2.0)
    (line,) = said
    assert line.startswith("the machine is not idle: others use 0.7 of ")
    assert "after waiting for 2 s" in line


def test_our_own_work_is_nobody_elses(monkeypatch):
    clocks(monkeypatch, 0.0)
    background = BackgroundLoad()
    _machine.time.sleep(1.0)
    assert background.cores() == pytest.approx(0)
    assert not _machine.disturbs(background.cores())


def test_rows_know_whether_others_disturbed_them(monkeypatch):
    clocks(monkeypatch, *[2.0] * 5)
    monkeypatch.setattr(
        _measure, "_rounds", lambda calls, seconds: _machine.time.sleep(1.0) or [[1.0, 1.0]] * 5
    )
    (row,) = side_by_side("x", "y", sleeper("ours", 0), [sleeper("peer", 0)])
    assert row.background == pytest.approx(2)
    assert row.disturbed
    assert not bytes_row("x", "y", "z", 1, 1).disturbed


@pytest.mark.parametrize(("load", "idle"), [(0.0, True), (1e4, False)])
def test_without_news_of_others_the_load_average_is_asked(monkeypatch, load, idle):
    monkeypatch.setattr(_machine, "_now", lambda: None)
    monkeypatch.setattr(_machine.os, "getloadavg", lambda: (load, 0, 0), raising=False)
    said = []
    assert wait_until_idle(said.append) is idle
    assert len(said) == (not idle)
    assert BackgroundLoad().cores() is None


def test_torchs_product_is_plausible():
    pytest.importorskip("torch")
    assert 1e6 < torch_gemm("cpu", side=64, repeats=2) < 1e14


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_torch_that_computes_elsewhere_is_no_peer(platform, monkeypatch):
    cuda = types.SimpleNamespace(is_available=lambda: False)
    torch = types.ModuleType("torch")
    torch.cuda, torch.__spec__ = cuda, object()
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    said = []
    assert torch_device(said.append) is None
    assert said == [f"torch has no {platform} device: nothing is measured beside it"]
    cuda.is_available = lambda: True
    assert torch_device(said.append) == ("cuda" if platform == "gpu" else None)

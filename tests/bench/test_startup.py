"""Start-up: help is quick to come, and what ends a run after its first step tells the time until then."""

import os
import sys

import pytest

from jaxbackprop.bench import _startup
from jaxbackprop.bench._machine import Limits

FLAGS = ["--hidden", "8", "--affix-dim", "2", "--window", "1", "--average", "0", "--word-dim", "4"]


@pytest.fixture
def no_data(monkeypatch):
    """The extra ner is not installed."""
    monkeypatch.setattr(_startup.importlib.util, "find_spec", lambda name: None)


def test_a_small_corpus_stands_in_for_the_default_data(no_data, tmp_path):
    """One process: it ends with its first step, before there is a run, and has filled the cache."""
    said = []
    flags = [*_startup._flags(tmp_path, said.append), *FLAGS]
    environment = _startup._environment(tmp_path / "cache")
    seconds = _startup.until_trained(flags, tmp_path, environment)
    assert 0.3 < seconds < 300
    assert [line.partition(":")[0] for line in said] == ["startup"]
    assert not list(tmp_path.rglob("checkpoints"))
    assert any("jit_step" in path.name for path in (tmp_path / "cache").rglob("*"))


def test_a_run_that_ends_before_its_first_step_is_told(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"before its first step: jaxbackprop: error: --lr must be above 0"
    ):
        _startup.until_trained(["--lr", "-1"], tmp_path, dict(os.environ))


def test_the_users_cache_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/the/users/own")
    found = _startup._environment(tmp_path)
    assert found["XDG_CACHE_HOME"] == str(tmp_path)
    assert "JAX_COMPILATION_CACHE_DIR" not in found
    assert "JAXBACKPROP_NO_COMPILATION_CACHE" not in found


def test_rows_hold_the_bars_and_the_run_without_a_cache(monkeypatch):
    trained = []

    def until_trained(flags, folder, environment):
        trained.append("--no-compilation-cache" in flags)
        return 8.0 if trained[-1] else 2.0

    monkeypatch.setattr(_startup, "_flags", lambda folder, say: [])
    monkeypatch.setattr(_startup, "until_trained", until_trained)
    monkeypatch.setattr(_startup, "_until_end", lambda command: 0.02 if command[-1] == "pass" else 0.1)
    helped, warm, cold = _startup.startup(Limits(1.0, 1.0), pytest.fail)
    assert (helped.case, helped.ours, helped.other, helped.bar) == ("--help", 100, 300, 1.0)
    assert helped.met
    assert helped.share == pytest.approx(0.2)
    assert (warm.ours, warm.other, warm.bar, warm.ratio) == (2000, 2500, 1.0, (1.25, 1.25, 1.25))
    assert (cold.ours, cold.other, cold.bar, cold.ratio) == (2000, 8000, None, (4, 4, 4))
    # Beside the run that fills the cache, in turns.
    assert trained == [False, *[False, True] * 5]


def test_the_measured_command_is_the_command_line():
    assert _startup._until_end([sys.executable, "-c", _startup._COMMAND, "--version"]) < 60
    with pytest.raises(Exception, match="exit status 2"):
        _startup._until_end([sys.executable, "-c", _startup._COMMAND, "--nonsense"])

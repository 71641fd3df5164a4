"""The graph's gradients beside jax.grad's, on a function or two."""

import io
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from jaxbackprop.bench import _graph
from jaxbackprop.bench._graph import compare, graph
from jaxbackprop.bench._graph_functions import FUNCTIONS, Function
from jaxbackprop.commands import _main as cli


def tanh_layer(scale):
    rng = np.random.default_rng(0)
    args = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(3, 5)).astype(np.float32)
    return lambda x, w: jnp.sum(jnp.tanh(x @ w)), args


LAYER = Function("tanh layer", "tests", tanh_layer, (0, 1), bar=1.3)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def one_function(monkeypatch):
    monkeypatch.setattr(_graph, "FUNCTIONS", (LAYER,))


def test_rows_hold_what_was_measured(one_function, console, tmp_path):
    path = tmp_path / "figures.json"
    rows = graph(json_path=str(path), console=console)
    assert json.loads(path.read_text()) == rows
    (row,) = rows
    assert (row["benchmark"], row["case"], row["peer"], row["bar"]) == (
        "graph",
        "tanh layer",
        "jax.grad",
        1.3,
    )
    least, median, largest = row["ratio"]
    assert 0 < least <= median <= largest
    assert row["ours_ms"] > 0
    assert row["peer_ms"] > 0
    assert isinstance(row["ours_bytes"], int)
    assert isinstance(row["peer_bytes"], int)
    assert 0 < row["multiplications"] <= 3
    assert "tanh layer" in console.file.getvalue()


def test_a_gradient_that_works_twice_as_hard_is_slow_and_large(monkeypatch):
    """Whose call is timed as whose, whose memory is whose."""

    def wasteful(f, argnums):
        def gradient(x, w):
            # Sorting takes time, and memory to sort in.
            x = jnp.sort(jnp.tile(x, (400, 40)), 0)[:4, :3]
            return jax.grad(f, argnums)(x, w)

        return gradient

    monkeypatch.setattr(_graph.graphs, "grad", wasteful)
    found = compare(LAYER, seconds=0.05)
    assert found.slow
    assert found.large
    assert found.ours > found.peer
    assert found.ratio[1] < 1


def test_who_comes_first_takes_turns(monkeypatch):
    order = []

    def seconds(run, calls):
        order.append(run())
        return {"ours": 1.0, "peer": 2.0}[order[-1]]

    monkeypatch.setattr(_graph, "_seconds", seconds)
    pairs = _graph._alternating(lambda: "ours", lambda: "peer", 0.0)
    assert set(pairs) == {(1.0, 2.0)}
    # The first four calls tell how many make a sample.
    assert order[4:12] == ["ours", "peer", "peer", "ours"] * 2


def test_a_busy_machine_is_told(one_function, console, monkeypatch):
    monkeypatch.setattr(_graph.os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    graph(console=console)
    assert "the machine is busy: load average 1000.0" in console.file.getvalue()


def test_only_chooses_groups_and_names():
    group = FUNCTIONS[0].group
    assert {f.group for f in _graph._chosen([group])} == {group}
    assert [f.name for f in _graph._chosen([FUNCTIONS[3].name])] == [FUNCTIONS[3].name]
    assert _graph._chosen([]) == list(FUNCTIONS)


def test_unknown_group_is_one_line(capsys):
    assert cli.main(["bench", "graph", "--only", "nonsense"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxbackprop: error: --only nonsense: the groups are elementary, ")
    assert error.count("\n") == 1


def test_folder_that_is_missing_is_told_before_anything_runs(one_function, console, tmp_path):
    with pytest.raises(OSError, match="its folder does not exist"):
        graph(json_path=str(tmp_path / "missing" / "figures.json"), console=console)


def test_command_writes_the_file(one_function, tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert cli.main(["bench", "graph", "--only", "tests", "--json", str(path)]) == 0
    assert [row["case"] for row in json.loads(path.read_text())] == ["tanh layer"]
    assert "1 functions: time" in capsys.readouterr().out


def test_function_without_multiplications_says_nan(console):
    def build(scale):
        return jnp.sum, (np.ones((3, 4), np.float32),)

    assert math.isnan(compare(Function("sum", "tests", build), seconds=0.0).multiplications)


def test_functions_are_large_enough_to_time():
    """Every function of the list has numbers of its own for measuring."""
    for function in FUNCTIONS[::25]:
        small, large = (
            sum(np.size(leaf) for leaf in jax.tree.leaves(function.build(scale)[1]))
            for scale in ("small", "bench")
        )
        assert large > 4 * small, function.name

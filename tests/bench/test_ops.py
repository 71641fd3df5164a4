"""Operators beside autodiff: whose time and memory is whose, and the bars on what is kept."""

import jax
import pytest

from jaxbackprop.bench import _ops
from jaxbackprop.bench._graph_functions._ours import operator_function
from jaxbackprop.bench._machine import Limits
from jaxbackprop.ops.catalogue import CATALOGUE, operators

LIMITS = Limits(1e9, 1e9)


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """Lookups hold on to the table itself where devices are many; the tests have eight."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)


def rows_of(name):
    (row,) = operators([name])
    return _ops.of_operator(row, LIMITS, numbers=64, seconds=0.0)


def test_three_rows_an_operator():
    timed, temporary, kept = rows_of("tanh")
    assert timed.case.startswith("tanh of ")
    assert (timed.unit, timed.bar, timed.peer) == ("ms", None, "jax.grad, usual formula")
    assert timed.ours > 0
    assert timed.bound > 0
    assert (temporary.unit, temporary.bar) == ("bytes", None)
    assert (kept.ours, kept.other, kept.bar) == (4 * 1024 * 4096, kept.ratio[1] * 4 * 1024 * 4096, 2.0)


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_no_operator_misses_what_it_may_keep(row):
    kept = _ops.kept_row(row)
    assert kept.bar >= 1
    # Another jax may have found something better for autodiff, but no less than ours.
    assert kept.met or (jax.__version_info__ >= (0, 11) and kept.ratio[1] >= 1)


def test_bars_stand_for_operators_that_exist():
    assert set(_ops._KEPT_BARS) <= {row.name for row in CATALOGUE}


def test_ours_is_the_rule_and_the_peer_is_not(monkeypatch):
    (row,) = operators(["gelu"])
    programs = []

    def side_by_side(benchmark, case, ours, peers, **_):
        programs.extend((ours, *peers))
        return []

    monkeypatch.setattr(_ops, "side_by_side", side_by_side)
    _ops.of_operator(row, LIMITS, numbers=64)
    ours, peer = (runner.call() for runner in programs)
    # Value and gradient agree, for both are called with the same arguments.
    for got, want in zip(jax.tree.leaves(ours), jax.tree.leaves(peer), strict=True):
        assert got.shape == want.shape
        assert float(abs(got - want).max()) < 1e-5
    f, args = operator_function(row, row.cases[0], row.name, 64).build("bench")
    assert "custom_vjp" in str(jax.make_jaxpr(f)(*args))


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_every_operator_can_be_enlarged(row):
    """Shapes alone: time is not for tests."""
    f, args = operator_function(row, row.cases[0], row.name, 1 << 10).build("bench")
    assert jax.eval_shape(f, *args).shape == ()

"""The graph's rules through the harness: every primitive, and every way to use it against jax.grad."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import verify as room
from jaxbackprop.commands._main import main
from jaxbackprop.graph import grad, trace
from jaxbackprop.graph.rules import BLOCKED, RULES
from jaxbackprop.graph.rules.cases import ROWS
from jaxbackprop.verify import CannotVerify
from jaxbackprop.verify._graph import verify_row, verify_rules

LATER = {"Ldexp", "log2", "nextafter", "one_minus_square", "polynomial"}
FIRST = list({row.primitive: row for row in reversed(ROWS)}.values())
WITH_NUMBERS = [row for row in ROWS if any(isinstance(x, int | float) for x in row.arguments)]
HELD_UP = list({row.name: row for row in (*FIRST, *WITH_NUMBERS)}.values())


def test_every_rule_has_a_row_and_every_row_a_rule_and_a_name_of_its_own():
    covered = {row.primitive for row in ROWS}
    assert covered <= set(RULES) | BLOCKED
    # Some primitives came, or got a derivative, with a later release of JAX than the one at hand.
    assert set(RULES) - covered <= LATER
    assert not BLOCKED & set(RULES)
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", HELD_UP, ids=lambda row: row.name)
def test_the_harness_finds_the_rule_right(row):
    results = verify_row(row)
    assert results
    assert [problem for result in results for problem in result.problems] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_gradient_is_jax_grads_in_every_way_at_random_at_ties_and_at_kinks(row):
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        for args in (row.draw(rng), *row.special):
            floats = [i for i, x in enumerate(args) if jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating)]
            full = tuple(jnp.asarray(x) for x in args)
            shapes = jax.tree.leaves(jax.eval_shape(row.f, *full))
            weights = [rng.uniform(0.5, 1.5, shape.shape) for shape in shapes]

            def f(*args, weights=weights):
                total = jnp.zeros(())
                for weight, y in zip(weights, jax.tree.leaves(row.f(*args)), strict=True):
                    if jnp.issubdtype(y.dtype, jnp.floating):
                        total = total + jnp.sum(y.astype(jnp.float64) * weight)
                return total

            primitives = {node.primitive for node in trace(f, *full).nodes}
            assert row.primitive in primitives
            got, want = jax.jit(lambda *a, f=f, n=floats: (grad(f, n)(*a), jax.grad(f, n)(*a)))(*full)
            for ours, theirs in zip(got, want, strict=True):
                size = float(np.nanmax(np.abs(np.where(np.isfinite(theirs), theirs, 0)), initial=0))
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * size)


def test_a_wrong_rule_is_found(monkeypatch):
    row = next(row for row in FIRST if row.primitive == "sin")
    wrong = dataclasses.replace(RULES["sin"], pull=lambda at, i, dy: dy * jnp.sin(at.x[0]))
    monkeypatch.setitem(RULES, "sin", wrong)
    assert any("value" in problem for result in verify_row(row) for problem in result.problems)


def test_another_choice_than_jax_grads_at_a_tie_is_found(monkeypatch):
    row = next(row for row in ROWS if row.primitive == "max" and row.special)

    def first_wins(at, i, dy):
        wins = at.x[0] >= at.x[1] if i == 0 else at.x[1] > at.x[0]
        return jnp.where(wins, dy, jnp.zeros_like(dy))

    monkeypatch.setitem(RULES, "max", dataclasses.replace(RULES["max"], pull=first_wins))
    problems = [problem for result in verify_row(row) for problem in result.problems]
    assert problems
    assert all("where jax.grad gives" in problem for problem in problems)


def test_an_unknown_primitive_is_refused():
    with pytest.raises(CannotVerify, match="--graph eigh: the graph has rules for "):
        verify_rules(["eigh"])


def test_the_command(tmp_path, capsys):
    assert main(["verify", "--graph", "sin", "tanh", "--json", str(tmp_path / "figures.json")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"verified \d+ rules, \d+ gradients: 0 wrong", out)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {result["operator"].partition(" ")[0] for result in figures["results"]} == {"sin", "tanh"}
    assert figures["wrong"] == 0
    assert main(["verify", "--graph", "nothing"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    for flag in (["--op", "relu"], ["--reference", "reference"], ["--accuracy"]):
        assert main(["verify", "--graph", "sin", *flag]) == 2
        assert "--graph verifies rules of primitives and takes no" in capsys.readouterr().err


def test_the_command_says_what_is_wrong(monkeypatch, capsys):
    wrong = dataclasses.replace(RULES["sin"], pull=lambda at, i, dy: 2 * dy * jnp.cos(at.x[0]))
    monkeypatch.setitem(RULES, "sin", wrong)
    assert room.run_graph(["sin"]) == 1
    assert "looks like" in capsys.readouterr().out

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
from tests.parts import a_part

LATER = {"Ldexp", "log2", "nextafter", "one_minus_square", "polynomial", "psum_invariant"}
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


@pytest.mark.parametrize("row", FIRST[::10], ids=lambda row: row.name)
def test_the_harness_finds_the_rule_right(row):
    check_by_the_harness(row)


@pytest.mark.exhaustive
@pytest.mark.parametrize("row", HELD_UP, ids=lambda row: row.name)
def test_the_harness_finds_every_rule_right(row):
    check_by_the_harness(row)


def check_by_the_harness(row):
    results = verify_row(row)
    assert results
    assert [problem for result in results for problem in result.problems] == []


def groups():
    """So many rows share a program: compilation is what takes time."""
    found = [ROWS[start : start + 8] for start in range(0, len(ROWS), 8)]
    return [pytest.param(group, id=f"{group[0].name} to {group[-1].name}") for group in found]


def gradients(row, args, rng):
    """A function of the row's arguments that gives the graph's gradient and jax's of a weighted sum."""
    floats = [i for i, x in enumerate(args) if jnp.issubdtype(x.dtype, jnp.floating)]
    weights = [rng.uniform(0.5, 1.5, y.shape) for y in jax.tree.leaves(jax.eval_shape(row.f, *args))]

    def f(*args):
        total = jnp.zeros(())
        for weight, y in zip(weights, jax.tree.leaves(row.f(*args)), strict=True):
            if jnp.issubdtype(y.dtype, jnp.floating):
                total = total + jnp.sum(y.astype(jnp.float64) * weight)
        return total

    assert row.primitive in {node.primitive for node in trace(f, *args).nodes}
    return lambda *args: (grad(f, floats)(*args), jax.grad(f, floats)(*args))


@pytest.mark.parametrize("rows", a_part(groups(), 2))
def test_the_gradient_is_jax_grads_in_every_way_at_random_at_ties_and_at_kinks(rows):
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        points = [
            (row, tuple(map(jnp.asarray, args))) for row in rows for args in (row.draw(rng), *row.special)
        ]
        pairs = [gradients(row, args, rng) for row, args in points]
        program = jax.jit(lambda all_args: [f(*args) for f, args in zip(pairs, all_args, strict=True)])
        found = program([args for _, args in points])
    for (row, args), (got, want) in zip(points, found, strict=True):
        for ours, theirs in zip(got, want, strict=True):
            size = float(np.nanmax(np.abs(np.where(np.isfinite(theirs), theirs, 0)), initial=0))
            np.testing.assert_allclose(
                ours, theirs, rtol=0, atol=1e-12 * size, err_msg=f"{row.name} at {args}"
            )


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
    with pytest.raises(CannotVerify, match="--graph hessenberg: the graph has rules for "):
        verify_rules(["hessenberg"])


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

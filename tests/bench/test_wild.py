"""What the harness says of rules of published libraries."""

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop.bench import _wild
from jaxbackprop.bench._wild_rules import RIGHT, RULES, WRONG, Ask, Wild
from tests.check.rules import product

DOUBLED = product(lambda kept, dy: (2 * kept[1] * dy, kept[0] * dy))
PAIR = jnp.asarray([1.0, -2.0, 0.5]), jnp.asarray([0.3, 1.5, -1.0])


def asked(*rules):
    said = []
    return _wild.wild("quick", said.append, rules), said


def rule(op, expects=RIGHT, explained="", module="jax"):
    return Wild(module, "product", lambda module: Ask(op, PAIR), expects, explained)


def test_a_right_rule_is_right():
    found, said = asked(rule(product()))
    assert found.met
    assert [line.split()[2:4] for line in said] == [["product", "right"]]
    assert said[0].startswith(f"jax {jax.__version__}")
    assert found.lines() == ["\n1 rules: 1 right, 0 not and explained, 0 not explained"]


def test_a_wrong_one_is_met_only_where_it_is_explained():
    found, said = asked(rule(DOUBLED))
    assert not found.met
    assert said[1:] == ["    says: dx is 2 times what it should be", "    not explained"]
    found, said = asked(rule(DOUBLED, WRONG, "by design"))
    assert found.met
    assert said[1:] == ["    says: dx is 2 times what it should be", "    by design"]


def test_a_rule_that_should_be_wrong_and_is_not_is_told():
    found, said = asked(rule(product(), WRONG, "by design"))
    assert not found.met
    assert said[1:] == ["    not explained"]


def test_what_cannot_be_checked_is_told():
    found, said = asked(rule(lambda x, y: jnp.sum(x > y)))
    assert not found.met
    assert "cannot be checked" in said[0]
    assert "no floating-point result" in said[1]


def test_what_is_not_installed_is_left_out():
    found, said = asked(rule(product(), module="no_such_package.there"), rule(product()))
    assert found.met
    assert "not installed" in said[0]
    assert found.lines()[0] == "\n1 rules: 1 right, 0 not and explained, 0 not explained"
    assert "jaxbackprop[bench]" in found.lines()[1]


def test_the_table_names_rules_that_are_there():
    """Of what is installed with the tests; each is one call away from a verdict."""
    assert len(RULES) >= 20
    assert {one.package for one in RULES} == {
        *("jax", "optax", "flax", "equinox", "jaxopt", "distrax", "ott")
    }
    for one in RULES:
        if one.package in ("jax", "optax", "flax"):
            ask = one.load()
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                jax.eval_shape(ask.op, *ask.args)


@pytest.mark.exhaustive
def test_the_rules_of_installed_libraries_have_the_verdicts_that_were_looked_into():
    rules = [one for one in RULES if one.package in ("jax", "optax", "flax") and one.name != "odeint"]
    found, said = asked(*rules)
    assert found.met, "\n".join(said)

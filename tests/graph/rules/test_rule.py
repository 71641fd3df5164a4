"""What a rule is, and what it keeps."""

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop.graph.rules import RULES, Local, operand_names, result_names
from jaxbackprop.graph.rules._rule import rule

X = jnp.arange(3.0)


def local(operands, results, **params):
    shapes = [[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in values] for values in (operands, results)]
    return Local(operands, results, params, *shapes)


def test_what_a_rule_reads_is_what_it_keeps():
    at = local([X, 2 * X], [2 * X * X])
    assert at.residuals == {}
    RULES["mul"].pull(at, 0, X)
    assert list(at.residuals) == ["b"]
    RULES["mul"].pull(at, 1, X)
    assert list(at.residuals) == ["a", "b"]


def test_a_rule_that_reads_its_result_keeps_no_operand():
    at = local([X], [jnp.tanh(X)], accuracy=None)
    RULES["tanh"].pull(at, 0, X)
    assert list(at.residuals) == ["y"]


def test_shapes_can_be_looked_at_without_keeping():
    at = local([X], [X])
    assert at.operands[0].shape == (3,)
    assert at.residuals == {}
    with pytest.raises(IndexError, match="there are 1 values, asked for number 1"):
        at.x[1]


def test_names_in_formulas():
    assert [operand_names(n) for n in (1, 2, 3)] == [["x"], ["a", "b"], ["x0", "x1", "x2"]]
    assert [result_names(n) for n in (1, 2)] == [["y"], ["y0", "y1"]]


def test_a_primitive_has_one_rule():
    with pytest.raises(AssertionError, match="two rules for sin"):
        rule("sin", formula="dx = dy")(lambda at, i, dy: dy)

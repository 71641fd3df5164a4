"""Rules that users bring."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive
from jax.interpreters import mlir

from jaxbackprop.graph import UnsupportedPrimitive, WrongRule, grad, register_rule, trace
from jaxbackprop.graph.rules import RULES


@pytest.fixture(autouse=True)
def _rules_as_before():
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def primitive(name, compute, shape=lambda x, **_: x, several=False):
    made = Primitive(name)
    made.multiple_results = several
    made.def_impl(compute)
    made.def_abstract_eval(shape)
    mlir.register_lowering(made, mlir.lower_fun(compute, multiple_results=several))
    return made


cube = primitive("cube", lambda x: x * x * x)


def test_a_right_rule_is_registered_and_used():
    def f(x):
        return jnp.sum(cube.bind(x))

    x = jnp.array([1.0, 2.0])
    with pytest.raises(
        UnsupportedPrimitive, match=r"register_rule\('cube', rule\), where rule\(dy, \*operands"
    ):
        grad(f)(x)
    report = register_rule(cube, lambda dy, x: 3.0 * x * x * dy, formula="dx = 3 x² dy")
    assert report.ok
    np.testing.assert_allclose(grad(f)(x), [3, 12])
    flow = trace(f, x).forward().backward().of("cube")
    assert flow.local.formula == "dx = 3 x² dy"
    assert flow.local.residuals["x"].tolist() == [1, 2]


def test_a_wrong_rule_is_refused_with_the_harnesss_report():
    with pytest.raises(WrongRule, match="'cube' is wrong and was not registered") as error:
        register_rule(cube, lambda dy, x: 2.0 * x * x * dy)
    assert not error.value.report.ok
    assert "cube" not in RULES


def test_a_rule_of_two_operands_with_a_wrong_second():
    product = primitive("product_of_two", lambda a, b: a * b, lambda a, b: a)
    with pytest.raises(WrongRule):
        register_rule(product, lambda dy, a, b: (b * dy, b * dy))
    register_rule(product, lambda dy, a, b: (b * dy, a * dy))
    assert grad(lambda a, b: product.bind(a, b), (0, 1))(2.0, 5.0) == (5, 2)


def test_parameters_results_and_arguments_of_ones_own():
    power = primitive("power_of", lambda x, *, n: x**n)
    seen = []

    def rule(dy, x, *, n, y):
        seen.append(n)
        return n * y / x * dy

    with pytest.raises(ValueError, match="arguments .* must be given to check the rule of 'power_of'"):
        register_rule(power, rule)
    register_rule(power, rule, arguments=[jnp.array([0.5, 2.0])], params={"n": 3})
    assert set(seen) == {3}
    assert grad(lambda x: power.bind(x, n=4))(2.0) == 32


def test_several_results():
    both = primitive("sin_and_cos", lambda x: [jnp.sin(x), jnp.cos(x)], lambda x: [x, x], several=True)
    register_rule(both, lambda dsin, dcos, x: jnp.cos(x) * dsin - jnp.sin(x) * dcos)

    def f(x):
        sine, cosine = both.bind(x)
        return 2.0 * sine + 3.0 * cosine

    assert grad(f)(0.3) == pytest.approx(2 * np.cos(0.3) - 3 * np.sin(0.3), rel=1e-6)


def test_a_rule_that_is_there_is_replaced_only_when_told():
    with pytest.raises(ValueError, match="'sin' has a rule: replace=True"):
        register_rule("sin", lambda dy, x: jnp.cos(x) * dy)
    register_rule("sin", lambda dy, x, **_: jnp.cos(x) * dy, replace=True, params={"accuracy": None})
    assert "its registered rule" in RULES["sin"].formula


@pytest.mark.parametrize(
    ("primitive", "rule", "error", "match"),
    [
        ("no_such_primitive", lambda dy, x: dy, ValueError, "no primitive 'no_such_primitive'"),
        (3, lambda dy, x: dy, TypeError, "primitive must be a primitive of JAX or its name, got int"),
        (cube, "rule", TypeError, "rule must be a function, got str"),
        (cube, lambda dy, x: (dy, dy), ValueError, "one gradient an operand, 1; it gives 2"),
    ],
)
def test_what_cannot_be_registered_is_refused(primitive, rule, error, match):
    with pytest.raises(error, match=match):
        register_rule(primitive, rule)
    assert "cube" not in RULES

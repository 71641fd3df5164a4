"""Primitives: their gates, and what is said where one has no rule."""

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop.graph import UnsupportedPrimitive, grad, trace
from tests.graph.compare import X


def gates(x, y, z):
    return (x + y) * jnp.maximum(y, z)


def test_the_gates_have_the_lectures_names():
    graph = trace(gates, 1.0, 2.0, 0.0)
    assert {node.name: node.gate for node in graph.nodes if node.gate} == {
        "add": "distributor",
        "mul": "swap multiplier",
        "copy": "adder",
        "max": "router",
    }


def unsupported(x):
    # Of the identity it is the identity.
    return jnp.trace(jax.lax.linalg.hessenberg(x)[0])


def test_a_primitive_without_a_rule_is_named_with_its_line():
    x = jnp.eye(3)
    run = trace(unsupported, x).forward()
    assert run.value == 3
    with pytest.raises(
        UnsupportedPrimitive,
        match=r"'hessenberg' \(.*test_primitive.py:\d+ .*register_rule\('hessenberg', rule\)",
    ) as e:
        run.backward()
    assert e.value.primitive == "hessenberg"
    assert e.value.source.function == "unsupported"


def test_a_primitive_without_a_rule_inside_a_loop_still_goes_forward():
    def f(x):
        return jax.lax.scan(lambda c, _: (c * unsupported(x), None), jnp.ones(()), length=2)[0]

    run = trace(f, jnp.eye(3)).forward()
    assert run.value == 9
    with pytest.raises(UnsupportedPrimitive, match="hessenberg"):
        run.backward()


def test_where_no_gradient_flows_no_rule_is_needed():
    assert grad(lambda x: jnp.sum(x) * unsupported(jnp.eye(3)))(X).tolist() == [3, 3, 3]
    assert (
        grad(lambda x: jnp.sum(x) * unsupported(jax.lax.stop_gradient(jnp.diag(x))))(X).tolist() == [1.5] * 3
    )

"""A function, traced: what it does until it fails, arguments of any kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.graph import grad, trace
from tests.graph.compare import X


def names(graph):
    return [node.name for node in graph.nodes]


def test_a_function_that_fails_gives_what_it_did_until_then():
    def f(x):
        y = jnp.sin(x)
        return jnp.dot(y * 2.0, jnp.ones(7))

    graph = trace(f, X)
    assert isinstance(graph.error, TypeError)
    assert names(graph)[:4] == ["x", "sin", "constant", "mul"]
    np.testing.assert_allclose(graph.forward()["mul"], 2 * np.sin(X), rtol=1e-6)
    with pytest.raises(ValueError, match="failed while it was traced"):
        graph.forward().backward()
    with pytest.raises(TypeError, match="dot_general"):
        grad(f)(X)


def test_shapes_are_enough_to_trace_but_not_to_run():
    graph = trace(lambda x: jnp.sum(x * x), jax.ShapeDtypeStruct((3,), jnp.float32))
    with pytest.raises(TypeError, match="x is a shape"):
        graph.forward()
    assert graph.forward(X).value == pytest.approx(5.25)


def test_other_leaves_are_handed_on_as_they_are():
    def f(x, how, power):
        assert how == "square"
        return jnp.sum(x**2) * power

    graph = trace(f, X, "square", 3.0)
    assert [node.name for node in graph.inputs] == ["x", "power"]
    assert graph.forward().backward().grads[1] is None

"""Where in the code an equation comes from."""

import inspect

import jax
import jax.numpy as jnp
from flax import nnx

from jaxbackprop.graph import trace
from tests.graph.compare import X


def test_a_node_knows_its_line():
    def f(x):
        y = jnp.tanh(x)
        return jnp.sum(y)

    lines, first = inspect.getsourcelines(f)
    source = trace(f, X).node("tanh").source
    assert source.file == __file__
    assert source.line == first + 1
    assert source.function.endswith("f")
    assert "tanh" in lines[source.line - first]


def test_a_librarys_node_has_the_line_that_called_the_library():
    def f(x):
        return jnp.sum(nnx.gelu(x))

    sources = {node.source.file for node in trace(f, X).nodes if node.source}
    assert sources == {__file__}


def test_a_compiled_library_function_has_the_line_of_this_call_not_of_its_first():
    def first(x):
        return jnp.linalg.norm(jnp.where(x > 0, x, 0.5))

    def second(x):
        return jnp.linalg.norm(jnp.where(x > 0, x, 0.5))

    for f in (first, second):
        functions = {node.source.function.rpartition(".")[2] for node in trace(f, X).nodes if node.source}
        assert functions == {f.__name__}


def test_scopes_and_jitted_functions_are_kept():
    @jax.jit
    def inner(x):
        with jax.named_scope("deep"):
            return jnp.sin(x)

    def f(x):
        with jax.named_scope("outer"):
            return inner(x) * 2.0

    graph = trace(f, 1.0)
    assert graph.node("sin").scope == ("outer", "inner", "deep")
    assert graph.node("mul").scope == ("outer",)

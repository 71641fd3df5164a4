"""The graph's gradients against jax.grad's, on everything that people write."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import graph
from jaxbackprop.bench._graph_functions import FUNCTIONS

# Of the largest entry of a leaf.
EXACT = 1e-12


def noise(*dtypes):
    """What rounding may add, of the coarsest of these dtypes; of the largest entry of a leaf."""
    return max(8 * float(jnp.finfo(dtype).eps) for dtype in dtypes if dtype is not None)


def as_dtype(args, dtype):
    def cast(x):
        return jnp.asarray(x, dtype) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.asarray(x)

    return jax.tree.map(cast, args)


def both(function, f):
    """One program with the graph's value and gradient and jax's: half the compiling."""
    ours = graph.value_and_grad(f, function.argnums)
    theirs = jax.value_and_grad(f, function.argnums)
    return lambda *args: (ours(*args), theirs(*args))


def compiled(function, f):
    return jax.jit(both(function, f))


def leaves(tree):
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]


def largest(x):
    finite = np.abs(x[np.isfinite(x)])
    return float(finite.max()) if finite.size else 0.0


def distance(a, b):
    """The largest difference of two arrays; where one is infinite or nan, the other must be so too."""
    assert a.shape == b.shape
    np.testing.assert_array_equal(np.where(np.isfinite(a), 0, a), np.where(np.isfinite(b), 0, b))
    return largest(np.where(np.isfinite(a), a, 0) - np.where(np.isfinite(b), b, 0))


def sizes(gradients):
    """The largest entry of each leaf; a leaf of zeros in exact arithmetic is judged by the others."""
    found = [largest(leaf) for leaf in leaves(gradients)]
    return [max(size, max(found) / 30) for size in found]


def assert_equal(ours, theirs, tolerance):
    for a, b, size in zip(leaves(ours), leaves(theirs), sizes(theirs), strict=True):
        assert distance(a, b) <= tolerance * size


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_gradient_is_that_of_jax_grad(function):
    with function.promoting():
        f, args = function.build("small")
        with jax.enable_x64(True):
            (value, ours), (true_value, truth) = compiled(function, f)(*as_dtype(args, jnp.float64))
        assert jax.tree.structure(ours) == jax.tree.structure(truth)
        assert [x.dtype for x in jax.tree.leaves(ours)] == [x.dtype for x in jax.tree.leaves(truth)]
        tolerance = EXACT if function.precision is None else noise(function.precision)
        assert_equal(value, true_value, tolerance)
        assert_equal(ours, truth, tolerance)

        (value, ours), (their_value, theirs) = compiled(function, f)(*as_dtype(args, jnp.float32))
        tolerance = noise(jnp.float32, function.precision)
        # The weighted sum may cancel: its terms are about 1.
        assert distance(np.asarray(value), np.asarray(their_value)) <= tolerance * max(
            1.0, largest(np.asarray(true_value))
        )
        columns = (leaves(ours), leaves(theirs), leaves(truth), sizes(truth))
        for a, b, exact, size in zip(*columns, strict=True):
            assert distance(a, exact) <= 4 * distance(b, exact) + tolerance * size


@pytest.mark.parametrize("function", FUNCTIONS[::12], ids=lambda function: function.name)
def test_gradient_without_jit(function):
    with function.promoting(), jax.enable_x64(True):
        f, args = function.build("small")
        ours, theirs = both(function, f)(*as_dtype(args, jnp.float64))
    assert_equal(ours, theirs, EXACT if function.precision is None else noise(function.precision))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_backward_costs_at_most_three_times_the_forward(function):
    with function.promoting():
        f, args = function.build("small")
        moving, differentiated = function.moving(f, args)
        cost = graph.trace(moving, *differentiated).cost()
    if cost.forward:
        assert cost.backward <= 3 * cost.forward


def test_names_are_unique():
    names = [function.name for function in FUNCTIONS]
    assert len(set(names)) == len(names)

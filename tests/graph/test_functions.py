"""The graph's gradients against jax.grad's, on everything that people write."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import graph
from jaxbackprop.bench._graph_functions import FUNCTIONS, PRIMITIVES
from tests.parts import a_part

# The uses of one primitive are tested where the cases of the graph's rules are.
WRITTEN = [function for function in FUNCTIONS if function not in PRIMITIVES]
# So many functions share a program: compilation is what takes time.
TOGETHER = 8
# Of the largest entry of a leaf.
EXACT = 1e-12


def noise(*dtypes):
    """What rounding may add, of the coarsest of these dtypes; of the largest entry of a leaf."""
    return max(8 * float(jnp.finfo(dtype).eps) for dtype in dtypes if dtype is not None)


def as_dtype(args, dtype):
    def cast(x):
        return jnp.asarray(x, dtype) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.asarray(x)

    return jax.tree.map(cast, args)


def groups(functions):
    """Functions a program each, those that rely on silent promotion apart."""
    found = []
    for loose in (False, True):
        alike = [function for function in functions if function.loose == loose]
        found += [alike[start : start + TOGETHER] for start in range(0, len(alike), TOGETHER)]
    return [pytest.param(group, id=f"{group[0].name} to {group[-1].name}") for group in found]


def both(function, f):
    """The graph's value and gradient, and jax's."""
    ours = graph.value_and_grad(f, function.argnums)
    theirs = jax.value_and_grad(f, function.argnums)
    return lambda *args: (ours(*args), theirs(*args))


def together(functions, built, dtype):
    """What `both` gives of each, computed by one program."""
    pairs = [both(function, f) for function, (f, _) in zip(functions, built, strict=True)]
    program = jax.jit(lambda arguments: [pair(*args) for pair, args in zip(pairs, arguments, strict=True)])
    return program([as_dtype(args, dtype) for _, args in built])


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


def assert_equal(function, ours, theirs, tolerance):
    for a, b, size in zip(leaves(ours), leaves(theirs), sizes(theirs), strict=True):
        assert distance(a, b) <= tolerance * size, function.name


@pytest.mark.parametrize("functions", a_part(groups(WRITTEN), 3))
def test_gradient_is_that_of_jax_grad(functions):
    with functions[0].promoting(), jax.enable_x64(True):
        found = together(functions, [function.build("small") for function in functions], jnp.float64)
    for function, ((value, ours), (true_value, truth)) in zip(functions, found, strict=True):
        assert jax.tree.structure(ours) == jax.tree.structure(truth), function.name
        assert [x.dtype for x in jax.tree.leaves(ours)] == [x.dtype for x in jax.tree.leaves(truth)]
        tolerance = EXACT if function.precision is None else noise(function.precision)
        assert_equal(function, value, true_value, tolerance)
        assert_equal(function, ours, truth, tolerance)


def check_in_single_precision(functions):
    with functions[0].promoting():
        built = [function.build("small") for function in functions]
        with jax.enable_x64(True):
            truths = together(functions, built, jnp.float64)
        found = together(functions, built, jnp.float32)
    for function, both_of_them, (_, exact_ones) in zip(functions, found, truths, strict=True):
        (value, ours), (their_value, theirs) = both_of_them
        true_value, truth = exact_ones
        tolerance = noise(jnp.float32, function.precision)
        # The weighted sum may cancel: its terms are about 1.
        least = max(1.0, largest(np.asarray(true_value)))
        assert distance(np.asarray(value), np.asarray(their_value)) <= tolerance * least, function.name
        columns = (leaves(ours), leaves(theirs), leaves(truth), sizes(truth))
        for a, b, exact, size in zip(*columns, strict=True):
            assert distance(a, exact) <= 4 * distance(b, exact) + tolerance * size, function.name


@pytest.mark.parametrize("functions", groups(WRITTEN[::12]))
def test_gradient_in_single_precision_is_as_exact_as_that_of_jax_grad(functions):
    check_in_single_precision(functions)


@pytest.mark.exhaustive
@pytest.mark.parametrize("functions", groups(WRITTEN))
def test_every_gradient_in_single_precision_is_as_exact_as_that_of_jax_grad(functions):
    check_in_single_precision(functions)


@pytest.mark.parametrize("functions", a_part(groups(WRITTEN), 3))
def test_gradients_in_single_precision_stay_there(functions):
    """Shapes alone: nothing is compiled."""
    for function in functions:
        with function.promoting():
            f, args = function.build("small")
            (_, ours), (_, theirs) = jax.eval_shape(both(function, f), *as_dtype(args, jnp.float32))
        assert jax.tree.structure(ours) == jax.tree.structure(theirs), function.name
        for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert (mine.shape, mine.dtype) == (other.shape, other.dtype), function.name


@pytest.mark.parametrize("function", WRITTEN[::160], ids=lambda function: function.name)
def test_gradient_without_jit(function):
    with function.promoting(), jax.enable_x64(True):
        f, args = function.build("small")
        ours, theirs = both(function, f)(*as_dtype(args, jnp.float64))
    assert_equal(function, ours, theirs, EXACT if function.precision is None else noise(function.precision))


@pytest.mark.parametrize("function", a_part(FUNCTIONS, 3, lambda function: function.name))
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

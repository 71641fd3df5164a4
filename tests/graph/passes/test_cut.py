"""What a loop keeps from a step for the way back: no more bytes than any other choice."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop.graph import grad, trace
from jaxbackprop.graph.passes import ResidualSelection
from jaxbackprop.graph.passes._cut import smallest_cut


@st.composite
def programs(draw):
    """Values numbered in order, each computed from earlier ones, some of which may be computed again."""
    count = draw(st.integers(1, 8))
    sizes = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    operands = {}
    for v in range(1, count):
        if draw(st.booleans()):
            operands[v] = draw(st.lists(st.integers(0, v - 1), max_size=3, unique=True))
    wanted = draw(st.sets(st.integers(0, count - 1), max_size=3))
    return sizes, operands, wanted


def is_enough(kept, sizes, operands, wanted):
    def there(v):
        return v in kept or sizes[v] == 0 or (v in operands and all(map(there, operands[v])))

    return all(map(there, wanted))


@given(programs())
@settings(deadline=None)
def test_no_other_choice_keeps_less(program):
    sizes, operands, wanted = program
    cut = smallest_cut(wanted, operands, sizes.__getitem__)
    assert len(cut) == len(set(cut))
    assert is_enough(cut, *program)
    kept = sum(sizes[v] for v in cut)
    choices = itertools.chain.from_iterable(
        itertools.combinations(range(len(sizes)), n) for n in range(len(sizes) + 1)
    )
    assert kept == min(sum(sizes[v] for v in c) for c in choices if is_enough(set(c), *program))


def test_of_equal_choices_the_one_nearest_to_the_end():
    assert smallest_cut({2}, {1: [0], 2: [1]}, lambda v: 7) == [2]


def test_sizes_beyond_an_integer_of_32_bits():
    assert smallest_cut({1, 2}, {1: [0], 2: [0]}, lambda v: 2**40 + v) == [0]


@pytest.mark.parametrize(
    ("f", "kept"),
    [
        # The cosine, which is computed ahead; its argument is not needed any more.
        (jnp.sin, [jnp.cos]),
        # What is left of the local gradient is one multiplication.
        (jnp.tanh, [lambda x: 1 - jnp.tanh(x) ** 2]),
        # Arithmetic, repeated from x, which is an argument and there anyway.
        (lambda x: (2 * x + 1) ** 2, []),
        (lambda x: jnp.exp(x) * jnp.exp(-x), [jnp.exp, lambda x: jnp.exp(-x)]),
        (lambda x: 3 * x, []),
    ],
)
def test_what_is_kept_of_a_step(f, kept):
    x = jnp.linspace(-1, 1, 5)
    plan = ResidualSelection(trace(f, x), [True])
    _, values = plan.forward([x])
    assert [spec.shape for spec in plan.kept] == [value.shape for value in values]
    for value, function in zip(values, kept, strict=True):
        np.testing.assert_allclose(value, function(x), rtol=1e-6)


def test_a_loop_keeps_one_array_a_step_of_a_sine_of_a_sum():
    def f(x):
        def step(h, w):
            return jnp.sin(h + w), None

        return jnp.sum(jax.lax.scan(step, jnp.zeros(100), x)[0])

    x = np.linspace(-1, 1, 2000, dtype=np.float32).reshape(20, 100)
    ours = jax.jit(grad(f)).lower(x).compile().memory_analysis().temp_size_in_bytes
    theirs = jax.jit(jax.grad(f)).lower(x).compile().memory_analysis().temp_size_in_bytes
    assert ours <= theirs

"""Multiplications, against figures found by hand and by counting one by one."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import pytest
from hypothesis import assume, given
from jax import lax

from jaxbackprop.graph import trace
from jaxbackprop.graph.passes._count import multiplications
from jaxbackprop.graph.passes._equation_cost import ELEMENTARY, SPECIAL

V = jnp.ones(5)
M = jnp.ones((3, 4))


def count(f, *args, **settings):
    return multiplications(jax.make_jaxpr(f)(*args), **settings)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x + x - x, 0),
        (lambda x: x * x, 5),
        (lambda x: x * 3.0, 5),
        (lambda x: x * 4.0, 0),
        (lambda x: -0.5 * x, 0),
        (lambda x: x * 0.0, 5),
        (lambda x: x / x, 5),
        (lambda x: x / 8.0, 0),
        (lambda x: 8.0 / x, 5),
        (lambda x: x * jnp.full(5, 2.0), 0),
        (lambda x: jax.jit(lambda x, scale: x * scale)(x, 2.0), 0),
        (lambda x: x * jnp.sum(x), 5),
        (lambda x: lax.square(x), 5),
        (lambda x: lax.integer_pow(x, 1), 0),
        (lambda x: lax.integer_pow(x, 8), 3 * 5),
        (lambda x: lax.integer_pow(x, 7), 4 * 5),
        (lambda x: lax.integer_pow(x, -3), 3 * 5),
        (lambda x: lax.pow(x, x), (2 * ELEMENTARY + 1) * 5),
        (lambda x: jnp.tanh(jnp.exp(x)), 2 * ELEMENTARY * 5),
        (lambda x: lax.erf(x), SPECIAL * 5),
        (lambda x: jnp.prod(x), 5),
        (lambda x: lax.cumprod(x), 5),
        (lambda x: jnp.max(x) + jnp.floor(x)[0], 0),
        (lambda x: x.at[jnp.array([0, 3])].multiply(jnp.array([2.0, 3.0]), unique_indices=True), 2),
    ],
)
def test_entrywise(f, expected):
    assert count(f, V) == expected


def test_arithmetic_of_integers_is_not_counted():
    assert count(lambda i: i * i * 3 + i @ i, jnp.arange(4)) == 0


def test_a_shape_of_no_entries_takes_none():
    assert count(lambda x: x * x @ jnp.ones((0, 3)), jnp.ones((2, 0))) == 0


def test_products_of_matrices():
    assert count(lambda a, b: a @ b, M, jnp.ones((4, 6))) == 3 * 4 * 6
    assert count(
        lambda a, b: jnp.einsum("bqhd,bkhd->bhqk", a, b), jnp.ones((2, 3, 4, 5)), jnp.ones((2, 6, 4, 5))
    ) == (2 * 3 * 6 * 4 * 5)
    assert count(jnp.outer, V, V) == 25


def test_a_convolution_whose_padding_is_not_counted():
    # Five places; the kernel's first tap misses the input at the first of them, its last at the last.
    x, w = jnp.ones((2, 3, 5)), jnp.ones((4, 3, 3))
    assert count(lambda x, w: lax.conv_general_dilated(x, w, (1,), "SAME"), x, w) == 2 * 4 * 3 * (3 * 5 - 2)


def test_a_grouped_convolution():
    x, w = jnp.ones((2, 6, 5)), jnp.ones((4, 3, 3))

    def f(x, w):
        return lax.conv_general_dilated(x, w, (1,), "VALID", feature_group_count=2)

    assert count(f, x, w) == 2 * 4 * 3 * (3 * 3)


AXIS = st.fixed_dictionaries(
    {
        "entries": st.integers(0, 7),
        "taps": st.integers(1, 5),
        "stride": st.integers(1, 4),
        "pads": st.tuples(st.integers(-2, 6), st.integers(-2, 6)),
        "hole": st.integers(1, 4),
        "apart": st.integers(1, 3),
    }
)


@given(AXIS)
def test_a_convolution_and_its_gradients_take_as_many_as_meet_an_entry(axis):
    entries, taps, stride, (low, high) = axis["entries"], axis["taps"], axis["stride"], axis["pads"]
    wide = (entries - 1) * axis["hole"] + 1 if entries else 0
    assume(wide + low + high >= 0)
    room = wide + low + high - (taps - 1) * axis["apart"] - 1
    outputs = room // stride + 1 if room >= 0 else 0
    places = [o * stride + t * axis["apart"] - low for o in range(outputs) for t in range(taps)]
    meeting = sum(place % axis["hole"] == 0 and 0 <= place < wide for place in places)

    def f(x, w):
        return lax.conv_general_dilated(x, w, (stride,), ((low, high),), (axis["hole"],), (axis["apart"],))

    x, w = jnp.ones((2, 3, entries)), jnp.ones((4, 3, taps))
    assert count(f, x, w) == 2 * 3 * 4 * meeting
    if meeting:
        cost = trace(lambda x, w: jnp.sum(f(x, w)), x, w).cost()
        assert cost.backward == 2 * cost.forward == 2 * 2 * 3 * 4 * meeting


def test_what_solves_equations():
    a, b = jnp.eye(3), jnp.ones((3, 2))
    solve = lax.linalg.triangular_solve
    # For each of two columns 0 + 1 + 2 products, and three quotients.
    assert count(lambda a, b: solve(a, b, left_side=True), a, b) == 2 * (3 + 3)
    assert count(lambda a, b: solve(a, b, left_side=True, unit_diagonal=True), a, b) == 2 * 3
    # Three roots; below the first two quotients, below the second a product and one; 0 + 1 + 2 squares.
    assert count(lambda a: lax.linalg.cholesky(a, symmetrize_input=False), a) == 3 * ELEMENTARY + 2 + 2 + 3


def test_calls_take_what_their_bodies_take():
    def f(x):
        return x * x

    f_jvp, f_vjp = jax.custom_jvp(f), jax.custom_vjp(f)
    f_jvp.defjvp(lambda x, dx: (f(*x), dx[0]))
    f_vjp.defvjp(lambda x: (f(x), None), lambda _, dy: (dy,))
    for call in (jax.jit(f), jax.jit(jax.jit(f)), jax.checkpoint(f), f_jvp, f_vjp):
        assert count(call, V) == 5
        assert count(call, V, live=True) == 5


def test_loops_and_branches():
    def step(h, x):
        return h * x, h * h * h

    assert count(lambda h, x: lax.scan(step, h, x), V, jnp.ones((7, 5))) == 7 * 3 * 5
    assert count(lambda x: lax.fori_loop(0, 6, lambda i, x: x * x, x), V) == 6 * 5
    assert count(lambda x: lax.while_loop(lambda x: x[0] < 9.0, lambda x: x * x, x), V) == 5
    branches = (lambda x: x * x, lambda x: x * x * x, lambda x: x)
    assert count(lambda i, x: lax.switch(i, branches, x), 0, V) == 10
    # Two by two windows of two by two entries, each taken into a product that starts at one.
    product = lax.reduce_window(M, jnp.float32(1), lax.mul, (2, 2), (1, 2))
    assert (
        count(lambda x: lax.reduce_window(x, jnp.float32(1), lax.mul, (2, 2), (1, 2)), M) == product.size * 4
    )


def test_what_a_loop_carries_is_not_known():
    # 2 at first, then other numbers; what stays 2 in all rounds is known.
    def f(x):
        return lax.scan(lambda c, _: ((c[0] + 1.0, c[1] * c[0]), None), (2.0, x), None, length=3)

    assert count(f, V) == 3 * 5


def test_only_what_is_used_counts_where_asked():
    def f(x):
        unused = jnp.exp(x) * x
        return x * x, unused[:0]

    def half(x):
        return f(x)[0]

    assert count(half, V) == 5 + 5 + 5 * ELEMENTARY
    assert count(half, V, live=True) == 5
    assert count(lambda x: jax.jit(f)(x)[0], V, live=True) == 5
    assert count(lambda x: lax.cond(x[0] > 0, f, f, x)[0], V, live=True) == 5


def test_in_a_loop_what_a_later_round_needs_is_used():
    # The third carried value is never used; the second only by the first, one round later.
    def step(carry, x):
        a, b, c = carry
        return (a + b, b * x, c * x), jnp.exp(c)

    def f(x):
        return lax.scan(step, (x[0], x[0], x[0]), x)[0][0]

    assert count(f, V) == 5 * (2 + ELEMENTARY)
    assert count(f, V, live=True) == 5 * 1


def test_an_operand_that_only_dead_code_of_a_call_uses_is_dead():
    def loop(a, b):
        return lax.scan(lambda c, _: ((c[0] * a, c[1] * b), None), (a, b), None, length=3)[0]

    for call, each in ((jax.jit(lambda a, b: (a * a, b * b)), 5), (loop, 15)):
        assert count(lambda x, call=call: call(x, jnp.exp(x))[0], V, live=True) == each
        assert count(lambda x, call=call: call(x, jnp.exp(x))[1], V, live=True) == each + 5 * ELEMENTARY

"""Loops with a known number of steps."""

import jax
import jax.numpy as jnp

from tests.graph.compare import X, assert_same


def nested(w, x):
    def inner(h, a):
        return jnp.tanh(h @ w + a), h * 2.0

    def outer(h, xs):
        return jax.lax.scan(jax.checkpoint(inner), h, xs)

    h, ys = jax.lax.scan(outer, jnp.zeros((2, 3)), x, reverse=True, unroll=2)
    return jnp.sum(h) + jnp.sum(jnp.sin(ys))


def test_nested_loops_with_checkpoints():
    w = jnp.arange(9.0).reshape(3, 3) / 10 - 0.4
    x = jnp.sin(jnp.arange(120.0)).reshape(4, 5, 2, 3)
    assert_same(nested, w, x, argnums=(0, 1))


def test_a_carry_that_begins_without_a_gradient_and_one_that_loses_it():
    def f(x):
        def step(carry, a):
            h, lost, count = carry
            return (h + a * h, jnp.zeros_like(lost), count + 1), (h, count)

        (h, lost, _), (along, counts) = jax.lax.scan(step, (jnp.ones(()), x[0], 0), x)
        return h + lost + jnp.sum(along * counts.astype(jnp.float32))

    assert_same(f, X)


def test_loops_whose_results_are_not_all_used_or_that_take_no_step():
    def unused(x):
        h, _ = jax.lax.scan(lambda h, a: (h * a, jnp.sin(h)), jnp.ones(()), x)
        return h

    def along_only(x):
        return jnp.sum(jax.lax.scan(lambda h, a: (h + 1.0, h * a), jnp.ones(()), x)[1])

    def no_step(x):
        return jax.lax.scan(lambda h, a: (h * a, h), x[0], x[:0])[0]

    for f in (unused, along_only, no_step):
        assert_same(f, X)


def test_a_loop_with_a_fixed_count_and_branches_in_it():
    def f(x):
        def step(i, h):
            return jax.lax.switch(
                i % 3, [lambda h: jnp.sin(h) * x, lambda h: h * h, lambda h: jnp.exp(-h) + x], h
            )

        return jnp.sum(jax.lax.fori_loop(0, 7, step, x))

    assert_same(f, X / 4)

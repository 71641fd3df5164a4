"""A function without the custom VJPs inside it: the same values, and autodiff's gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxbackprop.check._strip import coarsest, strip
from tests.check.rules import normal, rule, sine

wrong = sine(7.0)


def scanned(op):
    def f(x):
        end, ys = jax.lax.scan(lambda h, x: (op(h + x), h), x[0], x)
        return end + jnp.sum(ys)

    return f


def looped(op):
    return lambda x: jax.lax.fori_loop(0, 3, lambda i, h: op(h), x)


def nested(op):
    def twice(x):
        return op(op(x))

    outer = twice if op is jnp.sin else rule(twice, lambda r, dy: (3 * dy,))
    return lambda x: outer(x) * x


def with_integers(op):
    def f(x):
        best, n = jax.lax.top_k(op(x), 2)
        return {"best": best, "at": n}

    return f


def in_a_custom_jvp(op):
    @jax.custom_jvp
    def f(x):
        return op(x) * 1.0

    f.defjvps(lambda t, y, x: t * jnp.cos(x))
    return lambda x: f(op(x))


def sharded(op):
    mesh = jax.make_mesh((2,), ("i",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("i")
    return jax.shard_map(
        lambda x: op(x) * jax.lax.psum(jnp.sum(x), "i"), mesh=mesh, in_specs=spec, out_specs=spec
    )


WRAPPED = {
    "plain": lambda op: op,
    "jit": lambda op: jax.jit(lambda x: op(x) + 1),
    "jit in jit": lambda op: jax.jit(lambda x: jax.jit(op)(2 * x)),
    "scan": scanned,
    "fori_loop": looped,
    "cond": lambda op: lambda x: jax.lax.cond(x[0] > 0, op, lambda x: x * x, x),
    "switch": lambda op: lambda x: jax.lax.switch(1, [jnp.cos, op], x),
    "remat": lambda op: jax.checkpoint(lambda x: op(x) * x),
    "vmap": lambda op: lambda x: jax.vmap(op)(x[:, None]),
    "nested": nested,
    "remat in scan in jit": lambda op: jax.jit(scanned(jax.checkpoint(op))),
    "integers among the results": with_integers,
    "custom JVP beside it": lambda op: lambda x: op(jax.nn.relu(x)) + jax.nn.silu(x),
    "custom JVP around it": in_a_custom_jvp,
    "shard_map": sharded,
}


def floats(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


@pytest.mark.parametrize("how", WRAPPED)
def test_values_stay_and_gradients_are_autodiffs(how):
    wrap = WRAPPED[how]
    x = normal(4)
    stripped = strip(wrap(wrong))
    got, want = stripped(x), wrap(jnp.sin)(x)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, want)

    def gradient(f):
        return jax.grad(lambda x: sum(map(jnp.sum, floats(f(x)))))(x)

    right = gradient(wrap(jnp.sin))
    np.testing.assert_allclose(gradient(stripped), right, rtol=1e-5, atol=1e-6)
    assert not np.allclose(gradient(wrap(wrong)), right, rtol=1e-2)


def test_under_the_transformations_the_harness_uses():
    stripped = strip(scanned(wrong))
    x = normal(4)
    want = jax.grad(scanned(jnp.sin))(x)
    np.testing.assert_allclose(jax.jit(jax.grad(stripped))(x), want, rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(jax.grad(stripped))(jnp.stack([x, x]))[1], want, rtol=1e-5)
    with jax.enable_x64(True):
        assert stripped(np.ones(3)).dtype == jnp.float64


def test_trees_and_settings_pass_through():
    stripped = strip(lambda tree, how, n: {"y": wrong(tree["x"]) * n} if how == "sine" else None)
    got = stripped({"x": normal(2), "none": None}, "sine", 3)
    np.testing.assert_allclose(got["y"], 3 * jnp.sin(normal(2)), rtol=1e-6)


def test_what_has_no_custom_vjp_runs_as_it_is():
    calls = []

    def f(x):
        calls.append(x)
        return jnp.cos(x)

    x = normal(2)
    np.testing.assert_array_equal(strip(f)(x), jnp.cos(x))
    assert calls[-1] is x


def program(f, *args):
    with jax.enable_x64(True):
        return jax.make_jaxpr(f)(*args)


@pytest.mark.parametrize(
    ("f", "dtype"),
    [
        (jnp.sin, None),
        (lambda x: jnp.sin(x.astype(jnp.float32)), jnp.float32),
        (lambda x: x.astype(jnp.float32) + x.astype(jnp.bfloat16).astype(jnp.float32), jnp.bfloat16),
        (jax.jit(lambda x: x.astype(jnp.float16)), jnp.float16),
        (
            lambda x: jax.lax.scan(lambda h, _: (h.astype(jnp.float32).astype(h.dtype), None), x, None, 2)[0],
            jnp.float32,
        ),
        (lambda x: x * jnp.ones(2, jnp.float32).astype(x.dtype), None),
        (lambda x: (x > 0).astype(jnp.float32), None),
    ],
)
def test_the_coarsest_dtype_that_float64_goes_through(f, dtype):
    assert coarsest(program(f, np.ones(2))) == dtype


def test_a_custom_jvp_is_stripped_unless_it_is_of_jax():
    @jax.custom_jvp
    def twice(x):
        return 2 * x

    twice.defjvp(lambda p, t: (2 * p[0], 7 * t[0]))
    assert jax.grad(strip(lambda x: twice(x)))(1.0) == 2
    assert jax.grad(strip(lambda x: jax.nn.relu(x)))(0.0) == 0
    square = jax.custom_jvp(jnp.square)
    square.defjvps(lambda t, y, x: 7 * t)
    assert jax.grad(strip(lambda x: square(x)))(1.0) == 2

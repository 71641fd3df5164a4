"""Functions that refuse a transformation themselves, which is no fault of their rule."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import check_vjp
from tests.check.rules import elementwise, normal, rule, sine

quick = functools.partial(check_vjp, effort="quick")


def on_host(f, method=None):
    def called(x):
        return jax.pure_callback(f, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method=method)

    return called


def unbatched(x):
    """Sin, of no batch."""
    f = jax.custom_batching.custom_vmap(jnp.sin)

    @f.def_vmap
    def _(axis_size, in_batched, x):
        raise NotImplementedError("no batches here")

    return f(x)


@pytest.mark.parametrize("f", [on_host(np.sin), unbatched], ids=["callback", "custom_vmap"])
@pytest.mark.parametrize("oracle", [None, jnp.sin], ids=["alone", "oracle"])
def test_a_function_that_refuses_vmap(f, oracle):
    report = quick(elementwise(f, jnp.cos), normal(3), oracle=oracle)
    assert report.ok, report
    assert any("cannot be vmapped" in note for note in report.notes)


def test_a_rule_that_refuses_vmap_of_a_function_that_does_not():
    report = quick(elementwise(jnp.sin, on_host(np.cos)), normal(3))
    assert [f.property for f in report.findings] == ["vmap"]


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("effort", ["quick", "thorough"])
def test_donated_buffers(factor, effort):
    x = normal(3)
    report = check_vjp(jax.jit(sine(factor), donate_argnums=0), x, effort=effort)
    assert report.ok == (factor == 1)
    # The caller's array is still theirs.
    assert not x.is_deleted()


def test_a_donated_second_argument_and_donation_inside():
    x, y = normal(3), normal(3, seed=1)
    op = rule(lambda x, y: x * y, lambda r, dy: (dy * r[1], dy * r[0]))
    report = check_vjp(jax.jit(op, donate_argnums=(1,)), x, y)
    assert report.ok, report
    inside = jax.jit(sine(), donate_argnums=0)
    report = check_vjp(lambda x: 2 * inside(x), x)
    assert report.ok, report
    assert any("donate_argnums" in note for note in report.notes)
    assert not any(a.is_deleted() for a in (x, y))

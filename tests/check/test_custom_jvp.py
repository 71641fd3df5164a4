"""A custom JVP is a rule like any other: check_vjp judges it by its primal function, at any effort."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import xlogy

from jaxbackprop.check import check_vjp
from tests.check.rules import normal

quick = functools.partial(check_vjp, effort="quick")


def sine(slope):
    """Sin by a custom JVP with this slope."""
    op = jax.custom_jvp(lambda x: jnp.sin(x))
    op.defjvp(lambda primals, tangents: (jnp.sin(primals[0]), slope(primals[0]) * tangents[0]))
    return op


right, wrong = sine(jnp.cos), sine(jnp.sin)
sine_of_jax = jax.custom_jvp(jnp.sin)
sine_of_jax.defjvps(lambda t, y, x: 2 * t * jnp.cos(x))
AT = jnp.asarray([0.5, 2.0, -1.0], jnp.float32)


def repeated(op):
    return lambda x: jax.lax.scan(lambda carry, _: (op(carry), carry), x, None, length=2)[0]


def chosen(op):
    return lambda x: jax.lax.cond(x[0] > 0, op, jnp.cos, x)


@pytest.mark.parametrize("within", [lambda op: op, jax.jit, jax.vmap, repeated, chosen])
def test_a_wrong_rule_is_not_its_own_oracle(within):
    report = quick(within(wrong), AT)
    assert report.wrong_arguments == (0,)
    assert report.findings[0].index is not None
    assert "wrong derivative formula" in report.findings[0].mistakes
    assert quick(within(right), AT).ok


def test_a_rule_for_a_function_of_jax():
    report = quick(sine_of_jax, AT)
    assert report.findings[0].mistakes[0] == "constant factor"


def test_one_of_two_arguments():
    @jax.custom_jvp
    def scaled(x, y):
        return x * y

    scaled.defjvp(lambda p, t: (p[0] * p[1], t[0] * p[1] + 2 * t[1] * p[0]))
    assert quick(lambda x, y: jnp.sum(scaled(x, y), 0), normal(3), normal(3, seed=1)).wrong_arguments == (1,)


def test_a_primal_that_autodiff_cannot_follow():
    def plain(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")

    for slope, is_right in ((jnp.cos, True), (jnp.sin, False)):
        op = jax.custom_jvp(plain)
        op.defjvp(lambda p, t, slope=slope: (plain(p[0]), slope(p[0]) * t[0]))
        assert quick(op, AT).ok is is_right


@pytest.mark.parametrize(
    ("f", "at"),
    [
        (lambda x: 2 * jax.nn.relu(x), [0, 1, -1]),
        (lambda x: xlogy(x, x + 1), [0, 1, 2]),
        (lambda x: jnp.sinc(x), [0, 1, 0.5]),
        (lambda x: jnp.logaddexp(x, -jnp.inf), [0, 1, 0.5]),
    ],
)
def test_the_rules_of_jax_itself_are_autodiff(f, at):
    report = quick(f, jnp.asarray(at, jnp.float32))
    assert report.ok, report
    assert not report.notes

"""check_jvp: a rule for tangents is linear in them, equals differences, and is what its transpose says."""

import functools

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop.check import CannotCheck, check_jvp, check_vjp
from tests.check.rules import normal, sine

quick = functools.partial(check_jvp, effort="quick")
AT = jnp.asarray([0.5, 2.0, -1.0], jnp.float32)


def tangents(f, jvp, **options):
    """A custom JVP whose rule is jvp(primals, tangents) -> tangent of the result."""
    op = jax.custom_jvp(f, **options)
    op.defjvp(lambda primals, tangents: (f(*primals), jvp(primals, tangents)))
    return op


def of_sine(push):
    return tangents(lambda x: jnp.sin(x), lambda p, t: push(p[0], t[0]))


right = of_sine(lambda x, t: t * jnp.cos(x))
wrong = of_sine(lambda x, t: t * jnp.sin(x))


def outer(push):
    return tangents(lambda x, y: jnp.outer(x, y), lambda p, t: push(*p, *t))


def both(x, y, dx, dy):
    return jnp.outer(dx, y) + jnp.outer(x, dy)


def by_a_loop(x, t):
    """Cannot be transposed: the number of steps is not known."""
    start = jnp.zeros((), jnp.int32), jnp.zeros_like(t)
    return jax.lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1] + t * jnp.cos(x) / 2), start)[1]


def in_a_tree(factor):
    def push(p, t):
        return t[0]["a"] * p[0]["b"] + factor * p[0]["a"] * t[0]["b"]

    return tangents(lambda d: d["a"] * d["b"], push)


TREE = {"a": AT, "b": AT + 1}
Z = jax.lax.complex(AT, AT[::-1])
RIGHT = {
    "sin": (right, (AT,)),
    "outer": (outer(both), (AT, AT[:2])),
    "in a scan": (lambda x: jax.lax.scan(lambda c, _: (right(c), None), x, None, length=2)[0], (AT,)),
    "a tree": (in_a_tree(1), (TREE,)),
    "complex": (tangents(lambda z: z * z, lambda p, t: 2 * p[0] * t[0]), (Z,)),
    "an index": (tangents(lambda x, i: x[i], lambda p, t: t[0][p[1]]), (AT, jnp.asarray([2, 0, 0]))),
    "relu": (lambda x: jax.nn.relu(x), (jnp.asarray([0.0, 1.0, -1.0], jnp.float32),)),
    "two thousand": (right, (normal(2000),)),
}
WRONG = {
    "sin": (wrong, (AT,), "value", "wrong derivative formula"),
    "twice": (of_sine(lambda x, t: 2 * t * jnp.cos(x)), (AT,), "value", "constant factor"),
    "one path": (outer(lambda x, y, dx, dy: jnp.outer(dx, y)), (AT, AT[:2]), "value", "detached"),
    "a tree": (in_a_tree(-1), (TREE,), "value", "sign"),
    "complex": (tangents(lambda z: z * z, lambda p, t: 2 * jnp.conj(p[0]) * t[0]), (Z,), "value", "sign"),
    "absolute": (of_sine(lambda x, t: abs(t) * jnp.cos(x)), (AT,), "linearity", "non-linear in cotangent"),
    "ignored": (of_sine(lambda x, t: jnp.cos(x)), (AT,), "linearity", "upstream ignored"),
    "squared": (of_sine(lambda x, t: t**2 * jnp.cos(x)), (AT,), "linearity", "upstream squared"),
    "clipped": (
        of_sine(lambda x, t: jnp.clip(t, -5, 5) * jnp.cos(x)),
        *((AT,), "linearity", "non-linear in cotangent"),
    ),
    "both to each": (
        tangents(
            lambda a, b: jnp.maximum(a, b),
            lambda p, t: jnp.where(p[0] >= p[1], t[0], 0) + jnp.where(p[1] >= p[0], t[1], 0),
        ),
        *((AT, AT), "value", "wrong winner"),
    ),
    "two thousand": (of_sine(lambda x, t: 2 * t * jnp.cos(x)), (normal(2000),), "value", "constant factor"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right(name):
    op, args = RIGHT[name]
    report = quick(op, *args)
    assert report.ok, report


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name):
    op, args, what, mistake = WRONG[name]
    report = quick(op, *args)
    (found, *_) = report.findings
    assert found.property == what, report
    assert mistake in found.mistakes[:2]
    assert found.argument is not None
    assert found.index is not None
    assert found.got != found.want


def test_terms_of_two_tangents_together():
    mixed = outer(lambda x, y, dx, dy: both(x, y, dx, dy) + jnp.outer(dx, dy))
    (found,) = quick(mixed, AT, AT[:2]).findings
    assert found.property == "linearity"
    assert "the sum of what each gives" in found.message


@pytest.mark.parametrize(
    "push",
    [
        lambda x, t: (t * jnp.cos(x)).astype(jnp.bfloat16),
        lambda x, t: jnp.sum(t * jnp.cos(x)),
        lambda x, t: (t * jnp.cos(x),),
    ],
)
def test_dtype_shape_and_structure(push):
    (found,) = quick(of_sine(push), AT).findings
    assert found.property == "structure"
    assert "Custom JVP rule" in found.message


def test_another_value_than_the_function():
    op = jax.custom_jvp(lambda x: jnp.sin(x))
    op.defjvp(lambda p, t: (jnp.sin(p[0]) + 1, t[0] * jnp.cos(p[0])))
    assert quick(op, AT).findings[0].property == "forward"


def test_what_cannot_be_transposed_is_noted():
    report = quick(of_sine(by_a_loop), AT)
    assert report.ok, report
    assert "the rule cannot be transposed" in report.notes[0]


def test_reverse_mode_that_is_another():
    """A linear rule whose transpose is written by hand, and wrong."""

    def transposed(x, t):
        solve = functools.partial(jax.lax.custom_linear_solve, lambda v: v, solve=lambda _, b: b)
        return solve(t * jnp.cos(x), transpose_solve=lambda _, b: 3 * b)

    report = quick(of_sine(transposed), AT)
    assert [found.property for found in report.findings] == ["transpose"], report


def test_options():
    factor = tangents(lambda x, n: x * n, lambda p, t: t[0] * p[1])
    assert not quick(factor, AT, AT).ok
    assert quick(factor, AT, AT, nondiff=1).ok
    assert quick(factor, AT, AT, oracle=lambda x, n: x * jax.lax.stop_gradient(n)).ok
    setting = jax.custom_jvp(lambda f, x: f(x), nondiff_argnums=(0,))
    setting.defjvp(lambda f, p, t: jax.jvp(f, p, t))
    assert quick(setting, jnp.tanh, AT).ok


def test_what_has_no_jvp():
    with pytest.raises(CannotCheck, match="has a custom VJP inside, which has no JVP"):
        quick(sine(), AT)
    with pytest.raises(CannotCheck, match="no floating-point argument"):
        quick(right, jnp.arange(3))


@jax.custom_jvp
def doubled(x, y):
    return x * y


doubled.defjvp(lambda p, t: (p[0] * p[1], t[0] * p[1] + 2 * p[0] * t[1]))
doubled.__qualname__ = "doubled"


def test_the_code_that_shows_it(capsys):
    report = check_jvp(doubled, AT, AT + 1)
    assert "jax.jvp(doubled, (x, y)," in report.snippet
    exec(compile(report.snippet, "snippet", "exec"), {})  # noqa: S102
    found = report.findings[0]
    assert float(capsys.readouterr().out) == pytest.approx(found.got, rel=1e-5)
    assert not check_vjp(doubled, AT, AT + 1).ok

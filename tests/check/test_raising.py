"""Functions that raise at some arguments: redraws there are left out, and what is left is judged."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

from jaxbackprop._errors import first_line
from jaxbackprop.check import CannotCheck, check_pair, check_vjp
from tests.check.rules import elementwise, normal, rule

quick = functools.partial(check_vjp, effort="quick")


def on_host(f):
    def called(x, *more):
        return jax.pure_callback(
            f, jax.ShapeDtypeStruct(x.shape, x.dtype), x, *more, vmap_method="sequential"
        )

    return called


def solved(a, b):
    if np.linalg.matrix_rank(a) < len(b):
        raise ValueError("singular")
    return np.linalg.solve(a, b).astype(b.dtype)


def solve(factor):
    host = on_host(lambda b, a: solved(a, b))

    def bwd(r, dx):
        a, x = r
        db = host(dx, a.T)
        return -factor * jnp.outer(db, x), db

    return rule(lambda a, b: host(b, a), bwd, fwd=lambda a, b: ((x := host(b, a)), (a, x)))


def root(checked):
    """The root of what a check lets through."""

    def of(factor):
        return elementwise(lambda x: jnp.sqrt(checked(x)), lambda x: factor / 2 / jnp.sqrt(x))

    return of


def by_equinox(x):
    return eqx.error_if(x, jnp.any(x < 0), "negative")


def by_checkify(x):
    checkify.check(jnp.all(x >= 0), "negative")
    return x


def in_python(x):
    if not bool(jnp.all(x >= 0)):
        raise ValueError("negative")
    return x


def closed(x):
    """The ends of its domain are allowed, and what is a rounding off them is not."""
    return eqx.error_if(x, jnp.any((x < 0.25) | (x > 1)), "outside")


def packed(factor):
    """Rows of given lengths, which must fill x."""

    def primal(x, lengths):
        return jax.ops.segment_sum(x, jnp.repeat(jnp.arange(3), lengths, total_repeat_length=5), 3)

    def checked(x, lengths):
        return primal(eqx.error_if(x, jnp.sum(lengths) != 5, "lengths do not fit"), lengths)

    def bwd(lengths, dy):
        return factor * dy[jnp.repeat(jnp.arange(3), lengths, total_repeat_length=5)], None

    return rule(checked, bwd, fwd=lambda x, lengths: (checked(x, lengths), lengths))


A = 3 * jnp.eye(3) + jnp.array([[0.1, 0.5, -0.2], [0.3, -0.4, 0.7], [0.2, 0.6, 0.5]])
CASES = {
    "singular": (solve, (A, jnp.array([1.0, 2.0, -1.0]))),
    "equinox": (root(by_equinox), (jnp.array([0.5, 1.0]),)),
    "checkify": (root(by_checkify), (jnp.array([0.5, 1.0]),)),
    "python": (root(in_python), (jnp.array([0.5, 1.0]),)),
    "ends": (root(closed), (jnp.array([0.25, 1.0]),)),
    "lengths": (packed, (normal(5), jnp.array([2, 0, 3]))),
}


@pytest.mark.parametrize("name", CASES)
def test_a_right_rule_is_judged_where_its_function_works(name):
    make, args = CASES[name]
    report = check_vjp(make(1.0), *args)
    assert report.ok, report
    assert report.points >= 7
    assert any("redrawn arguments, which are left out" in note for note in report.notes)


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_rule_is_wrong_there(name):
    make, args = CASES[name]
    report = quick(make(1.5), *args)
    assert report.wrong_arguments == (0,), report
    assert [f.property for f in report.findings] == ["value"]


def test_a_rule_that_raises_where_its_function_does_not():
    op = rule(jnp.sin, lambda r, dy: (dy * jnp.cos(by_equinox(r[0])),))
    report = quick(op, jnp.array([0.5, 1.0]))
    assert [f.property for f in report.findings] == ["structure"]
    assert "at redrawn arguments (flipped" in report.findings[0].message
    assert report.findings[0].point is not None


def test_a_rule_that_cannot_be_compiled_though_its_function_can():
    op = rule(jnp.sin, lambda r, dy: (dy * jnp.cos(by_checkify(r[0])),))
    report = quick(op, jnp.array([0.5, 1.0]))
    assert "jit" in [f.property for f in report.findings]
    assert "cannot be compiled, though the function can" in str(report)


def test_what_raises_at_the_callers_arguments_cannot_be_checked():
    with pytest.raises(CannotCheck, match="raises at these arguments: .*negative"):
        quick(root(by_equinox)(1.0), jnp.array([-0.5, 1.0]))


def numpy_root(x):
    with np.errstate(invalid="raise"):
        return np.sqrt(x)


def numpy_cholesky(x):
    return np.linalg.cholesky(np.diag(x)).diagonal()


def numpy_asserted(x):
    assert np.all(x > 0), "negative"
    return x**0.5


@pytest.mark.parametrize("f", [numpy_root, numpy_cholesky, numpy_asserted])
def test_pairs(f):
    right = check_pair(f, lambda x, dy: (dy / 2 / x**0.5,), np.array([0.5, 1.0]))
    assert right.ok, right
    assert any("left out" in note for note in right.notes)
    wrong = check_pair(f, lambda x, dy: (dy / x**0.5,), np.array([0.5, 1.0]), effort="quick")
    assert wrong.wrong_arguments == (0,)


def test_of_a_callback_its_own_exception_is_told():
    def refuse(x):
        raise ValueError("not this one")

    with pytest.raises(Exception, match="not this one") as raised:
        jax.block_until_ready(jax.jit(on_host(refuse))(jnp.ones(2)))
    assert first_line(raised.value) == "ValueError: not this one"
    assert first_line(KeyError("x")) == "KeyError: 'x'"


def test_a_pair_in_numpy_need_not_be_compiled():
    """NumPy's argsort of what is traced can be traced, and cannot be compiled."""
    order = np.array([2, 0, 3, 1])
    report = check_pair(
        lambda x, order: x[order],
        lambda x, order, dy: (dy[np.argsort(order)], None),
        np.asarray(normal(4, 2)),
        order,
        effort="quick",
    )
    assert report.ok, report

"""Where there is no number to judge, or no way to judge it, nothing is called right."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import CannotCheck, check_pair, check_vjp
from tests.check.rules import elementwise, normal, product, rule, sine

quick = functools.partial(check_vjp, effort="quick")
empty = jnp.zeros((0, 3), jnp.float32)


@pytest.mark.parametrize(
    ("op", "args", "said"),
    [
        (sine(), (empty,), "arguments of sin are empty"),
        (sine(), (np.zeros(0),), "arguments of sin are empty"),
        (product(), (empty, {}), "raises at these arguments"),
        (rule(lambda tree: tree["a"] + tree["b"], lambda r, dy: (dy,)), ({"a": empty, "b": empty},), "empty"),
        (rule(lambda x, n: x, lambda r, dy: (dy, None)), (empty, jnp.arange(3)), "empty"),
    ],
)
def test_arrays_without_numbers(op, args, said):
    with pytest.raises(CannotCheck, match=said):
        quick(op, *args)


def test_a_pair_without_numbers():
    with pytest.raises(CannotCheck, match="arguments of cos are empty"):
        check_pair(np.cos, lambda x, dy: (dy,), np.zeros((2, 0)))


def test_one_array_without_numbers_beside_another():
    total = rule(lambda x, y: jnp.sum(x) + y, lambda r, dy: (jnp.broadcast_to(dy, (0, 3)), 2 * dy))
    assert quick(total, empty, normal()).wrong_arguments == (1,)


def test_results_without_numbers_have_a_gradient_of_zero():
    assert quick(rule(lambda x: x[:0], lambda r, dy: (0 * r[0],)), normal(3)).ok
    assert not quick(rule(lambda x: x[:0], lambda r, dy: (r[0],)), normal(3)).ok


def of_float32(f, slope, factor=1.0):
    """An operator that takes float32 alone and that autodiff cannot follow, as compiled kernels are."""

    def plain(x):
        if x.dtype != jnp.float32:
            raise ValueError(f"float32 only, got {x.dtype}")
        return jax.pure_callback(f, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")

    return rule(plain, lambda r, dy: (jnp.float32(factor) * dy * slope(r[0]),))


AT = jnp.asarray([0.5, 2.0, -1.0], jnp.float32)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (np.sin, jnp.cos),
        (np.square, lambda x: 2 * x),
        (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(x.dtype)),
    ],
)
def test_differences_in_float32_judge_what_takes_nothing_else(f, slope):
    report = quick(of_float32(f, slope), AT)
    assert report.ok, report
    assert any("differences alone judge" in note for note in report.notes)
    assert quick(of_float32(f, slope, 1.1), AT).wrong_arguments == (0,)


@pytest.mark.parametrize("factor", [1, 1.1])
def test_what_takes_float32_alone_may_say_so_only_when_it_is_run(factor):
    def sine(x):
        if x.dtype != np.float32:
            raise ValueError("float32 only")
        return np.sin(x)

    def plain(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(sine, shape, x, vmap_method="expand_dims")

    op = rule(plain, lambda r, dy: (jnp.asarray(factor, dy.dtype) * dy * jnp.cos(r[0]),))
    assert quick(op, AT).ok is (factor == 1)


def test_float32_alone_in_numpy():
    def cube(x):
        assert x.dtype == np.float32
        return x**3

    x = np.float32([0.5, -2.0])
    assert check_pair(cube, lambda x, dy: (3 * x**2 * dy,), x, effort="quick").ok
    assert not check_pair(cube, lambda x, dy: (2 * x**2 * dy,), x, effort="quick").ok


def test_a_kink_by_differences_in_float32():
    op = of_float32(np.abs, lambda x: jnp.sign(x))
    assert quick(op, jnp.asarray([0.0, 2.0, -1.0], jnp.float32)).ok


def test_an_exception_that_cannot_say_what_it_is_about():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def mute(x):
        raise Mute

    with pytest.raises(CannotCheck, match="mute raises at these arguments: Mute"):
        quick(mute, normal(3))


def test_what_is_finite_at_no_point():
    with pytest.raises(CannotCheck, match="finite neither"):
        quick(elementwise(lambda x: x * jnp.nan, lambda x: x), normal(3))

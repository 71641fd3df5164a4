"""Complex arguments and results, in JAX's convention, holomorphic functions and others."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import CannotCheck, check_pair, check_vjp
from tests.check.rules import rule

quick = functools.partial(check_vjp, effort="quick")
quick_pair = functools.partial(check_pair, effort="quick")

Z = jnp.asarray([1 + 2j, 0.5 - 1j, -2 + 0.25j], jnp.complex64)
X = jnp.asarray([0.5, 2.0, -1.0], jnp.float32)
A, B = (jnp.stack([Z, k * Z[::-1]]) for k in (2, 3))


def square(z):
    return z * z


def turned(x):
    """Complex, of real numbers."""
    return jax.lax.complex(x, 2 * x)


def product(x, z):
    """Real, of real and complex numbers."""
    return x * z.real


def size(z):
    """Real and not holomorphic."""
    return z.real**2 + z.imag**2


# A function, its arguments, and backward rules (residuals, dy) with the arguments that are wrong.
CASES = {
    "holomorphic": (square, (Z,), lambda r, dy: (2 * r[0] * dy,), ()),
    "conjugated": (square, (Z,), lambda r, dy: (2 * jnp.conj(r[0]) * dy,), (0,)),
    "not holomorphic": (size, (Z,), lambda r, dy: (2 * dy * jnp.conj(r[0]),), ()),
    "the gradient that descends": (size, (Z,), lambda r, dy: (2 * dy * r[0],), (0,)),
    "a real cotangent": (size, (Z,), lambda r, dy: (2 * dy * r[0].real,), (0,)),
    "from real ones": (turned, (X,), lambda r, dy: (dy.real - 2 * dy.imag,), ()),
    "from real ones, conjugated": (turned, (X,), lambda r, dy: (dy.real + 2 * dy.imag,), (0,)),
    "from real ones, the real part": (turned, (X,), lambda r, dy: (dy.real,), (0,)),
    "a complex cotangent": (turned, (X,), lambda r, dy: (dy * (1 + 2j),), (0,)),
    "beside real ones": (product, (X, Z), lambda r, dy: (dy * r[1].real, (dy * r[0]).astype(Z.dtype)), ()),
    "five times": (product, (X, Z), lambda r, dy: (dy * r[1].real, (5 * dy * r[0]).astype(Z.dtype)), (1,)),
    "conj": (lambda z: jnp.conj(z) * 1j, (Z,), lambda r, dy: (jnp.conj(dy * 1j),), ()),
    "conj forgotten": (lambda z: jnp.conj(z) * 1j, (Z,), lambda r, dy: (dy * 1j,), (0,)),
    "a modulus": (lambda z: jnp.abs(z), (Z,), lambda r, dy: (dy * jnp.conj(r[0]) / jnp.abs(r[0]),), ()),
    "a matrix product": (lambda a, b: a @ b.T, (A, B), lambda r, dy: (dy @ r[1], dy.T @ r[0]), ()),
    "its adjoint": (lambda a, b: a @ b.T, (A, B), lambda r, dy: (dy @ jnp.conj(r[1]), dy.T @ r[0]), (0,)),
    "a Fourier transform": (lambda z: jnp.fft.fft(z), (Z,), lambda r, dy: (jnp.fft.fft(dy),), ()),
    "its inverse": (lambda z: jnp.fft.fft(z), (Z,), lambda r, dy: (jnp.fft.ifft(dy),), (0,)),
    "a scalar": (lambda z: z**3, (Z[0],), lambda r, dy: (3 * dy * r[0] ** 2,), ()),
    "a Python number": (lambda z: z**3, (1 + 2j,), lambda r, dy: (3 * dy * r[0] ** 2,), ()),
    "in a tree": (
        lambda t: t["x"] * t["z"].imag,
        ({"x": X, "z": Z},),
        lambda r, dy: ({"x": dy * r[0]["z"].imag, "z": -1j * dy * r[0]["x"]},),
        (),
    ),
    "in a tree, the other sign": (
        lambda t: t["x"] * t["z"].imag,
        ({"x": X, "z": Z},),
        lambda r, dy: ({"x": dy * r[0]["z"].imag, "z": 1j * dy * r[0]["x"]},),
        (0,),
    ),
}


@pytest.fixture(autouse=True)
def _promotion():
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize("name", CASES)
def test_complex_numbers_are_judged(name):
    f, args, bwd, wrong = CASES[name]
    report = quick(rule(f, bwd), *args)
    assert report.wrong_arguments == wrong, report
    assert report.ok is not wrong or not wrong
    json.dumps(report.to_dict())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("conj forgotten", "dz is the complex conjugate of what it should be"),
        ("five times", "dz is 5 times what it should be"),
        ("a real cotangent", "dz is float32, but the argument is complex64"),
        ("a complex cotangent", "dx is complex64, but the argument is float32"),
        ("in a tree, the other sign", "dt['z'] is -1 times what it should be"),
    ],
)
def test_what_is_wrong_is_said_of_complex_numbers(name, said):
    f, args, bwd, _ = CASES[name]
    assert quick(rule(f, bwd), *args).findings[0].message == said


def conjugated(z):
    return z * z


conjugated = rule(conjugated, lambda r, dy: (2 * dy * jnp.conj(r[0]),))
conjugated.__qualname__ = "conjugated"


def test_the_worst_entry_and_the_code_that_shows_it(capsys):
    report = check_vjp(conjugated, Z)
    (found,) = report.findings
    assert found.index in {(0,), (1,), (2,)}
    assert isinstance(found.got, complex)
    assert found.point[0].dtype == jnp.complex64
    assert "import jax" in report.snippet
    exec(compile(report.snippet, "snippet", "exec"), {})  # noqa: S102
    assert complex(capsys.readouterr().out) == pytest.approx(found.got, rel=1e-5)
    assert "+0j" not in report.snippet.partition("#")[2]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_a_pair_in_numpy(dtype):
    z = np.asarray(Z, dtype)
    assert quick_pair(np.square, lambda z, dy: (2 * z * dy,), z).ok
    report = quick_pair(np.square, lambda z, dy: (2 * np.conj(z) * dy,), z)
    assert report.wrong_arguments == (0,)
    assert "complex" in report.snippet or report.snippet == ""
    modulus = functools.partial(quick_pair, lambda z: np.abs(z) ** 2)
    assert modulus(lambda z, dy: (2 * np.conj(z) * dy,), z).ok
    assert not modulus(lambda z, dy: (2 * z * dy,), z).ok
    assert modulus(lambda z, dy: (2 * z.real * dy,), z).findings[0].property == "structure"


def test_an_intended_rule():
    op = rule(square, lambda r, dy: (dy,))
    assert not quick(op, Z).ok
    assert quick(op, Z, oracle_vjp=lambda z, dy: (dy,)).ok
    assert not quick(op, Z, oracle_vjp=lambda z, dy: (jnp.conj(dy),)).ok


def test_double_precision_and_thorough():
    with jax.enable_x64(True):
        z = jnp.asarray(Z, jnp.complex128)
        assert check_vjp(rule(*map(CASES["holomorphic"].__getitem__, (0, 2))), z).ok
        assert not check_vjp(rule(*map(CASES["conjugated"].__getitem__, (0, 2))), z).ok


def test_where_complex_numbers_may_be_redrawn():
    log = rule(lambda z: jnp.log(z), lambda r, dy: (dy / r[0],))

    def right_half(rng, like):
        return rng.uniform(0.5, 2, like.shape) + 1j * rng.normal(size=like.shape)

    assert quick(log, Z, domains=(right_half,)).ok
    assert quick(log, Z, domains=((0.5, 2.0),)).ok
    assert quick(log, Z, domains=("fixed",)).ok
    with pytest.raises(CannotCheck, match="no complex number is 'positive'"):
        quick(log, Z, domains=("positive",))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_batched_along_an_axis(axis):
    assert quick(rule(square, CASES["holomorphic"][2]), A, in_axes=axis).ok


def test_a_kink_at_zero():
    def unit(r, dy):
        safe = jnp.where(r[0] == 0, 1, jnp.abs(r[0]))
        return (dy * jnp.conj(r[0]) / safe,)

    op = rule(lambda z: jnp.abs(z), unit)
    assert quick(op, jnp.asarray([0, 1 + 1j], jnp.complex64)).ok


def test_integers_and_nothing_beside():
    op = rule(lambda z, n: z * n, lambda r, dy: (dy * r[1], None))
    assert quick(op, Z, jnp.asarray([1, 2, 3])).ok
    op = rule(lambda z: (z, 3, jnp.arange(3)), lambda r, dy: (2 * dy[0],))
    assert quick(op, Z).wrong_arguments == (0,)


def test_by_a_custom_jvp():
    op = jax.custom_jvp(lambda z: z * z)
    op.defjvp(lambda p, t: (p[0] * p[0], 2 * jnp.conj(p[0]) * t[0]))
    assert not quick(op, Z).ok

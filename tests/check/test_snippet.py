"""The code at a report's end: pasted into a fresh interpreter it prints the wrong number."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxbackprop.check import Finding, check_pair, check_vjp
from jaxbackprop.check._reproducer import TooLong, literal, snippet
from jaxbackprop.check._subject import Given
from tests.check.rules import doubled_bias, normal, product, scaled, sine

ROOT = Path(__file__).parents[2]


def read(text):
    return eval(text, {"jax": jax, "jnp": jnp, "np": np})


def run(code):
    """What the code prints in this interpreter, in a namespace of its own."""
    printed = []
    try:
        exec(code, {"print": lambda *values: printed.append(*values)})
    finally:
        # The code may set it, as it would in an interpreter of its own; the tests run without.
        jax.config.update("jax_enable_x64", False)
    (number,) = printed
    return float(number)


# -- literals ----------------------------------------------------------------------------------------------


@given(
    st.sampled_from(["float64", "float32", "float16", "bfloat16"]),
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=3, min_side=0),
        elements=st.floats(allow_nan=False),
    ),
)
def test_an_array_is_read_back_bit_for_bit(dtype, values):
    with np.errstate(over="ignore"):
        array = values.astype(jnp.dtype(dtype))
    back = read(literal(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back.astype(float), array.astype(float))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16, jnp.int8, jnp.uint32, jnp.bool_])
def test_a_jax_array_stays_one(dtype):
    array = jnp.asarray([[0, 1], [3, 2]], dtype)
    text = literal(array)
    assert text.startswith("jnp.array([[")
    back = read(text)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(np.asarray(back, float), np.asarray(array, float))


def test_as_few_digits_as_name_the_number():
    assert literal(jnp.asarray([0.1, 1e-5, 3.0], jnp.float32)) == "jnp.array([0.1, 1e-05, 3], 'float32')"
    assert literal(np.asarray(1 / 3)) == "np.array(0.3333333333333333, 'float64')"
    assert literal(np.float32(0.5)) == "np.array(0.5, 'float32')"


@pytest.mark.parametrize(
    "array", [np.asarray([np.nan, np.inf, -np.inf, -0.0]), np.zeros((0, 3), np.int32), jnp.zeros((2, 0))]
)
def test_odd_arrays(array):
    back = read(literal(array))
    assert (type(back), back.shape, back.dtype) == (type(array), array.shape, array.dtype)
    np.testing.assert_array_equal(back, array)
    if array.dtype == np.float64:
        np.testing.assert_array_equal(np.signbit(back), np.signbit(array))


@pytest.mark.parametrize(
    "value", [None, True, 3, -2, "it's", 0.25, {"a": (1, [2.5, None])}, (1,), (), [], {}]
)
def test_plain_values(value):
    assert read(literal(value)) == value


def test_python_floats_that_are_not_finite():
    assert np.isnan(read(literal(float("nan"))))
    assert read(literal([float("-inf")])) == [-np.inf]


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_keys(impl, shape):
    key = jax.random.key(5, impl=impl)
    key = jax.random.split(key, shape) if shape else key
    back = read(literal(key))
    assert back.dtype == key.dtype
    np.testing.assert_array_equal(jax.random.key_data(back), jax.random.key_data(key))


@pytest.mark.parametrize("value", [np.zeros(49), lambda x: x, object(), jnp.zeros((7, 7))])
def test_what_has_no_literal_of_a_few_lines(value):
    with pytest.raises(TooLong):
        literal(value)


# -- code --------------------------------------------------------------------------------------------------

wrong_sine = sine(1.25)
wrong_sine.__module__, wrong_sine.__qualname__ = __name__, "wrong_sine"


def tree_op(p, n, *, scale):
    """Of a dict, with an integer and a keyword."""
    return wrong_sine(p["x"][n] * scale)


def cubed(x):
    return x**3


def cubed_vjp(x, dy):
    return (2 * x**2 * dy,)


def compared(report):
    """What the snippet prints, beside what the report says that it does."""
    found = next(f for f in report.findings if f.property == "value")
    assert report.snippet.splitlines()[-1].endswith(f"# got {found.got:.7g}, want {found.want:.7g}")
    assert run(report.snippet) == pytest.approx(found.got, rel=1e-5)
    assert abs(found.got - found.want) > 0.01 * abs(found.want)
    return report.snippet


@pytest.fixture(scope="module")
def of_arrays():
    return check_vjp(doubled_bias, normal(2, 2), normal(1, 2), normal(2), effort="quick")


def test_it_shows_the_wrong_number(of_arrays):
    code = compared(of_arrays)
    assert "from tests.check.rules import doubled_bias" in code
    assert "W = jnp.array(" in code
    assert len(code.splitlines()) <= 10
    assert "to see it:" in str(of_arrays)


def test_it_runs_in_a_fresh_interpreter(of_arrays):
    found = of_arrays.findings[0]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", of_arrays.snippet],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == pytest.approx(found.got, rel=1e-5)


def test_of_a_tree_with_settings():
    tree = {"x": normal(3, 2)}
    report = check_vjp(tree_op, tree, jnp.asarray([0, 2]), kwargs={"scale": 0.5}, effort="quick")
    code = compared(report)
    assert "scale=0.5" in code
    assert re.search(r"\[0\]\['x'\]\[\d, \d\]\)", code)


def test_of_a_pair_in_numpy():
    report = check_pair(cubed, cubed_vjp, np.asarray([1.5, -2.0]), effort="quick")
    code = compared(report)
    assert "jax" not in code
    assert "cubed_vjp(x, dy)[0][" in code


def test_in_float64():
    with jax.enable_x64(True):
        report = check_vjp(
            doubled_bias, *(normal(*s, dtype=np.float64) for s in ((2, 2), (1, 2), (2,))), effort="quick"
        )
        code = compared(report)
    assert 'jax.config.update("jax_enable_x64", True)' in code


def written(op, *args, dy, argument=0):
    wrong = Finding("value", "so", index=(0,), got=1.0, want=2.0, point=args, cotangent=dy, argument=argument)
    session = SimpleNamespace(
        subject=SimpleNamespace(forward=False, given=Given(op, None, {})),
        layout=SimpleNamespace(arguments=tuple(range(len(args)))),
        parameters=lambda count: [*"abcd"][:count],
    )
    return snippet(session, wrong)


def test_what_cannot_be_imported_or_written_has_none():
    one = jnp.ones(1)
    assert written(doubled_bias, one, one, one, dy=one)
    assert written(lambda x: x, one, dy=one) == ""
    assert written(product(), one, one, dy=one) == ""
    assert written(doubled_bias, jnp.ones(99), one, one, dy=one) == ""
    assert written(scaled, lambda x: x, one, 2, one, dy=one, argument=1) == ""
    assert "from jax.numpy import tanh" in written(scaled, jnp.tanh, one, 2, one, dy=one, argument=1)


class Line(NamedTuple):
    """A weight and a bias."""

    w: jax.Array
    b: jax.Array


def along(f, line, x):
    """Of a function and a NamedTuple, with an integer result."""
    y = wrong_sine(f(line.w * x + line.b))
    return {"y": y, "largest": jnp.argmax(y)}


jitted = jax.jit(wrong_sine)
nameless = lambda x: wrong_sine(x)  # noqa: E731


@pytest.mark.parametrize(
    ("op", "args", "line"),
    [
        (along, (jnp.tanh, Line(jnp.float32(2), jnp.float32(1)), jnp.asarray([0.5, 2])), "import along"),
        (jitted, (jnp.asarray([0.5, 2]),), "import jitted"),
        (nameless, (jnp.asarray([0.5, 2]),), "import nameless"),
        (jax.jit(wrong_sine), (jnp.asarray([0.5, 2]),), "jax.vjp(jax.jit(wrong_sine), x)"),
    ],
)
def test_of_functions_named_tuples_integer_results_and_what_has_been_wrapped(op, args, line):
    assert line in compared(check_vjp(op, *args, effort="quick"))


def test_what_a_script_or_a_notebook_defines_is_used_where_it_is_defined(monkeypatch):
    def local(x):
        return wrong_sine(x)

    local.__module__, local.__qualname__ = "__main__", "local"
    monkeypatch.setattr(sys.modules["__main__"], "local", local, raising=False)
    code = check_vjp(local, normal(2), effort="quick").snippet
    assert "\n# where local is defined\n" in code
    assert run(f"from __main__ import local\n{code}")


def test_no_snippet_of_what_is_right():
    assert check_vjp(sine(), normal(2), effort="quick").snippet == ""

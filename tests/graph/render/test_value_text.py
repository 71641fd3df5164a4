"""How values are written where there is little room."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxbackprop.graph.render._value_text import concrete, dtype_text, number_text, numbers_text, shape_text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.7310586, "0.7311"),
        (-0.5, "-0.5"),
        (1e-5, "1e-5"),
        (123456.0, "1.235e5"),
        (-0.0, "0"),
        (np.float32(0.1), "0.1"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1234567, "1234567"),
        (-12345678, "-1.235e7"),
        (True, "True"),
        (1 - 2.5j, "1-2.5j"),
        (complex(0.0, -0.0), "0-0j"),
    ],
)
def test_numbers(number, text):
    assert number_text(number) == text


@given(st.floats(-1e300, 1e300))
def test_a_number_keeps_four_digits(number):
    assert float(number_text(number)) == pytest.approx(number, rel=5.1e-4, abs=1e-320)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (np.array([1.0, 2.0]), "[1, 2]"),
        (np.array([[0.12345]]), "[[0.123]]"),
        (np.zeros((0, 3)), "empty"),
        (np.arange(6.0) - 1.2345, "-1.23 … 3.77"),
        (np.zeros((2, 3)), "all 0"),
        (np.array([1.0, np.nan, 3.0, np.inf, 5.0, np.nan]), "1 … inf, 2 nan"),
        (np.full(9, np.nan), "all nan"),
        (np.arange(6) > 3, "2 of 6 True"),
        (np.arange(9, dtype=np.int8), "0 … 8"),
        (np.full(5, 3 + 4j), "|·| all 5"),
        (None, ""),
    ],
)
def test_values(value, text):
    assert numbers_text(value) == text


def test_bfloat16_has_numbers_and_keys_have_none():
    assert numbers_text(jnp.arange(6, dtype=jnp.bfloat16)) == "0 … 5"
    assert numbers_text(jax.random.key(0)) == ""
    assert numbers_text(np.zeros(3, jax.dtypes.float0)) == ""


def test_a_traced_value_has_no_numbers():
    said = []
    jax.make_jaxpr(lambda x: said.append(numbers_text(x)) or x)(1.0)
    assert said == [""]


@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=3, max_side=4), elements=st.floats(width=32)))
def test_any_array_can_be_written(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = numbers_text(value)
    assert text
    assert len(text) < 60
    assert np.array_equal(concrete(value), value, equal_nan=True)


def test_shapes_are_written_as_arguments_are():
    assert shape_text((8, 16), jnp.dtype("float32")) == "f32[8,16]"
    assert shape_text((), jnp.dtype("bfloat16")) == "bf16[]"
    assert [dtype_text(np.dtype(d)) for d in ("int32", "uint8", "bool", "complex64", "float64")] == [
        "i32",
        "u8",
        "bool",
        "c64",
        "f64",
    ]
    assert shape_text((2,), jax.random.key(0).dtype) == "key[2]"

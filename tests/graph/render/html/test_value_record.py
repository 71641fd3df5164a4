"""The record of a value that the page holds."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.graph.render.html._value_record import value_record


def test_a_number_is_a_number():
    assert value_record(jnp.float32(0.25), 8) == {"t": "0.25", "s": "f32[]"}


def test_a_few_numbers_are_written_out():
    found = value_record(jnp.array([[1.0, -2.0, 0.5, 0.5], [0.0, jnp.nan, 1.0, 1.0]]), 8)
    assert found["rows"] == [["1", "-2", "0.5", "0.5"], ["0", "nan", "1", "1"]]
    assert (found["low"], found["high"], found["mean"], found["odd"]) == ("-2", "1", "0.2857", 1)
    assert found["histogram"] == [1, *[0] * 9, 1, 0, 0, 2, 0, 3]
    assert found["heat"][1][1] == "!"
    assert found["heat"][0][1] == "0"


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 3), st.integers(6, 24))
def test_a_heat_map_has_at_most_so_many_cells_a_side(rows, columns, stacked, side):
    value = np.random.default_rng(0).normal(size=(stacked, rows, columns))
    found = value_record(value, side)
    if "rows" in found:
        assert value.size <= 32
    elif value.size > 1:
        assert len(found["heat"]) == min(side, stacked * rows)
        assert {len(row) for row in found["heat"]} == {min(side, columns)}
    if value.size > 1:
        assert float(found["low"]) == pytest.approx(value.min(), rel=1e-3)
        assert float(found["high"]) == pytest.approx(value.max(), rel=1e-3)
    if value.size >= 6:
        assert sum(found["histogram"]) == value.size


@pytest.mark.parametrize(
    "value",
    [
        jnp.zeros((0, 3)),
        jnp.zeros((3, 0)),
        jnp.full((5, 5), jnp.nan),
        jnp.full((40, 2), jnp.inf),
        jnp.array([3.4e38, -3.4e38] * 20),
        np.array([1.7e308, -1.7e308] * 20),
        jnp.arange(50, dtype=jnp.bfloat16),
        jnp.array([True, False] * 20),
        jnp.array([1 + 2j, 3j] * 20),
        jnp.arange(50, dtype=jnp.int32),
        jax.random.key(0),
        jax.random.split(jax.random.key(0), 3),
        np.ones((2, 2, 2, 2, 2, 2)),
    ],
    ids=lambda value: f"{value.dtype}{list(value.shape)}",
)
def test_values_of_every_kind_have_a_record(value):
    found = value_record(value, 8)
    assert json.loads(json.dumps(found, allow_nan=False)) == found

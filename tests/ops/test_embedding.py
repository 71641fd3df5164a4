"""Reading rows, and adding cotangents back to them: duplicates, padding, ids out of range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxbackprop import ops

TABLE = jnp.arange(12.0).reshape(4, 3)


def gradient(ids, dy, padding_id=None):
    pull = jax.vjp(lambda table: ops.embedding(table, ids, padding_id=padding_id), TABLE)[1]
    return pull(jnp.asarray(dy, jnp.float32))[0]


def test_a_row_read_twice_receives_both():
    got = gradient(jnp.asarray([2, 0, 2]), [[1, 1, 1], [5, 5, 5], [10, 20, 30]])
    np.testing.assert_array_equal(got, [[5, 5, 5], [0, 0, 0], [11, 21, 31], [0, 0, 0]])


@settings(max_examples=10)  # each shape compiles
@given(
    hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.integers(-1, 3),
    )
)
def test_equals_a_loop_over_the_ids(ids):
    rng = np.random.default_rng(0)
    dy = rng.normal(size=(*ids.shape, 3)).astype(np.float32)
    rows = np.asarray(ops.embedding(TABLE, ids, padding_id=-1))
    want_rows, want = np.zeros((*ids.shape, 3)), np.zeros((4, 3))
    for position in np.ndindex(ids.shape):
        if ids[position] != -1:
            want_rows[position] = TABLE[ids[position]]
            want[ids[position]] += dy[position]
    np.testing.assert_array_equal(rows, want_rows)
    np.testing.assert_allclose(gradient(ids, dy, -1), want, atol=1e-5)


@pytest.mark.parametrize("padding_id", [-1, 0, 3, 4, 1000, -(2**31)])
def test_padding_reads_as_zeros_with_gradient_zero(padding_id):
    ids = jnp.asarray([1, padding_id])
    np.testing.assert_array_equal(ops.embedding(TABLE, ids, padding_id=padding_id), [[3, 4, 5], [0, 0, 0]])
    got = gradient(ids, np.ones((2, 3)), padding_id)
    np.testing.assert_array_equal(got, np.eye(4)[1][:, None] * np.ones(3))


@pytest.mark.parametrize("bad", [-1, 4, 2**31 - 1, -(2**31)])
def test_an_id_out_of_range_raises_eagerly_and_is_nan_under_jit(bad):
    ids = jnp.asarray([0, bad])
    with pytest.raises(ValueError, match=rf"ids must lie in \[0, 4\) \(4 rows of table\), got {bad}"):
        ops.embedding(TABLE, ids)
    rows, dtable = jax.jit(jax.value_and_grad(lambda t, i: jnp.sum(ops.embedding(t, i)), has_aux=False))(
        TABLE, ids
    )
    assert np.isnan(rows)
    np.testing.assert_array_equal(dtable, np.eye(4)[0][:, None] * np.ones(3))


def test_an_id_that_only_fits_64_bits_raises():
    with pytest.raises(ValueError, match="got 4294967297"):
        ops.embedding(TABLE, np.asarray([2**32 + 1]))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32])
def test_every_integer_dtype(dtype):
    np.testing.assert_array_equal(
        ops.embedding(TABLE, np.asarray([3, 0], dtype), padding_id=-1), TABLE[jnp.asarray([3, 0])]
    )


def test_unsigned_ids_never_turn_negative():
    ids = np.asarray([2**32 - 1, 1], np.uint32)
    got = jax.jit(lambda ids: ops.embedding(TABLE, ids, padding_id=-1))(ids)
    np.testing.assert_array_equal(got, [[np.nan] * 3, [3, 4, 5]])


def test_an_empty_table_has_padding_only():
    rows, pull = jax.vjp(lambda t: ops.embedding(t, jnp.asarray([-1, -1]), padding_id=-1), jnp.zeros((0, 3)))
    np.testing.assert_array_equal(rows, np.zeros((2, 3)))
    assert pull(rows)[0].shape == (0, 3)


def test_half_precision_adds_in_float32():
    table = jnp.zeros((2, 1), jnp.bfloat16)
    ids = jnp.zeros(4096, jnp.int32)
    dtable = jax.grad(lambda t: jnp.sum(ops.embedding(t, ids).astype(jnp.float32)))(table)
    assert float(dtable[0, 0]) == 4096


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.embedding(jnp.ones(4), jnp.asarray([0])),
            ValueError,
            r"table must have shape \(rows, features\)",
        ),
        (
            lambda: ops.embedding(TABLE, jnp.asarray([0.0])),
            TypeError,
            "ids must be integers, got dtype float32",
        ),
        (
            lambda: ops.embedding(TABLE, jnp.asarray([True])),
            TypeError,
            "ids must be integers, got dtype bool",
        ),
        (
            lambda: ops.embedding(TABLE, 0, padding_id=0.5),
            TypeError,
            "padding_id must be an integer, got 0.5",
        ),
    ],
)
def test_bad_input_names_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

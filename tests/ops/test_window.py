"""Windows of word vectors: δ_window is cut into pieces and each is added to its word's row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import ops

TABLE = jnp.arange(8.0).reshape(4, 2)


def test_vectors_stand_in_the_order_of_the_words():
    np.testing.assert_array_equal(ops.window_lookup(TABLE, jnp.asarray([3, 0, 2])), [6, 7, 0, 1, 4, 5])


def test_a_word_that_occurs_twice_gets_both_pieces():
    ids = jnp.asarray([[1, 2, 1], [0, 1, 3]])
    dy = jnp.arange(12.0).reshape(2, 6)
    (dtable,) = jax.vjp(lambda table: ops.window_lookup(table, ids), TABLE)[1](dy)
    np.testing.assert_array_equal(dtable, [[6, 7], [0 + 4 + 8, 1 + 5 + 9], [2, 3], [10, 11]])


def test_padding_outside_the_sentence():
    ids = jnp.asarray([[-1, -1, 0, 1, -1]])
    np.testing.assert_array_equal(
        ops.window_lookup(TABLE, ids, padding_id=-1), [[0, 0, 0, 0, 0, 1, 2, 3, 0, 0]]
    )
    dtable = jax.grad(lambda t: jnp.sum(ops.window_lookup(t, ids, padding_id=-1)))(TABLE)
    np.testing.assert_array_equal(dtable, [[1, 1], [1, 1], [0, 0], [0, 0]])


def test_leading_axes_and_none():
    assert ops.window_lookup(TABLE, jnp.zeros((2, 3, 5), jnp.int32)).shape == (2, 3, 10)
    assert ops.window_lookup(TABLE, jnp.zeros((0, 5), jnp.int32)).shape == (0, 10)


@pytest.mark.parametrize("shape", [(), (4,), (3, 0)])
def test_a_window_has_a_middle(shape):
    with pytest.raises(ValueError, match=r"ids must end in a window of 2m \+ 1 words"):
        ops.window_lookup(TABLE, jnp.zeros(shape, jnp.int32))


def test_an_id_out_of_range_raises_eagerly_and_is_nan_under_jit():
    ids = jnp.asarray([0, 4, 1])
    with pytest.raises(ValueError, match=r"ids must lie in \[0, 4\) or -1 \(4 rows of table\), got 4"):
        ops.window_lookup(TABLE, ids, padding_id=-1)
    got = jax.jit(lambda ids: ops.window_lookup(TABLE, ids, padding_id=-1))(ids)
    np.testing.assert_array_equal(got, [0, 1, np.nan, np.nan, 2, 3])


def test_the_backward_pass_keeps_ids_and_not_the_table(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    ids = jnp.zeros((10, 5), jnp.int32)
    kept = jax.tree.leaves(jax.vjp(lambda table: ops.window_lookup(table, ids), jnp.ones((1000, 50)))[1])
    assert sum(leaf.nbytes for leaf in kept if isinstance(leaf, jax.Array)) == ids.nbytes

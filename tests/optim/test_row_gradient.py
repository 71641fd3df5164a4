"""RowGradient: what it stands for, its arithmetic, and that nothing takes it for two arrays in silence."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.optim import RowGradient, rows
from jaxbackprop.optim._distinct import distinct_ids


def some(ids=(4, 1, 4), size=6, columns=2, scale=1.0, dtype=jnp.float32):
    values = scale * (1 + jnp.arange(len(ids) * columns, dtype=dtype)).reshape(len(ids), columns)
    return RowGradient(jnp.array(ids, jnp.int32), values, (size, columns))


@given(
    st.integers(1, 60),
    st.lists(st.integers(-2, 70), max_size=80),
    st.sampled_from([1, 37, 10**5, 2**31 - 2]),
)
def test_distinct_ids_in_order_of_first_occurrence(size, ids, stride):
    """Long tables take the way over hashes, short ones the direct one."""
    large = min(size * stride, 2**31 - 2)
    ids = np.array([i * stride if 0 <= i < size else -1 for i in ids] + [large], np.int64).astype(np.int32)
    ids[ids >= large] = large
    padded = np.pad(ids, (0, 81 - len(ids)), constant_values=-1)
    distinct, places = map(np.asarray, _distinct(padded, large))
    valid = (padded >= 0) & (padded < large)
    expected = list(dict.fromkeys(padded[valid].tolist()))
    assert distinct.tolist() == expected + [large] * (81 - len(expected))
    np.testing.assert_array_equal(distinct[places[valid]], padded[valid])
    assert (places[~valid] == 81).all()


_distinct = jax.jit(distinct_ids, static_argnums=1)


def test_distinct_ids_where_all_of_them_share_slots():
    """More distinct ids than the scratch has slots to spare: many rounds, the same answer."""
    ids = np.random.default_rng(0).permutation(10**6)[:3000].astype(np.int32)
    distinct, places = _distinct(ids, 10**6)
    np.testing.assert_array_equal(distinct, ids)
    np.testing.assert_array_equal(places, np.arange(3000))


def test_ids_are_distinct_and_their_rows_added_up():
    gradient = some()
    np.testing.assert_array_equal(gradient.ids, [4, 1, 6])
    np.testing.assert_array_equal(gradient.rows, [[6, 8], [3, 4], [0, 0]])
    assert (gradient.shape, gradient.dtype, gradient.ndim) == ((6, 2), jnp.float32, 2)
    np.testing.assert_array_equal(gradient.dense(), np.zeros((6, 2)) + [[0], [1], [0], [0], [2], [0]] * DENSE)


DENSE = np.array([[3.0, 4.0]])


@pytest.mark.parametrize("count", [0, 1, 256, 257, 512, 700])
def test_it_is_the_dense_scatter(count):
    rng = np.random.default_rng(count)
    ids, values = rng.integers(0, 3000, count), rng.normal(size=(count, 3)).astype(np.float32)
    dense = np.zeros((3000, 3))
    np.add.at(dense, ids, values)
    gradient = RowGradient(ids.astype(np.int32), values, (3000, 3))
    np.testing.assert_allclose(gradient.dense(), dense, atol=1e-5)
    real = np.asarray(gradient.ids)[np.asarray(gradient.ids) < 3000]
    assert len(np.unique(real)) == len(real) == len(np.unique(ids))


def test_ids_of_any_shape_and_traced_ones_out_of_range_stand_for_no_row():
    ids = jnp.array([[0, -1], [7, 5]])
    gradient = jax.jit(lambda ids: RowGradient(ids, jnp.ones((2, 2, 3)), (6, 3)))(ids)
    np.testing.assert_array_equal(gradient.dense()[:, 0], [1, 0, 0, 0, 0, 1])
    assert float(jnp.sum(gradient.rows)) == 6


def test_bfloat16_rows_are_added_in_float32():
    gradient = RowGradient(jnp.zeros(512, jnp.int32), jnp.full((512, 1), 1.0, jnp.bfloat16), (3, 1))
    assert gradient.dtype == jnp.bfloat16
    assert gradient.rows[0, 0] == 512


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([0], jnp.ones((1, 2)), (3,)),
            ValueError,
            r"shape must be a table's, \(rows, columns\), got \(3,\)",
        ),
        (([0], jnp.ones((1, 2)), (3, 4)), ValueError, r"rows has shape \(1, 2\) but ids of shape \(1,\)"),
        (([0, 1], jnp.ones((1, 2)), (3, 2)), ValueError, r"need \(2, 2\)"),
        (([9], jnp.ones((1, 2)), (3, 2)), ValueError, r"ids must lie in \[0, 3\).* got 9"),
        (([0.5], jnp.ones((1, 2)), (3, 2)), TypeError, "ids must be integers"),
        (([0], jnp.ones((1, 2), jnp.int32), (3, 2)), TypeError, "rows must be floating-point"),
        (([0], jnp.ones((1, 2)), (2**31 - 1, 2)), ValueError, "up to 2147483646 rows, got 2147483647"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    ids, *rest = arguments
    with pytest.raises(error, match=message):
        RowGradient(jnp.asarray(ids), *rest)


def test_it_adds_to_arrays_of_jax_and_numpy_and_to_its_like():
    gradient, table = some(), np.ones((6, 2), np.float32)
    for whole in (table + gradient, jnp.asarray(table) + gradient, optax.apply_updates(table, gradient)):
        assert isinstance(whole, jax.Array)
        np.testing.assert_array_equal(whole, table + np.asarray(gradient.dense()))
    both = gradient + some(ids=(1, 0, 0))
    np.testing.assert_array_equal(both.dense(), gradient.dense() + some(ids=(1, 0, 0)).dense())
    assert len(np.unique(both.ids[both.ids < 6])) == 3
    np.testing.assert_array_equal((-(2 * gradient / 4)).dense(), -0.5 * gradient.dense())
    with pytest.raises(ValueError, match=r"of shape \(6, 2\) was added to \(5, 2\)"):
        jnp.ones((5, 2)) + gradient
    with pytest.raises(ValueError, match="do not add up"):
        gradient + some(size=7)
    with pytest.raises(TypeError):
        gradient * jnp.ones((3, 2))


@pytest.mark.filterwarnings("ignore:optax.global_norm is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "wrong",
    [
        optax.global_norm,
        optax.tree.norm,
        jax.jit(optax.tree.norm),
        lambda grads: optax.clip_by_global_norm(1.0).update(grads, optax.EmptyState()),
        lambda grads: optax.scale(-0.1).update(grads, optax.EmptyState()),
        lambda grads: optax.tree.sum(grads),
    ],
)
def test_what_would_take_ids_for_numbers_is_refused(wrong):
    with (
        jax.numpy_dtype_promotion("standard"),
        pytest.raises(TypeError, match=r"as if its ids were numbers.*rows\.clip_by_global_norm"),
    ):
        wrong({"table": some(), "rest": jnp.ones(3)})


@pytest.mark.parametrize("optimizer", [optax.adam(0.1), optax.adagrad(0.1), optax.sgd(0.1, momentum=0.9)])
def test_optimizers_with_states_of_the_tables_shape_do_not_fit(optimizer):
    table = jnp.ones((6, 2))
    with jax.numpy_dtype_promotion("standard"), pytest.raises((TypeError, ValueError)):
        optimizer.update(some(), optimizer.init(table), table)


def test_it_passes_through_jax_as_a_tree():
    gradient = some()
    assert [path[0].name for path, _ in jax.tree_util.tree_leaves_with_path(gradient)] == ["ids", "rows"]
    same = jax.jit(lambda g: g)(gradient)
    assert isinstance(same, RowGradient)
    assert same.shape == (6, 2)
    stacked = jax.vmap(lambda scale: some() * scale)(jnp.array([1.0, 2.0]))
    assert stacked.rows.shape == (2, 3, 2)
    dense = jax.vmap(lambda g: g.dense())(stacked)
    np.testing.assert_array_equal(dense[1], 2 * gradient.dense())
    total, _ = jax.lax.scan(lambda table, g: (table + g, None), jnp.zeros((6, 2)), stacked)
    np.testing.assert_array_equal(total, 3 * gradient.dense())
    assert "shape=(6, 2)" in repr(jax.eval_shape(lambda: some()))


def test_the_rows_can_be_differentiated_through():
    values = jnp.array([[1.0], [2.0], [3.0]])

    def square(values):
        return rows.global_norm(RowGradient(jnp.array([1, 0, 1]), values, (4, 1))) ** 2

    np.testing.assert_allclose(jax.grad(square)(values), [[8.0], [4.0], [8.0]], rtol=1e-6)


def test_it_is_read_only_copied_and_pickled():
    gradient = some()
    with pytest.raises(AttributeError, match="ids is read-only"):
        gradient.ids = None
    for other in (copy.deepcopy(gradient), pickle.loads(pickle.dumps(gradient))):
        np.testing.assert_array_equal(other.dense(), gradient.dense())
    assert repr(gradient) == "RowGradient(ids=int32[3], rows=float32[3,2], shape=(6, 2))"

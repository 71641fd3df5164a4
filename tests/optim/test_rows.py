"""Optimizers by rows against optax on the dense gradient, against SparseAdam as stated here, and in place."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxbackprop.optim import RowGradient, rows, value_and_row_grad

V, D, B, K, C = 2000, 6, 240, 5, 4  # 1200 lookups are three blocks


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    ids = (rng.zipf(1.3, (10, B, K)) % V).astype(np.int32)
    return ids, rng.integers(0, C, (10, B)).astype(np.int32)


def start():
    rng = np.random.default_rng(1)
    draw = lambda *shape: jnp.asarray(rng.normal(0, 0.3, shape), jnp.float32)  # noqa: E731
    return {"W": draw(K * D, 7), "U": draw(7, C)}, draw(V, D)


def loss(params, vectors, labels):
    hidden = jnp.tanh(vectors.reshape(len(labels), -1) @ params["W"])
    scores = jax.nn.log_softmax(hidden @ params["U"])
    return -jnp.mean(jnp.take_along_axis(scores, labels[:, None], 1))


def beside(optimizer, dense=None):
    dense = optax.sgd(0.1) if dense is None else dense
    return optax.multi_transform({"dense": dense, "rows": optimizer}, ("dense", "rows"))


def row_step(optimizer):
    @partial(jax.jit, donate_argnums=0)
    def step(carry, ids, labels):
        params, table, state = carry
        value, grads = value_and_row_grad(loss)(params, table, ids, labels)
        updates, state = optimizer.update(grads, state, (params, table))
        return (*optax.apply_updates((params, table), updates), state), value

    return step


def dense_step(optimizer):
    @jax.jit
    def step(carry, ids, labels):
        params, table, state = carry
        whole = lambda params, table: loss(params, table[ids], labels)  # noqa: E731
        value, grads = jax.value_and_grad(whole, (0, 1))(params, table)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(grads, state, (params, table))
        return (*optax.apply_updates((params, table), updates), state), value

    return step


def trajectory(step, optimizer, batches, steps=100):
    params, table = start()
    carry = (params, table, optimizer.init((params, table)))
    for t in range(steps):
        carry, _ = step(carry, batches[0][t % 10], batches[1][t % 10])
    return carry


SCHEDULE = optax.exponential_decay(0.3, 20, 0.7)
EXACT = {
    "sgd": (rows.sgd(0.5), optax.sgd(0.5)),
    "sgd, schedule": (rows.sgd(SCHEDULE), optax.sgd(SCHEDULE)),
    "adagrad": (rows.adagrad(0.1), optax.adagrad(0.1)),
    "adagrad, arguments": (
        rows.adagrad(SCHEDULE, initial_accumulator_value=0.0, eps=1e-3),
        optax.adagrad(SCHEDULE, initial_accumulator_value=0.0, eps=1e-3),
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_ones_follow_optax_on_the_dense_gradient(name, batches):
    with jax.numpy_dtype_promotion("standard"):
        mine, theirs = (beside(optimizer) for optimizer in EXACT[name])
        params, table, _ = trajectory(row_step(mine), mine, batches)
        dense_params, dense_table, _ = trajectory(dense_step(theirs), theirs, batches)
    assert np.abs(table - start()[1]).max() > 0.05
    np.testing.assert_allclose(table, dense_table, rtol=0, atol=1e-6)
    for key in params:
        np.testing.assert_allclose(params[key], dense_params[key], rtol=0, atol=1e-6)


def test_clipping_by_global_norm_follows_optax_on_the_dense_gradient(batches):
    mine = optax.chain(rows.clip_by_global_norm(0.05), beside(rows.adagrad(0.1)))
    theirs = optax.chain(optax.clip_by_global_norm(0.05), beside(optax.adagrad(0.1)))
    loose = beside(optax.adagrad(0.1))
    _, table, _ = trajectory(row_step(mine), mine, batches)
    _, dense_table, _ = trajectory(dense_step(theirs), theirs, batches)
    _, unclipped, _ = trajectory(dense_step(loose), loose, batches)
    np.testing.assert_allclose(table, dense_table, rtol=0, atol=1e-6)
    assert np.abs(unclipped - dense_table).max() > 1e-3


def sparse_adam(table, gradients, lr, b1=0.9, b2=0.999, eps=1e-8):
    """torch.optim.SparseAdam in NumPy: only rows of `touched` change anything."""
    table = table.astype(np.float64)
    mean, square = np.zeros_like(table), np.zeros_like(table)
    for t, (touched, g) in enumerate(gradients, start=1):
        mean[touched] = b1 * mean[touched] + (1 - b1) * g
        square[touched] = b2 * square[touched] + (1 - b2) * g**2
        size = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
        table[touched] -= size * mean[touched] / (np.sqrt(square[touched]) + eps)
    return table


@pytest.mark.parametrize("arguments", [{}, {"b1": 0.7, "b2": 0.9, "eps": 1e-3}])
def test_lazy_adam_is_sparse_adam(arguments):
    rng = np.random.default_rng(2)
    optimizer = rows.lazy_adam(0.01, **arguments)
    first = rng.normal(size=(V, D)).astype(np.float32)
    table, state = jnp.asarray(first), optimizer.init(jnp.asarray(first))

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(table, state, ids, values):
        update, state = optimizer.update(RowGradient(ids, values, (V, D)), state)
        return optax.apply_updates(table, update), state

    dense = []
    for _ in range(100):
        ids = (rng.zipf(1.3, 1200) % V).astype(np.int32)
        values = rng.normal(size=(1200, D)).astype(np.float32)
        touched, inverse = np.unique(ids, return_inverse=True)
        summed = np.zeros((len(touched), D))
        np.add.at(summed, inverse, values)
        dense.append((touched, summed))
        table, state = step(table, state, ids, values)
    np.testing.assert_allclose(table, sparse_adam(first, dense, 0.01, **arguments), rtol=0, atol=1e-5)


def test_lazy_adam_leaves_resting_rows_alone_where_adam_moves_them():
    table = jnp.ones((3, 2))
    optimizer = rows.lazy_adam(0.1)
    state = optimizer.init(table)
    for ids in ([0], [1], [1]):
        update, state = optimizer.update(RowGradient(jnp.array(ids), jnp.ones((1, 2)), (3, 2)), state)
        before, table = table, table + update
        if ids == [1]:
            np.testing.assert_array_equal(table[0], before[0])
    np.testing.assert_array_equal(table[2], [1, 1])
    assert state.step == 3


@pytest.mark.parametrize("optimizer", [rows.sgd(0.1), rows.adagrad(0.1), rows.lazy_adam(0.1)])
def test_table_and_state_are_updated_in_place(optimizer, batches):
    optimizer = optax.chain(rows.clip_by_global_norm(1.0), beside(optimizer, optax.adagrad(0.1)))
    params, table = start()
    carry = (params, table, optimizer.init((params, table)))
    step = row_step(optimizer)

    def tables(carry):
        return [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(carry) if leaf.shape == (V, D)]

    before = tables(carry)
    used = carry
    carry, _ = step(carry, batches[0][0], batches[1][0])
    assert tables(carry) == before
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(used))


def test_temporaries_do_not_grow_with_the_table(batches):
    def temporaries(size):
        optimizer = beside(rows.adagrad(0.1), optax.adagrad(0.1))
        params = {"W": jnp.zeros((500, 100)), "U": jnp.zeros((100, 9))}
        table = jax.ShapeDtypeStruct((size, 100), jnp.float32)
        state = jax.eval_shape(optimizer.init, (params, table))
        ids = jax.ShapeDtypeStruct((1024, 5), jnp.int32)
        labels = jax.ShapeDtypeStruct((1024,), jnp.int32)
        compiled = row_step(optimizer).lower((params, table, state), ids, labels).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(1_000_000) <= min(10e6, temporaries(100_000) + 4096)


def test_sgd_refuses_momentum():
    with pytest.raises(ValueError, match="momentum must be None, got 0.9: it moves every row"):
        rows.sgd(0.1, momentum=0.9)
    rows.sgd(0.1, momentum=0.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: rows.sgd("fast"), TypeError, "learning_rate must be a number or a schedule, got 'fast'"),
        (lambda: rows.sgd(np.ones(2)), TypeError, r"learning_rate must .* got shape \(2,\)"),
        (lambda: rows.adagrad(0.1, -1.0), ValueError, "initial_accumulator_value must be at least 0, got -1"),
        (lambda: rows.adagrad(0.1, eps=-1.0), ValueError, "eps must be at least 0"),
        (lambda: rows.lazy_adam(0.1, b1=1.0), ValueError, "b1 must be at least 0 and below 1, got 1"),
        (lambda: rows.lazy_adam(0.1, b2=float("nan")), ValueError, "b2 must be"),
        (lambda: rows.lazy_adam(0.1, eps=0.0), ValueError, "eps must be above 0, got 0"),
        (lambda: rows.clip_by_global_norm(0.0), ValueError, "max_norm must be above 0, got 0"),
        (lambda: rows.clip_by_global_norm("1"), TypeError, "max_norm must be a number, got '1'"),
        (lambda: rows.add_decayed_rows(-1.0), ValueError, "weight_decay must be at least 0, got -1"),
        (lambda: rows.sgd(0.1).init(jnp.ones(3)), ValueError, r"a table has shape .* got \(3,\)"),
        (lambda: rows.sgd(0.1).init(jnp.ones((3, 2), jnp.int32)), TypeError, "got dtype int32"),
    ],
)
def test_arguments_out_of_range_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("optimizer", [rows.sgd(0.1), rows.adagrad(0.1), rows.lazy_adam(0.1)])
def test_a_dense_gradient_is_refused(optimizer):
    table = jnp.ones((3, 2))
    with pytest.raises(TypeError, match=r"takes gradients that are a RowGradient .* of shape \(3, 2\)"):
        optimizer.update(table, optimizer.init(table))


def test_a_gradient_of_another_table_is_refused():
    state = rows.adagrad(0.1).init(jnp.ones((3, 2)))
    gradient = RowGradient(jnp.array([0]), jnp.ones((1, 2)), (4, 2))
    with pytest.raises(ValueError, match=r"a table of shape \(3, 2\), got a gradient of shape \(4, 2\)"):
        rows.adagrad(0.1).update(gradient, state)


def test_the_learning_rate_may_be_injected():
    optimizer = optax.inject_hyperparams(rows.adagrad)(learning_rate=0.1)
    table = jnp.ones((3, 2))
    gradient = RowGradient(jnp.array([0]), jnp.ones((1, 2)), (3, 2))
    with jax.numpy_dtype_promotion("standard"):
        state = optimizer.init(table)
        once, _ = jax.jit(optimizer.update)(gradient, state)
        state.hyperparams["learning_rate"] = jnp.float32(0.2)
        twice, _ = jax.jit(optimizer.update)(gradient, state)
    np.testing.assert_allclose(twice.rows, 2 * once.rows, rtol=1e-6)


def test_decay_pulls_touched_rows_alone():
    table = jnp.arange(6.0).reshape(3, 2)
    optimizer = optax.chain(rows.add_decayed_rows(0.5), rows.sgd(1.0))
    gradient = RowGradient(jnp.array([1, 1]), jnp.zeros((2, 2)), (3, 2))
    update, _ = optimizer.update(gradient, optimizer.init(table), table)
    np.testing.assert_allclose(table + update, [[0, 1], [1, 1.5], [4, 5]])
    with pytest.raises(ValueError, match="params must be given"):
        optimizer.update(gradient, optimizer.init(table))


def test_the_global_norm_counts_numbers_with_duplicates_combined_and_no_ids():
    gradient = RowGradient(jnp.array([7, 2, 7]), jnp.array([[1.0], [2.0], [3.0]]), (9, 1))
    np.testing.assert_allclose(rows.global_norm({"a": gradient, "b": jnp.full(5, 1.0)}), 5.0)
    assert rows.global_norm({}) == 0


def test_many_tables_share_an_optimizer_and_one_may_be_masked():
    tables = {"a": jnp.ones((5, 2)), "b": jnp.ones((4, 3))}
    grads = {
        "a": RowGradient(jnp.array([1]), jnp.ones((1, 2)), (5, 2)),
        "b": RowGradient(jnp.array([2]), jnp.ones((1, 3)), (4, 3)),
    }
    optimizer = rows.adagrad(1.0)
    updates, state = optimizer.update(grads, optimizer.init(tables))
    assert state.sum_of_squares["b"].shape == (4, 3)
    assert float(state.sum_of_squares["b"][2, 0]) == pytest.approx(1.1)
    assert optax.apply_updates(tables, updates)["a"][1, 0] < 0.1
    split = optax.partition({"x": rows.adagrad(1.0), "y": rows.sgd(1.0)}, {"a": "x", "b": "y"})
    updates, _ = split.update(grads, split.init(tables))
    np.testing.assert_array_equal(updates["b"].rows, -np.ones((1, 3)))


def test_bfloat16_tables_stay_so():
    table = jnp.ones((3, 2), jnp.bfloat16)
    for optimizer in (rows.sgd(0.1), rows.adagrad(0.1), rows.lazy_adam(0.1)):
        gradient = RowGradient(jnp.array([1, 1]), jnp.ones((2, 2), jnp.bfloat16), (3, 2))
        update, state = optimizer.update(gradient, optimizer.init(table))
        assert update.dtype == optax.apply_updates(table, update).dtype == jnp.bfloat16
        assert jax.tree.all(jax.tree.map(lambda leaf: leaf.dtype in (jnp.bfloat16, jnp.int32), state))

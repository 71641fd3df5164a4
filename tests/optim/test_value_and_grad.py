"""value_and_row_grad against jax.grad of the table, its jaxpr, flax.nnx, and tables split over devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxbackprop import ops
from jaxbackprop.optim import RowGradient, gathered_table, rows, value_and_row_grad

V, D, B, K = 4096, 3, 16, 5


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    ids = jnp.asarray(rng.zipf(1.5, (B, K)) % V, jnp.int32)
    params = {"W": jnp.asarray(rng.normal(size=(K * D, 2)), jnp.float32)}
    table = jnp.asarray(rng.normal(size=(V, D)), jnp.float32)
    return params, table, ids, jnp.asarray(rng.normal(size=(B, 2)), jnp.float32)


def loss(params, vectors, y):
    return jnp.mean((jnp.tanh(vectors.reshape(len(y), -1) @ params["W"]) - y) ** 2)


def dense(params, table, ids, y):
    return jax.value_and_grad(lambda p, t: loss(p, ops.embedding(t, ids, padding_id=-1), y), (0, 1))(
        params, table
    )


@pytest.mark.parametrize("jit", [lambda f: f, jax.jit])
def test_it_is_the_gradient_of_the_dense_table(problem, jit):
    params, table, ids, y = problem
    ids = ids.at[:, 0].set(-1).at[0].set(7)
    value, (grads, row_grads) = jit(value_and_row_grad(loss, padding_id=-1))(params, table, ids, y)
    expected, (dense_grads, dense_table) = dense(params, table, ids, y)
    assert isinstance(row_grads, RowGradient)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(grads["W"], dense_grads["W"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(row_grads.dense(), dense_table, rtol=1e-5, atol=1e-7)


def test_several_tables_and_several_lookups_of_one(problem):
    _, table, ids, _ = problem
    other = table[:50] * 2
    tables = {"words": table, "shapes": other}
    places = {"words": {"left": ids[:, 0], "right": [ids[:, 1:3], ids[:, 4]]}, "shapes": ids % 50}

    def score(params, vectors, scale):
        words = vectors["words"]
        near = words["right"][0].sum(1) * words["right"][1]
        return scale * jnp.sum(words["left"] * near + vectors["shapes"].sum(1) ** 2), {"n": near}

    def whole(tables):
        read = jax.tree.map(lambda t, i: jax.tree.map(lambda one: t[one], i), tables, places)
        return score(None, read, 3.0)[0]

    run = value_and_row_grad(score, has_aux=True)
    (value, aux), (grads, row_grads) = run(None, tables, places, scale=3.0)
    assert grads is None
    assert aux["n"].shape == (B, D)
    expected = jax.grad(whole)(tables)
    np.testing.assert_allclose(value, whole(tables), rtol=1e-5)
    for name in tables:
        np.testing.assert_allclose(row_grads[name].dense(), expected[name], rtol=1e-4, atol=1e-5)


def is_jaxpr(leaf):
    return hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr")


def shapes(jaxpr):
    """Shapes of all that a jaxpr computes, in inner jaxprs too."""
    for equation in jaxpr.eqns:
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=is_jaxpr):
            if is_jaxpr(inner):
                yield from shapes(getattr(inner, "jaxpr", inner))
        yield from (out.aval.shape for out in equation.outvars)


def test_no_array_of_the_tables_shape_is_formed(problem):
    params, table, ids, y = problem
    gradient = jax.make_jaxpr(value_and_row_grad(loss))(params, table, ids, y)
    assert (V, D) not in set(shapes(gradient.jaxpr))
    assert (V,) not in set(shapes(gradient.jaxpr))
    naive = jax.make_jaxpr(dense)(params, table, ids, y)
    assert (V, D) in set(shapes(naive.jaxpr))


def test_a_step_forms_the_table_and_its_state_and_nothing_else_of_that_shape(problem):
    params, table, ids, y = problem
    optimizer = optax.multi_transform({"d": optax.sgd(0.1), "r": rows.adagrad(0.1)}, ("d", "r"))

    def step(params, table, state, ids):
        _, grads = value_and_row_grad(loss)(params, table, ids, y)
        updates, state = optimizer.update(grads, state, (params, table))
        return optax.apply_updates((params, table), updates), state

    made = list(shapes(jax.make_jaxpr(step)(params, table, optimizer.init((params, table)), ids).jaxpr))
    # The sum of squares, the table, and that it is what it was before (apply_updates converts it).
    assert made.count((V, D)) <= 3


def test_ids_out_of_range(problem):
    params, table, ids, y = problem
    run = value_and_row_grad(loss)
    with pytest.raises(ValueError, match=rf"ids must lie in \[0, {V}\).* got {V}"):
        run(params, table, ids.at[2, 1].set(V), y)
    value, (_, row_grads) = jax.jit(run)(params, table, ids.at[2, 1].set(-1), y)
    assert np.isnan(value)
    assert row_grads.dense().shape == (V, D)
    with pytest.raises(ValueError, match="ids must have the structure of tables"):
        run(params, {"a": table}, ids, y)
    with pytest.raises(TypeError, match="ids must be integers"):
        run(params, table, ids.astype(jnp.float32), y)
    with pytest.raises(TypeError, match="padding_id must be an integer"):
        value_and_row_grad(loss, padding_id=0.5)


def test_a_table_without_lookups_gets_nothing(problem):
    params, table, _, _ = problem
    _, (_, row_grads) = value_and_row_grad(lambda params, vectors: jnp.sum(params["W"]))(params, table, ())
    np.testing.assert_array_equal(row_grads.dense(), np.zeros((V, D)))


def test_gradients_accumulate_over_micro_batches(problem):
    params, table, ids, y = problem
    run = value_and_row_grad(loss)
    parts = [run(params, table, ids[half], y[half])[1][1] for half in (slice(0, 8), slice(8, 16))]
    _, (_, expected) = run(params, table, ids, y)
    np.testing.assert_allclose((0.5 * (parts[0] + parts[1])).dense(), expected.dense(), rtol=1e-5, atol=1e-7)


class Tagger(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(V, D, rngs=rngs)
        self.out = nnx.Linear(K * D, 2, rngs=rngs)

    def __call__(self, ids):
        return self.out(self.embed(ids).reshape(len(ids), -1))


def test_an_nnx_model_trains_through_split_state_and_a_pure_step(problem):
    _, _, ids, y = problem
    model = Tagger(nnx.Rngs(0))
    graphdef, embed, params = nnx.split(model, nnx.PathContains("embed"), ...)
    table = embed["embed"]["embedding"][...]
    optimizer = optax.multi_transform({"d": optax.sgd(0.1), "r": rows.adagrad(0.1)}, ("d", "r"))

    def fit(params, vectors, ids, y):
        small, places = gathered_table(vectors, ids)
        state = nnx.State({"embed": {"embedding": nnx.Param(small)}})
        return jnp.mean((nnx.merge(graphdef, state, params)(places) - y) ** 2)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, table, state):
        value, grads = value_and_row_grad(fit)(params, table, ids, ids, y)
        updates, state = optimizer.update(grads, state, (params, table))
        return (*optax.apply_updates((params, table), updates), state, value)

    whole, state = nnx.split(model)
    dense_optimizer = optax.partition(
        {"d": optax.sgd(0.1), "r": optax.adagrad(0.1)}, nnx.State({"embed": "r", "out": "d"})
    )
    reference = dense_optimizer.init(state)
    carry = jax.tree.map(jnp.copy, (params, table, optimizer.init((params, table))))
    for _ in range(5):
        *carry, value = step(*carry)
        expected, grads = jax.value_and_grad(lambda state: jnp.mean((nnx.merge(whole, state)(ids) - y) ** 2))(
            state
        )
        updates, reference = dense_optimizer.update(grads, reference, state)
        state = optax.apply_updates(state, updates)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(carry[1], state["embed"]["embedding"][...], atol=1e-6)


def test_the_small_table_keeps_padding():
    ids = jnp.array([[4, -1], [4, 2]])
    vectors = ops.embedding(jnp.arange(10.0).reshape(5, 2), ids, padding_id=-1)
    small, places = gathered_table(vectors, ids, padding_id=-1)
    np.testing.assert_array_equal(places, [[0, -1], [2, 3]])
    np.testing.assert_array_equal(ops.embedding(small, places, padding_id=-1), vectors)
    with pytest.raises(ValueError, match="padding_id must be negative"):
        gathered_table(vectors, ids, padding_id=0)
    with pytest.raises(ValueError, match=r"rows has shape \(2, 2, 2\) but ids has shape \(2,\)"):
        gathered_table(vectors, ids[0])


@pytest.mark.parametrize("axis", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("optimizer", [rows.sgd(0.3), rows.adagrad(0.3), rows.lazy_adam(0.3)])
def test_a_table_split_over_devices_by_rows_trains_as_a_whole_one(axis, optimizer):
    rng = np.random.default_rng(1)
    ids = (rng.zipf(1.3, (150, K)) % V).astype(np.int32)  # more than one block
    params = {"W": rng.normal(size=(K * D, 2)).astype(np.float32)}
    table = rng.normal(size=(V, D)).astype(np.float32)
    y = rng.normal(size=(150, 2)).astype(np.float32)
    optimizer = optax.chain(
        rows.clip_by_global_norm(0.1),
        optax.multi_transform({"d": optax.sgd(0.1), "r": optimizer}, ("d", "r")),
    )

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, table, state, ids, y):
        _, grads = value_and_row_grad(loss)(params, table, ids, y)
        updates, state = optimizer.update(grads, state, (params, table))
        return (*optax.apply_updates((params, table), updates), state)

    def train(place):
        carry = jax.tree.map(place, (params, table))
        carry = (*carry, jax.tree.map(place, optimizer.init((params, table))))
        for _ in range(3):
            carry = step(*carry, place(ids), place(y))
        return carry

    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis,))

    def split(x):
        return jax.device_put(x, NamedSharding(mesh, P("data") if np.shape(x) == (V, D) else P()))

    with jax.set_mesh(mesh):
        sharded = train(split)
    assert sharded[1].sharding.spec == P("data", None) or sharded[1].sharding.spec == P("data")
    assert sharded[1].addressable_shards[0].data.shape == (V // 8, D)
    for a, b in zip(jax.tree.leaves(sharded), jax.tree.leaves(train(jnp.asarray)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.embedding import embedding, embedding_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

V, D = 5, 3


def twin(table, ids, *, padding_id=None):
    rows = jnp.take(table, jnp.asarray(np.where(ids == padding_id, 0, ids), jnp.int32), axis=0)
    keep = jnp.asarray(np.ones(np.shape(ids), bool) if padding_id is None else ids != padding_id)
    return jnp.where(keep[..., None], rows, 0.0)


@pytest.mark.parametrize("padding_id", [None, -1, 0, 2, V, 100])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,), (2, 0)])
def test_opinions_agree(shape, padding_id) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, V, shape)
    if padding_id is not None:
        ids = np.where(rng.random(shape) < 0.4, padding_id, ids)
    table, dy = normal(1, V, D), normal(2, *shape, D)
    args = (table, ids)
    check_against_autodiff(embedding, embedding_vjp, twin, args, (0,), dy, padding_id=padding_id)
    check_against_differences(embedding, embedding_vjp, args, (0,), dy, padding_id=padding_id)


@settings(max_examples=15)
@given(st.lists(st.integers(-1, V - 1), min_size=6, max_size=6), st.data())
def test_values(ids, data) -> None:
    args = (data.draw(values((V, D))), np.array(ids))
    check_against_autodiff(
        embedding, embedding_vjp, twin, args, (0,), data.draw(values((6, D))), padding_id=-1
    )


@given(st.lists(st.integers(0, V - 1), max_size=8), st.integers(0, 9))
def test_the_lookup_is_a_product_with_one_hot_rows(ids, seed) -> None:
    table, dy = normal(seed, V, D), normal(seed + 1, len(ids), D)
    ids = np.array(ids, dtype=int)
    S = np.eye(V)[ids]
    np.testing.assert_allclose(embedding(table, ids), S @ table)
    np.testing.assert_allclose(embedding_vjp(table, ids, dy)[0], S.T @ dy, atol=1e-14)


def test_a_word_that_returns_gets_every_gradient() -> None:
    dtable, dids = embedding_vjp(np.zeros((3, 2)), [1, 1, 2, 1], [[1, 2], [10, 20], [5, 5], [100, 200]])
    np.testing.assert_array_equal(dtable, [[0, 0], [111, 222], [5, 5]])
    assert dids is None


@pytest.mark.parametrize("padding_id", [-1, 1, 7])
def test_padding_reads_zero_and_receives_nothing(padding_id) -> None:
    table = np.full((3, 2), 4.0)
    y = embedding(table, [0, padding_id], padding_id=padding_id)
    np.testing.assert_array_equal(y, [[4, 4], [0, 0]])
    dtable, _ = embedding_vjp(table, [0, padding_id], np.ones((2, 2)), padding_id=padding_id)
    np.testing.assert_array_equal(dtable, [[1, 1], [0, 0], [0, 0]])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_integer_dtypes(dtype) -> None:
    table = normal(0, 200, 2)
    ids = np.array([3, 100], dtype)
    np.testing.assert_array_equal(embedding(table, ids, padding_id=-1), table[[3, 100]])
    dtable, _ = embedding_vjp(table, ids, np.ones((2, 2)), padding_id=100)
    assert dtable[3].sum() == 2
    assert dtable[100].sum() == 0


@pytest.mark.parametrize(
    ("table", "ids", "padding_id", "message"),
    [
        ((V, D), [0, -1], None, r"ids must lie in \[0, 5\) \(5 rows of table\), got -1"),
        ((V, D), [0, V], None, r"ids must lie in \[0, 5\) .* got 5"),
        ((V, D), [-1, -2], -1, r"ids must lie in \[0, 5\) or -1 .* got -2"),
        ((0, D), [0], None, r"ids must lie in \[0, 0\)"),
        ((V,), [0], None, "table must have shape"),
        ((1, V, D), [0], None, "table must have shape"),
    ],
)
def test_bad_ids_and_shapes_are_named(table, ids, padding_id, message) -> None:
    table = np.ones(table)
    with pytest.raises(ValueError, match=message):
        embedding(table, ids, padding_id=padding_id)
    with pytest.raises(ValueError, match=message):
        embedding_vjp(table, ids, np.ones((len(ids), D)), padding_id=padding_id)


@pytest.mark.parametrize("ids", [[0.0, 1.0], [True], ["a"], []])
def test_ids_must_be_integers(ids) -> None:
    with pytest.raises(TypeError, match="ids must be integers"):
        embedding(np.ones((V, D)), ids)


@pytest.mark.parametrize("padding_id", [1.0, True, "1"])
def test_padding_id_must_be_an_integer(padding_id) -> None:
    with pytest.raises(TypeError, match="padding_id must be an integer"):
        embedding(np.ones((V, D)), [0], padding_id=padding_id)


@pytest.mark.parametrize("dy", [(2,), (D,), (2, D + 1), (1, D)])
def test_dy_must_have_the_shape_of_y(dy) -> None:
    with pytest.raises(ValueError, match="dy has shape"):
        embedding_vjp(np.ones((V, D)), [0, 1], np.ones(dy))

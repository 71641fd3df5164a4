import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.linear import linear, linear_vjp
from reference.numerical import central_difference
from reference.window import window_lookup, window_lookup_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

V, D = 6, 2


def twin(table, ids, *, padding_id=None):
    def word(i):
        return jnp.zeros(table.shape[1]) if i == padding_id else table[int(i)]

    if np.size(ids) == 0:
        return jnp.zeros((*ids.shape[:-1], ids.shape[-1] * table.shape[1])) + 0.0 * table.sum()
    windows = [jnp.concatenate([word(i) for i in window]) for window in ids.reshape(-1, ids.shape[-1])]
    return jnp.stack(windows).reshape(*ids.shape[:-1], -1)


@pytest.mark.parametrize("padding_id", [None, -1, 3, V])
@pytest.mark.parametrize("shape", [(1,), (3,), (5,), (4, 3), (2, 2, 3), (0, 3)])
def test_opinions_agree(shape, padding_id) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, V, shape)
    if padding_id is not None:
        ids = np.where(rng.random(shape) < 0.3, padding_id, ids)
    args, dy = (normal(1, V, D), ids), normal(2, *shape[:-1], shape[-1] * D)
    check_against_autodiff(window_lookup, window_lookup_vjp, twin, args, (0,), dy, padding_id=padding_id)
    check_against_differences(window_lookup, window_lookup_vjp, args, (0,), dy, padding_id=padding_id)


@settings(max_examples=10)
@given(st.lists(st.integers(-1, V - 1), min_size=3, max_size=3), st.data())
def test_values(ids, data) -> None:
    args, dy = (data.draw(values((V, D))), np.array(ids)), data.draw(values((3 * D,)))
    check_against_autodiff(window_lookup, window_lookup_vjp, twin, args, (0,), dy, padding_id=-1)


def test_a_window_is_its_words_one_after_the_other() -> None:
    table = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(
        window_lookup(table, [[5, 0, -1], [1, 1, 2]], padding_id=-1),
        [[10, 11, 0, 1, 0, 0], [2, 3, 2, 3, 4, 5]],
    )


def test_pieces_go_to_their_words_and_add() -> None:
    # Word 4 stands first and last: it gets the first piece and the third.
    dtable, dids = window_lookup_vjp(np.zeros((V, D)), [4, 0, 4], [1.0, 2.0, 10.0, 20.0, 100.0, 200.0])
    expected = np.zeros((V, D))
    expected[4] = [101, 202]
    expected[0] = [10, 20]
    np.testing.assert_array_equal(dtable, expected)
    assert dids is None


@given(st.integers(0, 9))
def test_behind_a_linear_layer_the_window_receives_W_transposed_delta(seed) -> None:
    table, W, b, u = normal(seed, V, D), normal(1, 4, 3 * D), normal(2, 4), normal(3, 4)
    ids = np.random.default_rng(seed).integers(0, V, 3)
    delta_window, _, _ = linear_vjp(window_lookup(table, ids), W, b, u)
    np.testing.assert_allclose(delta_window, W.T @ u)
    dtable, _ = window_lookup_vjp(table, ids, delta_window)
    numerical, _ = central_difference(lambda L: u @ linear(window_lookup(L, ids), W, b), table, 1e-5)
    np.testing.assert_allclose(dtable, numerical, atol=1e-8)


@pytest.mark.parametrize(
    ("table", "ids", "message"),
    [
        ((V, D), [[0, 1]], r"ids must hold windows of odd length 2m\+1, got shape \(1, 2\)"),
        ((V, D), np.zeros((3, 0), int), "ids must hold windows of odd length"),
        ((V, D), 0, "ids must have an axis"),
        ((V, D), [[0, 1, V]], r"ids must lie in \[0, 6\)"),
        ((V, D), [[0, 1, -1]], "ids must lie in .* got -1"),
        ((V,), [[0, 1, 2]], "table must have shape"),
    ],
)
def test_bad_input_is_named(table, ids, message) -> None:
    with pytest.raises(ValueError, match=message):
        window_lookup(np.ones(table), ids)
    with pytest.raises(ValueError, match=message):
        window_lookup_vjp(np.ones(table), ids, np.ones((1, 3 * D)))


def test_ids_must_be_integers() -> None:
    with pytest.raises(TypeError, match="ids must be integers"):
        window_lookup(np.ones((V, D)), [0.0, 1.0, 2.0])


@pytest.mark.parametrize("dy", [(3, D), (3 * D + 1,), (1, 3 * D), (D,)])
def test_dy_must_have_the_shape_of_the_window(dy) -> None:
    with pytest.raises(ValueError, match="dy has shape"):
        window_lookup_vjp(np.ones((V, D)), [0, 1, 2], np.ones(dy))

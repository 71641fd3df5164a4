import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.attention import attention, attention_vjp
from reference.dropout import dropout
from reference.softmax_cross_entropy import softmax, softmax_jacobian
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

N, H, D = 2, 4, 3


def twin(query, key, value, mask, dropout_key, *, dropout_rate=0.0, scale=None):
    scale = 1.0 / np.sqrt(query.shape[-1]) if scale is None else scale
    scores = scale * jnp.einsum("...tnh,...snh->...nts", query, key)
    allowed = jnp.broadcast_to(True if mask is None else jnp.asarray(mask), scores.shape)
    # Softmax of a row without -inf; rows that are all masked are set to 0 behind it.
    p = jax.nn.softmax(jnp.where(allowed, scores, -1e30), axis=-1) if scores.shape[-1] else scores
    p = jnp.where(allowed, p, 0.0)
    if dropout_rate == 1.0:
        p = 0.0 * p
    elif dropout_rate > 0.0:
        bits = jax.random.bits(jax.random.key(dropout_key), p.shape, "uint32")
        p = jnp.where(bits >= jnp.uint32(round(dropout_rate * 2**32)), p / (1.0 - dropout_rate), 0.0)
    return jnp.einsum("...nts,...snd->...tnd", p, value)


def arguments(lead=(), T=3, S=5, seed=0):
    return normal(seed, *lead, T, N, H), normal(seed + 1, *lead, S, N, H), normal(seed + 2, *lead, S, N, D)


def random_mask(*shape):
    return np.random.default_rng(3).random(shape) < 0.6


@pytest.mark.parametrize(
    ("lead", "T", "S", "masked", "rate", "scale"),
    [
        ((), 3, 5, False, 0.0, None),
        ((), 3, 5, True, 0.0, 0.3),
        ((2,), 4, 4, True, 0.4, -0.7),
        ((2, 2), 1, 3, False, 0.4, None),
        ((), 2, 1, True, 0.0, None),
        ((), 0, 3, True, 0.4, None),
        ((2,), 3, 0, True, 0.4, None),
        ((0,), 2, 2, False, 0.0, None),
    ],
)
def test_opinions_agree(lead, T, S, masked, rate, scale) -> None:
    args = (*arguments(lead, T, S), random_mask(*lead, N, T, S) if masked else None, 11)
    keywords, dy = {"dropout_rate": rate, "scale": scale}, normal(9, *lead, T, N, D)
    check_against_autodiff(attention, attention_vjp, twin, args, (0, 1, 2), dy, **keywords)
    check_against_differences(attention, attention_vjp, args, (0, 1, 2), dy, **keywords)


@pytest.mark.parametrize("mask", [(5,), (3, 1), (2, 1, 1, 5), (), (2, 1, 1, 1)])
def test_masks_broadcast(mask) -> None:
    args, dy = (*arguments((2,)), random_mask(*mask), None), normal(9, 2, 3, N, D)
    check_against_autodiff(attention, attention_vjp, twin, args, (0, 1, 2), dy)


@pytest.mark.parametrize("masked", [False, True])
def test_it_is_jaxs(masked) -> None:
    def of_jax(query, key, value, mask, dropout_key):
        return jax.nn.dot_product_attention(query, key, value, mask=mask, implementation="xla")

    query, key, _ = arguments((2,))
    # JAX wants values as wide as the keys, and every query something to attend to.
    mask = random_mask(2, N, 3, 5) | (np.arange(5) == 1) if masked else None
    args = (query, key, normal(2, 2, 5, N, H), mask, None)
    dy = normal(9, 2, 3, N, H)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        # Its softmax is in float32.
        check_against_autodiff(attention, attention_vjp, of_jax, args, (0, 1, 2), dy, rtol=1e-5, atol=1e-6)


@settings(max_examples=10)
@given(
    values((2, 1, 2), 10.0),
    values((3, 1, 2), 10.0),
    values((3, 1, 2)),
    values((2, 1, 2)),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_values(query, key, value, dy, mask) -> None:
    args = (query, key, value, np.array(mask).reshape(2, 3), None)
    check_against_autodiff(attention, attention_vjp, twin, args, (0, 1, 2), dy, rtol=1e-10, atol=1e-11)


def test_a_head_on_paper() -> None:
    (Q, K, V), dY = (array[:, 0] for array in arguments()), normal(9, 3, D)
    P = softmax(0.5 * Q @ K.T)
    np.testing.assert_allclose(attention(Q[:, None], K[:, None], V[:, None])[:, 0], P @ V, rtol=1e-13)
    dZ = np.einsum("tij,tj->ti", softmax_jacobian(0.5 * Q @ K.T), dY @ V.T)
    dquery, dkey, dvalue, dmask, ddropout_key = attention_vjp(
        Q[:, None], K[:, None], V[:, None], None, None, dY[:, None]
    )
    np.testing.assert_allclose(dquery[:, 0], 0.5 * dZ @ K, rtol=1e-12)
    np.testing.assert_allclose(dkey[:, 0], 0.5 * dZ.T @ Q, rtol=1e-12)
    np.testing.assert_allclose(dvalue[:, 0], P.T @ dY, rtol=1e-12)
    assert dmask is None
    assert ddropout_key is None


def test_by_hand() -> None:
    # Scores 0 and log 3: weights ¼ and ¾ of the values 8 and 4.
    query, key, value = [[[1.0]]], [[[0.0]], [[np.log(3.0)]]], [[[8.0]], [[4.0]]]
    np.testing.assert_allclose(attention(query, key, value), [[[5.0]]])
    dquery, dkey, dvalue, _, _ = attention_vjp(query, key, value, None, None, [[[1.0]]])
    # dz = (¼ (8 - 5), ¾ (4 - 5)).
    np.testing.assert_allclose(dquery, [[[-0.75 * np.log(3.0)]]])
    np.testing.assert_allclose(dkey, [[[0.75]], [[-0.75]]])
    np.testing.assert_allclose(dvalue, [[[0.25]], [[0.75]]])
    np.testing.assert_allclose(attention(query, key, value, scale=0.0), [[[6.0]]])


def test_a_query_with_nothing_to_attend_to() -> None:
    args, dy = arguments(), normal(9, 3, N, D)
    mask = np.ones((N, 3, 5), bool)
    mask[1, 2] = False
    y = attention(*args, mask)
    np.testing.assert_array_equal(y[2, 1], 0.0)
    assert y[2, 0].all()
    dquery, dkey, dvalue, _, _ = attention_vjp(*args, mask, None, dy)
    np.testing.assert_array_equal(dquery[2, 1], 0.0)
    assert dquery[2, 0].all()
    # Keys and values receive as if that query's upstream gradient were 0.
    dy[2, 1] = 0.0
    _, dkey_without, dvalue_without, _, _ = attention_vjp(*args, None, None, dy)
    np.testing.assert_allclose(dkey, dkey_without, rtol=1e-12)
    np.testing.assert_allclose(dvalue, dvalue_without, rtol=1e-12)


def test_what_is_masked_everywhere_is_not_read() -> None:
    query, key, value = arguments((2,), 4, 5)
    lengths = np.array([[3, 2], [4, 5]])
    reads = np.arange(4) < lengths[:, :1]
    is_read = np.arange(5) < lengths[:, 1:]
    mask = (reads[:, :, None] & is_read[:, None, :])[:, None]
    padded = [query.copy(), key.copy(), value.copy()]
    padded[0][~reads] = np.nan
    padded[1][~is_read] = np.inf
    padded[2][~is_read] = np.nan
    dy = normal(9, 2, 4, N, D)
    np.testing.assert_array_equal(attention(*padded, mask), attention(query, key, value, mask))
    ours, theirs = attention_vjp(*padded, mask, None, dy), attention_vjp(query, key, value, mask, None, dy)
    for k, unread in enumerate((~reads, ~is_read, ~is_read)):
        np.testing.assert_array_equal(ours[k], theirs[k])
        np.testing.assert_array_equal(ours[k][unread], 0.0)


def test_scores_of_any_size() -> None:
    query, key, value = np.array([[[1e2]], [[-1e2]]]), np.array([[[1e2]], [[-1e2]], [[0.0]]]), arguments()[2]
    value, dy = value[:3, :1], normal(9, 2, 1, D)
    # Scores of ±1e4: each query takes its winner alone, and no gradient gets to a score.
    np.testing.assert_array_equal(attention(query, key, value), value[[0, 1]])
    dquery, dkey, dvalue, _, _ = attention_vjp(query, key, value, None, None, dy)
    np.testing.assert_array_equal(dquery, 0.0)
    np.testing.assert_array_equal(dkey, 0.0)
    np.testing.assert_array_equal(dvalue, [dy[0], dy[1], np.zeros((1, D))])


@pytest.mark.parametrize("score", [5.0, 40.0, 300.0, -40.0, -300.0])
def test_the_winners_gradient_does_not_cancel(score) -> None:
    # Two keys: dz = ±p (1 - p) (v_1 - v_0), and p (1 - p) = e / (1 + e)² with e = e^-|score|.
    e = np.exp(-abs(score))
    key, value = [[[score]], [[0.0]]], [[[0.3]], [[0.7]]]
    _, dkey, _, _, _ = attention_vjp([[[1.0]]], key, value, None, None, [[[1.0]]])
    np.testing.assert_allclose(dkey[:, 0, 0], e / (1 + e) ** 2 * np.array([-0.4, 0.4]), rtol=1e-14)


def test_dropout_thins_the_weights_with_its_own_mask() -> None:
    query, key, value = arguments((2,))
    weights = softmax(np.einsum("btnh,bsnh->bnts", query, key) / 2)
    thinned = dropout(weights, 7, 0.5)
    expected = np.einsum("bnts,bsnd->btnd", thinned, value)
    np.testing.assert_allclose(attention(query, key, value, None, 7, dropout_rate=0.5), expected, rtol=1e-12)
    words = np.array([0, 7], np.uint32)
    np.testing.assert_allclose(attention(query, key, value, None, words, dropout_rate=0.5), expected)
    dy = normal(9, 2, 3, N, D)
    _, _, dvalue, _, _ = attention_vjp(query, key, value, None, 7, dy, dropout_rate=0.5)
    np.testing.assert_allclose(dvalue, np.einsum("bnts,btnd->bsnd", thinned, dy), rtol=1e-12)


def test_no_key_is_needed_where_no_mask_is_drawn() -> None:
    args, dy = arguments(), normal(9, 3, N, D)
    np.testing.assert_array_equal(attention(*args), attention(*args, dropout_key=5))
    np.testing.assert_array_equal(attention(*args, dropout_rate=1.0), 0.0)
    for gradient in attention_vjp(*args, None, None, dy, dropout_rate=1.0)[:3]:
        np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize(
    ("dropout_key", "rate", "error", "message"),
    [
        (None, 0.5, ValueError, "^dropout_key must be a seed or two words of 32 bits, got None"),
        ([1, 2, 3], 0.5, ValueError, r"^dropout_key must be a seed or two words .* got shape \(3,\)"),
        (-1, 0.5, ValueError, "^dropout_key as a seed must lie in"),
        (1.5, 0.5, TypeError, "^dropout_key must be integers"),
        (1, 1.5, ValueError, r"^dropout_rate must lie in \[0, 1\], got 1.5"),
        (1, -0.1, ValueError, r"^dropout_rate must lie in \[0, 1\], got -0.1"),
        (None, np.nan, ValueError, r"^dropout_rate must lie in \[0, 1\], got nan"),
    ],
)
def test_bad_dropout_is_named(dropout_key, rate, error, message) -> None:
    with pytest.raises(error, match=message):
        attention(*arguments(), None, dropout_key, dropout_rate=rate)
    with pytest.raises(error, match=message):
        attention_vjp(*arguments(), None, dropout_key, np.ones((3, N, D)), dropout_rate=rate)


@pytest.mark.parametrize(
    ("query", "key", "value", "mask", "message"),
    [
        (
            (3, 4),
            (5, 2, 4),
            (5, 2, 3),
            None,
            r"query must have shape \(..., steps, heads, features\), got \(3, 4\)",
        ),
        ((3, 2, 4), (4,), (5, 2, 3), None, "key must have shape"),
        ((3, 2, 4), (5, 2, 4), (2, 3), None, "value must have shape"),
        (
            (3, 2, 0),
            (5, 2, 0),
            (5, 2, 3),
            None,
            r"query must end in one feature or more, got shape \(3, 2, 0\)",
        ),
        (
            (3, 2, 4),
            (5, 2, 3),
            (5, 2, 3),
            None,
            r"key has shape \(5, 2, 3\) but query has shape \(3, 2, 4\), so key must be \(5, 2, 4\)",
        ),
        ((3, 2, 4), (5, 1, 4), (5, 1, 3), None, "key has shape .* so key must be"),
        ((2, 3, 2, 4), (5, 2, 4), (5, 2, 3), None, "key has shape .* so key must be"),
        ((3, 2, 4), (5, 2, 4), (4, 2, 3), None, r"value has shape \(4, 2, 3\) but key has shape \(5, 2, 4\)"),
        ((3, 2, 4), (5, 2, 4), (5, 1, 3), None, "value has shape .* all but the last axis"),
        (
            (3, 2, 4),
            (5, 2, 4),
            (5, 2, 3),
            (3,),
            r"mask has shape \(3,\), which does not broadcast to .* \(2, 3, 5\)",
        ),
        ((3, 2, 4), (5, 2, 4), (5, 2, 3), (1, 2, 3, 5), "mask has shape"),
    ],
)
def test_bad_shapes_are_named(query, key, value, mask, message) -> None:
    args = np.ones(query), np.ones(key), np.ones(value), None if mask is None else np.ones(mask, bool)
    with pytest.raises(ValueError, match=message):
        attention(*args)
    with pytest.raises(ValueError, match=message):
        attention_vjp(*args, None, np.ones((3, 2, 3)))


def test_mask_must_be_bool_and_scale_finite() -> None:
    args, dy = arguments(), np.ones((3, N, D))
    for mask in (np.ones((3, 5)), np.ones((3, 5), int)):
        with pytest.raises(TypeError, match="mask must be bool, got dtype"):
            attention(*args, mask)
        with pytest.raises(TypeError, match="mask must be bool, got dtype"):
            attention_vjp(*args, mask, None, dy)
    for scale in (np.nan, np.inf):
        with pytest.raises(ValueError, match="scale must be a finite number, got"):
            attention(*args, scale=scale)
        with pytest.raises(ValueError, match="scale must be a finite number, got"):
            attention_vjp(*args, None, None, dy, scale=scale)


@pytest.mark.parametrize("dy", [(3, N, H), (N, 3, D), (1, 3, N, D), (N, D), (5, N, D)])
def test_dy_must_have_the_shape_of_y(dy) -> None:
    with pytest.raises(ValueError, match=r"dy has shape .* but y has shape \(3, 2, 3\)"):
        attention_vjp(*arguments(), None, None, np.ones(dy))

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.dropout import _random_bits, _threefry_2x32, dropout, dropout_vjp, keep_mask
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values


def jax_bits(seed, shape):
    return np.asarray(jax.random.bits(jax.random.key(seed), shape, "uint32"))


def twin(x, key, rate, *, deterministic=False):
    if deterministic or rate in (0.0, 1.0):
        return x * (1.0 if deterministic else 1.0 - rate)
    bits = jax.random.bits(jax.random.key(key), x.shape, "uint32")
    return jnp.where(bits >= jnp.uint32(round(rate * 2**32)), x / (1.0 - rate), 0.0)


def test_threefry_known_answers() -> None:
    # The test vectors that come with Random123, the authors' implementation.
    ones = 0xFFFFFFFF
    for key, counter, expected in [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((ones, ones), (ones, ones), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ]:
        words = _threefry_2x32(key, *(np.array([word], np.uint32) for word in counter))
        assert tuple(int(word[0]) for word in words) == expected


@settings(max_examples=15)
@given(st.integers(0, 2**31 - 1), st.sampled_from([(), (1,), (7,), (3, 5), (2, 0, 3), (2, 3, 4)]))
def test_bits_are_jaxs(seed, shape) -> None:
    with jax.threefry_partitionable(True):
        np.testing.assert_array_equal(_random_bits((0, seed), shape), jax_bits(seed, shape))


@given(st.integers(0, 2**63 - 1))
@settings(max_examples=15)
def test_wide_seeds_and_raw_words_are_jaxs(seed) -> None:
    with jax.enable_x64(True):
        key = jax.random.key(seed)
        words = np.asarray(jax.random.key_data(key))
        bits = np.asarray(jax.random.bits(key, (5,), "uint32"))
    np.testing.assert_array_equal(keep_mask(seed, 0.5, (5,)), bits >= 2**31)
    np.testing.assert_array_equal(keep_mask(words, 0.5, (5,)), bits >= 2**31)
    np.testing.assert_array_equal(keep_mask([seed >> 32, seed & 0xFFFFFFFF], 0.5, (5,)), bits >= 2**31)


@pytest.mark.parametrize("rate", [0.0, 1e-9, 0.1, 0.5, 1 / 3, 0.9, 1.0])
def test_an_entry_is_kept_where_its_bits_reach_the_threshold(rate) -> None:
    bits = jax_bits(7, (1000,)).astype(object)
    expected = np.array([int(word) >= round(rate * 2**32) for word in bits])
    np.testing.assert_array_equal(keep_mask(7, rate, (1000,)), expected)
    assert expected.mean() == pytest.approx(1.0 - rate, abs=0.05)


def test_bits_at_the_threshold_are_kept() -> None:
    bits = jax_bits(7, (8,))
    for place, word in enumerate(bits):
        # The rate whose threshold is this very word: kept at it, dropped one above.
        assert keep_mask(7, int(word) / 2**32, (8,))[place]
        assert not keep_mask(7, (int(word) + 1) / 2**32, (8,))[place]
        # Between the two the threshold is the nearer one.
        assert keep_mask(7, (int(word) + 0.25) / 2**32, (8,))[place]
        assert not keep_mask(7, (int(word) + 0.75) / 2**32, (8,))[place]


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(), (6,), (3, 4), (0, 2)])
@pytest.mark.parametrize("deterministic", [False, True])
def test_opinions_agree(rate, shape, deterministic) -> None:
    args, dy = (normal(0, *shape), 11, rate), normal(1, *shape)
    check_against_autodiff(dropout, dropout_vjp, twin, args, (0,), dy, deterministic=deterministic)
    check_against_differences(dropout, dropout_vjp, args, (0,), dy, deterministic=deterministic)


@settings(max_examples=15)
@given(values((8,)), values((8,)), st.floats(0.01, 0.99), st.integers(0, 100))
def test_values(x, dy, rate, seed) -> None:
    check_against_autodiff(dropout, dropout_vjp, twin, (x, seed, rate), (0,), dy)


def test_the_mean_is_kept() -> None:
    y = dropout(np.full(100_000, 2.0), 3, 0.4)
    assert set(np.unique(y)) == {0.0, 2.0 / 0.6}
    assert y.mean() == pytest.approx(2.0, abs=0.02)


def test_forward_and_backward_share_the_mask_of_the_key() -> None:
    x = np.ones(1000)
    dx, dkey, drate = dropout_vjp(x, 5, 0.5, x)
    np.testing.assert_array_equal(dx, dropout(x, 5, 0.5))
    assert dkey is None
    assert drate is None
    assert 0.4 < np.mean(dropout(x, 5, 0.5) != dropout(x, 6, 0.5)) < 0.6


@pytest.mark.parametrize(("rate", "deterministic"), [(0.0, False), (0.7, True), (1.0, True)])
def test_nothing_is_dropped_without_a_key(rate, deterministic) -> None:
    x = normal(0, 5)
    np.testing.assert_array_equal(dropout(x, None, rate, deterministic=deterministic), x)
    dx, _, _ = dropout_vjp(x, None, rate, 2 * x, deterministic=deterministic)
    np.testing.assert_array_equal(dx, 2 * x)


def test_rate_one_drops_everything() -> None:
    x = np.array([1.0, np.nan, np.inf])
    np.testing.assert_array_equal(dropout(x, None, 1.0), np.zeros(3))
    np.testing.assert_array_equal(dropout_vjp(x, 3, 1.0, x)[0], np.zeros(3))
    assert not keep_mask(3, 1.0, (100,)).any()


def test_a_dropped_nan_is_zero() -> None:
    y = dropout(np.full(100, np.nan), 3, 0.5)
    np.testing.assert_array_equal(np.isnan(y), keep_mask(3, 0.5, (100,)))
    assert (y[~np.isnan(y)] == 0.0).all()


@pytest.mark.parametrize("rate", [-0.1, 1.1, np.nan, np.inf])
def test_rate_must_be_a_probability(rate) -> None:
    for call in (
        lambda: dropout(np.ones(2), 0, rate),
        lambda: dropout(np.ones(2), 0, rate, deterministic=True),
        lambda: dropout_vjp(np.ones(2), 0, rate, np.ones(2)),
        lambda: keep_mask(0, rate, (2,)),
    ):
        with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\]"):
            call()


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (None, ValueError, "key must be a seed or two words"),
        (-1, ValueError, "key as a seed must lie in"),
        (2**64, ValueError, "key as a seed must lie in"),
        ([1, 2, 3], ValueError, r"key must be a seed or two words of 32 bits, got shape \(3,\)"),
        (np.array(3), ValueError, "key must be a seed or two words"),
        ([-1, 0], ValueError, "key must hold words"),
        ([0, 2**32], ValueError, "key must hold words"),
        (1.5, TypeError, "key must be integers"),
        ([0.0, 1.0], TypeError, "key must be integers"),
        (True, TypeError, "key must be integers"),
    ],
)
def test_bad_keys_are_named(key, error, message) -> None:
    with pytest.raises(error, match=message):
        dropout(np.ones(2), key, 0.5)
    with pytest.raises(error, match=message):
        dropout_vjp(np.ones(2), key, 0.5, np.ones(2))


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_dy_must_have_the_shape_of_x(rate) -> None:
    with pytest.raises(ValueError, match="dy has shape"):
        dropout_vjp(np.ones((2, 3)), 0, rate, np.ones(3))

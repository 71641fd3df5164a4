"""Attention: masks, queries that look nowhere, saturation, dropout, and what is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import ops
from jaxbackprop.ops import plain

B, T, S, N, H, D = 2, 3, 5, 2, 4, 6
WEIGHTS = (B, N, T, S)


def arguments(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"query": (B, T, N, H), "key": (B, S, N, H), "value": (B, S, N, D)}
    return {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


def gradients(function, args, **rest):
    y, pull = jax.vjp(lambda args: function(**args, **rest), args)
    return y, pull(jnp.asarray(np.random.default_rng(1).normal(size=y.shape), y.dtype))[0]


def assert_equal_gradients(got, want, **tolerance):
    for name in want:
        np.testing.assert_allclose(got[name], want[name], err_msg=name, **tolerance)


def test_equals_a_loop_in_numpy():
    args = arguments()
    q, k, v = (np.asarray(a, np.float64) for a in args.values())
    want = np.zeros((B, T, N, D))
    for i, t, n in np.ndindex(B, T, N):
        e = np.exp(k[i, :, n] @ q[i, t, n] / np.sqrt(H))
        want[i, t, n] = e / e.sum() @ v[i, :, n]
    np.testing.assert_allclose(ops.attention(**args), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(S,), (T, S), (T, 1), (N, 1, S), (B, 1, 1, S), WEIGHTS])
def test_every_shape_of_mask_that_broadcasts(shape):
    args, mask = arguments(), np.random.default_rng(2).random(shape) < 0.6
    y, got = gradients(ops.attention, args, mask=mask)
    want_y, want = gradients(plain.attention, args, mask=np.broadcast_to(mask, WEIGHTS))
    np.testing.assert_allclose(y, want_y, rtol=1e-5, atol=1e-6)
    assert_equal_gradients(got, want, rtol=1e-4, atol=1e-6)
    traced = jax.jit(lambda args, mask: ops.attention(**args, mask=mask))(args, mask)
    np.testing.assert_allclose(traced, y, rtol=1e-5, atol=1e-6)


def test_masked_keys_are_as_good_as_absent():
    args, mask = arguments(), np.array([True, False, True, True, False])
    y, got = gradients(ops.attention, args, mask=mask)
    fewer = {name: a if name == "query" else a[:, mask] for name, a in args.items()}
    want_y, want = gradients(ops.attention, fewer)
    np.testing.assert_allclose(y, want_y, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(got["query"], want["query"], rtol=1e-5, atol=1e-6)
    for name in ("key", "value"):
        np.testing.assert_allclose(got[name][:, mask], want[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(got[name][:, ~mask], 0)


def test_a_query_with_nothing_to_attend_to_gives_and_passes_nothing():
    args, mask = arguments(), np.ones(WEIGHTS, np.bool_)
    mask[0, :, 1] = False
    y, got = gradients(ops.attention, args, mask=mask)
    np.testing.assert_array_equal(y[0, 1], 0)
    np.testing.assert_array_equal(got["query"][0, 1], 0)
    # Without that query the others get and pass the same.
    want_y, want = gradients(ops.attention, args)
    np.testing.assert_allclose(y[1], want_y[1], rtol=1e-6)
    np.testing.assert_allclose(got["query"][1], want["query"][1], rtol=1e-5, atol=1e-6)
    second = jax.hessian(lambda q: jnp.sum(ops.attention(**args | {"query": q}, mask=mask) ** 2))
    assert np.isfinite(second(args["query"])).all()


def test_padding_may_hold_anything():
    args = arguments()
    attends, attended = np.array([True, True, False]), np.array([True, False, True, True, False])
    mask = attends[:, None] & attended
    padded = {
        name: jnp.where(jnp.asarray(attends if name == "query" else attended)[:, None, None], a, jnp.nan)
        for name, a in args.items()
    }
    y, got = gradients(ops.attention, padded, mask=mask)
    want_y, want = gradients(ops.attention, args, mask=mask)
    np.testing.assert_array_equal(y, want_y)
    assert_equal_gradients(got, want, rtol=0)


def test_no_keys_and_no_queries():
    args = arguments()
    none = {"query": args["query"], "key": args["key"][:, :0], "value": args["value"][:, :0]}
    y, got = gradients(ops.attention, none)
    np.testing.assert_array_equal(y, np.zeros((B, T, N, D)))
    np.testing.assert_array_equal(got["query"], np.zeros((B, T, N, H)))
    y, got = gradients(ops.attention, args | {"query": args["query"][:, :0]})
    assert y.shape == (B, 0, N, D)
    np.testing.assert_array_equal(got["key"], np.zeros((B, S, N, H)))


def test_scores_of_ten_thousand():
    query, value = jnp.full((1, 1, 1), 1e4), jnp.asarray([[[1.0]], [[2.0]], [[4.0]]])
    for keys, winner in (([1.0, 0.0, -1.0], 0), ([-1.0, -2.0, -1.0], None)):
        key = jnp.asarray(keys)[:, None, None]
        y, got = gradients(ops.attention, {"query": query, "key": key, "value": value}, scale=1.0)
        np.testing.assert_allclose(y[0, 0, 0], 1.0 if winner == 0 else 2.5)
        assert all(np.isfinite(g).all() for g in got.values())


def test_the_gradient_does_not_cancel_where_one_key_takes_almost_all():
    # p = σ(20) of the first key; d y/d score = p (1 - p) (v_0 - v_1) is 2e-9, below the rounding of p.
    key, value = jnp.asarray([[[20.0]], [[0.0]]]), jnp.asarray([[[3.0]], [[1.0]]])
    dquery = jax.grad(lambda q: ops.attention(q, key, value, scale=1.0)[0, 0, 0])(jnp.ones((1, 1, 1)))
    p = 1 / (1 + np.exp(-20.0))
    np.testing.assert_allclose(dquery[0, 0, 0], 20 * p * (1 / (1 + np.exp(20.0))) * 2, rtol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_dropout_thins_the_weights_as_dropout_does(masked):
    args, key = arguments(), jax.random.key(3)
    mask = np.random.default_rng(2).random(WEIGHTS) < 0.8 if masked else None

    def composed(query, key_, value):
        scores = jnp.einsum("btnh,bsnh->bnts", query, key_) / np.sqrt(H)
        scores = scores if mask is None else jnp.where(mask, scores, -jnp.inf)
        return jnp.einsum("bnts,bsnd->btnd", ops.dropout(ops.softmax(scores), key, 0.4), value)

    y, got = gradients(ops.attention, args, mask=mask, dropout_key=key, dropout_rate=0.4)
    want_y, pull = jax.vjp(composed, *args.values())
    want = pull(jnp.asarray(np.random.default_rng(1).normal(size=y.shape), y.dtype))
    np.testing.assert_allclose(y, want_y, rtol=1e-5, atol=1e-6)
    assert_equal_gradients(got, dict(zip(args, want, strict=True)), rtol=1e-4, atol=1e-6)
    words = ops.attention(**args, mask=mask, dropout_key=jax.random.key_data(key), dropout_rate=0.4)
    np.testing.assert_array_equal(words, y)


def test_dropping_all_and_dropping_nothing():
    args = arguments()
    y, got = gradients(ops.attention, args, dropout_rate=1.0)
    assert not y.any()
    assert not any(g.any() for g in got.values())
    kept = ops.attention(**args, dropout_key=jax.random.key(0), dropout_rate=0.0)
    np.testing.assert_array_equal(kept, ops.attention(**args))
    np.testing.assert_array_equal(plain.attention(**args, dropout_rate=1.0), y)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_two_numbers_a_query_are_kept_and_not_the_weights(rate):
    args, key = arguments(), jax.random.key_data(jax.random.key(0))
    pull = jax.vjp(lambda args: ops.attention(**args, dropout_key=key, dropout_rate=rate), args)[1]
    kept = sorted(np.shape(leaf) for leaf in jax.tree.leaves(pull))
    want = [a.shape for a in args.values()] + 2 * [(B, N, T, 1)]
    assert kept == sorted(want + ([()] if rate else []))


def test_half_precision_adds_up_in_float32():
    # 4096 equal weights of 2^-12: a sum in bfloat16 would stop at 256 of them.
    zeros, ones = jnp.zeros((4096, 1, 1), jnp.bfloat16), jnp.ones((4096, 1, 1), jnp.bfloat16)
    y, pull = jax.vjp(lambda v: ops.attention(zeros[:1], zeros, v), ones)
    assert y.dtype == jnp.bfloat16
    assert float(y[0, 0, 0]) == 1
    assert float(jnp.sum(pull(y)[0].astype(jnp.float32))) == 1


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"query": jnp.ones((3, 4))}, ValueError, r"query must have shape \(..., steps, heads, features\)"),
        ({"query": jnp.ones((B, T, N, 0))}, ValueError, "query must end in at least one feature"),
        (
            {"key": jnp.ones((B, S, N, 3))},
            ValueError,
            r"key must have shape \(2, 5, 2, 4\) for query of .*, got \(2, 5, 2, 3\)",
        ),
        (
            {"value": jnp.ones((B, 4, N, D))},
            ValueError,
            r"value must have shape \(2, 5, 2, 6\) for key of .*, got \(2, 4, 2, 6\)",
        ),
        ({"mask": jnp.ones((T, S))}, TypeError, "mask must be bool, got dtype float32"),
        (
            {"mask": np.ones((S, T), np.bool_)},
            ValueError,
            r"mask of shape \(5, 3\) does not broadcast to the weights' shape \(2, 2, 3, 5\)",
        ),
        ({"dropout_rate": 1.5}, ValueError, r"dropout_rate must lie in \[0, 1\], got 1.5"),
        ({"dropout_rate": 0.5}, TypeError, "dropout_key must be a JAX random key, got NoneType"),
        ({"scale": np.inf}, ValueError, "scale must be finite, got inf"),
        ({"value": jnp.ones((B, S, N, D), jnp.int32)}, TypeError, "value must be floating-point"),
    ],
)
def test_bad_input_names_the_argument(changed, error, message):
    with pytest.raises(error, match=message):
        ops.attention(**arguments() | changed)

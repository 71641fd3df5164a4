"""Batch normalisation: which rows count, digits far from 0, batches in many places, statistics as results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from jaxbackprop import ops
from jaxbackprop.ops import plain

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 6, 3))
SCALE, BIAS = RNG.uniform(0.5, 2, size=3), RNG.normal(size=3)
# Another number of rows in every place.
MASK = np.arange(6) < np.array([6, 1, 3, 5, 2, 4, 6, 1])[:, None]
DY = (RNG.normal(size=X.shape), RNG.normal(size=3), RNG.normal(size=3))


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@settings(max_examples=6)  # each shape compiles
@given(st.lists(st.integers(1, 4), max_size=3), st.integers(0, 3), st.booleans(), st.integers(0, 99))
def test_statistics_are_those_of_the_rows_that_count(leading, c, masked, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(*leading, c))
    mask = np.ones(leading, bool)
    if masked:
        mask = rng.random(leading) < 0.7
        mask.flat[0] = True
    with jax.enable_x64(True):
        normalised = jax.jit(lambda x, mask: ops.batch_norm(x, mask=mask, epsilon=0.5))
        y, mean, var = normalised(x, mask if masked else None)
    np.testing.assert_allclose(mean, x[mask].mean(0), atol=1e-14)
    np.testing.assert_allclose(var, x[mask].var(0), atol=1e-14)
    np.testing.assert_allclose(y, (x - x[mask].mean(0)) / np.sqrt(x[mask].var(0) + 0.5), atol=1e-13)


def test_what_rows_that_do_not_count_hold_is_of_no_matter():
    x, mask = jnp.asarray(X[0], jnp.float32), jnp.asarray(MASK[2])
    spoilt = x.at[4].set(jnp.nan)
    y, mean, var = ops.batch_norm(spoilt, mask=mask)
    want_y, want_mean, want_var = ops.batch_norm(x, mask=mask)
    np.testing.assert_array_equal((mean, var), (want_mean, want_var))
    np.testing.assert_array_equal(jnp.delete(y, 4, 0), jnp.delete(want_y, 4, 0))
    assert jnp.isnan(y[4]).all()


def test_the_statistics_have_gradients(x64):
    to_mean, to_var = (
        jax.grad(lambda x, k=k: ops.batch_norm(x, mask=MASK)[k].sum())(jnp.asarray(X)) for k in (1, 2)
    )
    rows = MASK.sum()
    np.testing.assert_allclose(to_mean, np.broadcast_to(MASK[..., None] / rows, X.shape), atol=1e-16)
    want = np.where(MASK[..., None], 2 * (X - X[MASK].mean(0)) / rows, 0)
    np.testing.assert_allclose(to_var, want, atol=1e-15)


def test_digits_survive_far_from_zero():
    near = RNG.normal(size=(512, 3)).astype(np.float32)
    x = jnp.asarray(near + 1e4, jnp.float32)
    exact = np.asarray(x, np.float64)
    r = 1 / np.sqrt(exact.var(0) + 1e-5)
    y, mean, var = ops.batch_norm(x)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-7)
    np.testing.assert_allclose(var, exact.var(0), rtol=2e-6)
    # The mean itself is rounded to steps of 0.001, which would all be seen in y.
    np.testing.assert_allclose(y, (exact - exact.mean(0)) * r, atol=2e-6)
    dy = jnp.asarray(RNG.normal(size=x.shape), jnp.float32)
    got = jax.vjp(lambda x: ops.batch_norm(x)[0], x)[1](dy)[0]
    with jax.enable_x64(True):
        want = jax.vjp(lambda x: plain.batch_norm(x)[0], jnp.asarray(exact))[1](jnp.asarray(dy, float))[0]
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_constant_feature_keeps_its_gradient_finite():
    x = jnp.full((4, 1), 16384.3)
    y, pull = jax.vjp(lambda x: ops.batch_norm(x)[0], x)
    np.testing.assert_array_equal(y, 0)
    (dx,) = pull(jnp.asarray([[1.0], [2.0], [3.0], [6.0]]))
    np.testing.assert_allclose(dx, np.array([[-2], [-1], [0], [3]]) / np.sqrt(1e-5), rtol=1e-5)
    assert jnp.isnan(ops.batch_norm(x, epsilon=0)[0]).all()


def test_one_row_alone_does_not_matter():
    x = jnp.asarray(X[0, :1], jnp.float32)
    (y, mean, var), pull = jax.vjp(lambda x: ops.batch_norm(x, SCALE.astype("f"), BIAS.astype("f")), x)
    np.testing.assert_array_equal(y[0], BIAS.astype("f"))
    np.testing.assert_array_equal((mean, var), (x[0], np.zeros(3)))
    (dx,) = pull((jnp.ones_like(y), jnp.zeros(3), jnp.ones(3)))
    np.testing.assert_array_equal(dx, 0)


def test_half_precision_keeps_statistics_in_float32():
    x = jnp.asarray(X.reshape(-1, 3), jnp.bfloat16)
    y, mean, var = ops.batch_norm(x)
    assert (y.dtype, mean.dtype, var.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    np.testing.assert_allclose(mean, np.asarray(x, float).mean(0), rtol=1e-5, atol=1e-7)
    inferred, pull = jax.vjp(ops.batch_norm_inference, x, mean, var)
    np.testing.assert_allclose(np.float32(inferred), np.float32(y), rtol=1e-2)
    assert [g.dtype for g in pull(y)] == [jnp.bfloat16, jnp.float32, jnp.float32]
    rounded = ops.batch_norm_inference(x, mean.astype(jnp.bfloat16), var.astype(jnp.bfloat16))
    assert rounded.dtype == jnp.bfloat16


def test_what_is_kept():
    x, scale, bias = jnp.ones((50, 3)), jnp.ones(3), jnp.ones(3)
    kept = sum(leaf.size for leaf in jax.tree.leaves(jax.vjp(ops.batch_norm, x, scale, bias)[1]))
    assert kept <= x.size + 4 * 3 + 1
    kept = sum(
        leaf.size for leaf in jax.tree.leaves(jax.vjp(ops.batch_norm_inference, x, scale, scale, scale)[1])
    )
    assert kept <= x.size + 3 * 3


# ---- one batch in many places -----------------------------------------------------------------------------


def whole(function, x, mask, scale, bias, dy):
    """Values and gradients on the whole batch at once."""
    y, pull = jax.vjp(lambda *args: function(*args, mask), x, scale, bias)
    return y, pull(dy)


def mapped_by_vmap(x, mask, scale, bias):
    def local(x, mask):
        return ops.batch_norm(x, scale, bias, mask, axis_name="i")

    return jax.vmap(local, axis_name="i", in_axes=(0, None if mask is None else 0), out_axes=(0, None, None))(
        x, mask
    )


def mapped_by_shard_map(x, mask, scale, bias, check_vma=True):
    mesh = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Auto,))

    def local(x, scale, bias, *mask):
        return ops.batch_norm(x, scale, bias, *mask, axis_name="i")

    masks = () if mask is None else (mask,)
    specs = (P("i"), P(), P(), *(P("i") for _ in masks))
    outputs = (P("i"), P(), P())
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=outputs, check_vma=check_vma)(
        x, scale, bias, *masks
    )


MAPS = {
    "vmap": mapped_by_vmap,
    "shard_map": mapped_by_shard_map,
    "shard_map, unchecked": lambda *args: mapped_by_shard_map(*args, check_vma=False),
}


@pytest.mark.parametrize("mask", [None, MASK], ids=["all rows", "masked"])
@pytest.mark.parametrize("name", MAPS)
def test_places_of_a_mapped_axis_hold_one_batch(name, mask, x64):
    x, scale, bias = map(jnp.asarray, (X, SCALE, BIAS))
    mask = None if mask is None else jnp.asarray(mask)
    dy = jax.tree.map(jnp.asarray, DY)
    want, want_gradient = whole(plain.batch_norm, x, mask, scale, bias, dy)

    @jax.jit
    def both(x, scale, bias):
        y, pull = jax.vjp(lambda *args: MAPS[name](args[0], mask, *args[1:]), x, scale, bias)
        return y, pull(dy)

    got, got_gradient = both(x, scale, bias)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, atol=1e-12), got, want)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, atol=1e-12), got_gradient, want_gradient)


@pytest.mark.parametrize("name", MAPS)
def test_second_derivatives_over_places(name, x64):
    x, scale, bias = map(jnp.asarray, (X, SCALE, BIAS))
    direction = jnp.asarray(DY[0])

    def bent(function):
        def loss(x):
            y, mean, var = function(x)
            return jnp.sum(jnp.sin(y)) + jnp.sum(mean * mean * var)

        return jax.jit(lambda x: jax.grad(lambda x: jnp.sum(jax.grad(loss)(x) * direction))(x))

    got = bent(lambda x: MAPS[name](x, None, scale, bias))(x)
    want = bent(lambda x: plain.batch_norm(x, scale, bias))(x)
    np.testing.assert_allclose(got, want, atol=1e-10)


@pytest.mark.parametrize("how", ["vmap", "shard_map"])
def test_places_that_hold_the_same_rows(how, x64):
    mesh = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Auto,))

    def gradient(function):
        def local(w, x):
            y, mean, var = function(x, SCALE, BIAS, axis_name="i")
            return w * (jnp.sin(y).sum() + mean.sum() + var.sum())

        if how == "vmap":
            mapped = jax.vmap(local, (0, None), axis_name="i")
        else:
            mapped = jax.shard_map(local, mesh=mesh, in_specs=(P("i"), P()), out_specs=P("i"))
        return jax.jit(jax.grad(lambda x: mapped(jnp.arange(1.0, 9.0), x).sum()))(jnp.asarray(X[0]))

    np.testing.assert_allclose(gradient(ops.batch_norm), gradient(plain.batch_norm), atol=1e-12)


def test_statistics_of_every_place_are_the_same_array():
    _, mean, var = jax.vmap(lambda x: ops.batch_norm(x, axis_name=["i"]), axis_name="i")(X.astype("f"))
    for statistic, want in ((mean, X.mean((0, 1))), (var, X.var((0, 1)))):
        np.testing.assert_allclose(statistic, np.tile(want, (8, 1)), rtol=1e-5, atol=1e-6)
    with pytest.raises(NameError, match="unbound axis name: j"):
        ops.batch_norm(X.astype("f"), axis_name="j")


# ---- bad input --------------------------------------------------------------------------------------------

ROWS = jnp.ones((5, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.batch_norm(jnp.ones(())), ValueError, "x must have an axis of features, got a scalar"),
        (
            lambda: ops.batch_norm(ROWS, jnp.ones(4)),
            ValueError,
            r"scale must have shape \(3,\) .* got \(4,\)",
        ),
        (lambda: ops.batch_norm(ROWS, None, jnp.ones((1, 3))), ValueError, r"bias must have shape \(3,\)"),
        (lambda: ops.batch_norm(ROWS, mask=jnp.ones(5)), TypeError, "mask must be bool, got dtype float32"),
        (
            lambda: ops.batch_norm(ROWS, mask=jnp.ones((5, 1), bool)),
            ValueError,
            r"mask must have shape \(5,\) for x of shape \(5, 3\), got \(5, 1\)",
        ),
        (lambda: ops.batch_norm(ROWS, mask=jnp.zeros(5, bool)), ValueError, "mask leaves no row of x"),
        (lambda: ops.batch_norm(jnp.ones((2, 0, 3))), ValueError, r"no row in x of shape \(2, 0, 3\)"),
        (lambda: ops.batch_norm(ROWS, epsilon=-1e-5), ValueError, "epsilon must be finite and at least 0"),
        (lambda: ops.batch_norm(ROWS, epsilon=float("nan")), ValueError, "epsilon must be finite"),
        (
            lambda: jax.jit(lambda e: ops.batch_norm(ROWS, epsilon=e))(0.1),
            TypeError,
            "epsilon must be a static",
        ),
        (
            lambda: ops.batch_norm_inference(ROWS, jnp.ones(3), jnp.ones(2)),
            ValueError,
            r"var must have shape \(3,\) for x of shape \(5, 3\), got \(2,\)",
        ),
        (
            lambda: ops.batch_norm_inference(ROWS, jnp.ones(3, jnp.float16), jnp.ones(3, jnp.float16)),
            TypeError,
            "mean and var must be float32 for x of dtype float32, got float16",
        ),
        (
            lambda: ops.batch_norm_inference(ROWS, jnp.ones(3), jnp.ones(3, jnp.float16)),
            TypeError,
            "mean float32, var float16",
        ),
    ],
)
def test_bad_input_names_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_traced_mask_that_counts_nothing_gives_nan():
    y, mean, var = jax.jit(lambda mask: ops.batch_norm(ROWS, mask=mask))(jnp.zeros(5, bool))
    assert jnp.isnan(mean).all()
    assert jnp.isnan(var).all()
    assert jnp.isnan(y).all()

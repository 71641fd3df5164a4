import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.batch_norm import (
    batch_norm,
    batch_norm_inference,
    batch_norm_inference_vjp,
    batch_norm_vjp,
    running_statistics,
)
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

C = 3


def along(vector, x):
    """A number a feature, for every row; the strict tests forbid to broadcast silently."""
    return jnp.broadcast_to(vector, x.shape)


def inference_twin(x, mean, var, scale, bias, *, epsilon=1e-5):
    y = (x - along(mean, x)) / jnp.sqrt(along(var, x) + epsilon)
    y = y if scale is None else along(scale, x) * y
    return y if bias is None else y + along(bias, x)


def twin(x, scale, bias, mask, *, epsilon=1e-5):
    rows = tuple(range(x.ndim - 1))
    where = None if mask is None else jnp.broadcast_to(jnp.asarray(mask)[..., None], x.shape)
    mean, var = jnp.mean(x, rows, where=where), jnp.var(x, rows, where=where)
    return inference_twin(x, mean, var, scale, bias, epsilon=epsilon), mean, var


def arguments(lead, *, scale=True, bias=True, mask=False, seed=0):
    drawn = np.random.default_rng(seed).random(lead) < 0.6
    return (
        normal(seed, *lead, C),
        normal(seed + 1, C) if scale else None,
        normal(seed + 2, C) if bias else None,
        drawn if mask else None,
    )


def given_arrays(args):
    return [k for k, value in enumerate(args) if value is not None and value.dtype == np.float64]


def upstream(lead, seed=10):
    return normal(seed, *lead, C), normal(seed + 1, C), normal(seed + 2, C)


@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize(
    ("lead", "scale", "bias"),
    [((7,), True, True), ((2, 4), True, False), ((2, 2, 3), False, True), ((5,), 0, 0)],
)
def test_opinions_agree(lead, scale, bias, mask, epsilon) -> None:
    args, dy = arguments(lead, scale=scale, bias=bias, mask=mask), upstream(lead)
    wrt = given_arrays(args)
    check_against_autodiff(batch_norm, batch_norm_vjp, twin, args, wrt, dy, epsilon=epsilon)
    check_against_differences(batch_norm, batch_norm_vjp, args, wrt, dy, epsilon=epsilon)


@pytest.mark.parametrize("kept", range(3))
def test_each_result_has_its_gradient(kept) -> None:
    args = arguments((6,), mask=True)
    dy = tuple(part if k == kept else np.zeros_like(part) for k, part in enumerate(upstream((6,))))
    check_against_autodiff(batch_norm, batch_norm_vjp, twin, args, (0, 1, 2), dy)
    assert batch_norm_vjp(*args, dy)[0].any()


@settings(max_examples=15)
@given(
    values((5, C)), values((C,)), values((5, C)), st.lists(st.booleans(), min_size=5, max_size=5).filter(any)
)
def test_values(x, scale, dy, mask) -> None:
    # ε is wide: hypothesis likes constant columns, where the gradient grows like 1/√ε, and so do its errors.
    args = (x, scale, np.zeros(C), np.array(mask))
    upstreams = (dy, dy[0], dy[1])
    check_against_autodiff(batch_norm, batch_norm_vjp, twin, args, (0, 1, 2), upstreams, epsilon=0.1)


def test_by_hand() -> None:
    # μ = 3, v = 4, ε = 0: x̂ = (-1, 1).
    y, mean, var = batch_norm([[1.0], [5.0]], [10.0], [7.0], epsilon=0.0)
    np.testing.assert_array_equal(y, [[-3.0], [17.0]])
    np.testing.assert_array_equal([mean, var], [[3.0], [4.0]])
    dy = [[1.0], [2.0]], [0.5], [0.25]
    dx, dscale, dbias, dmask = batch_norm_vjp([[1.0], [5.0]], [10.0], [7.0], None, dy, epsilon=0.0)
    # Two rows are ±1 whatever they hold, so y passes nothing; left are dμ/2 and dv (x - μ).
    np.testing.assert_allclose(dx, [[0.25 - 0.5], [0.25 + 0.5]], atol=1e-15)
    np.testing.assert_array_equal(dscale, [1.0])
    np.testing.assert_array_equal(dbias, [3.0])
    assert dmask is None


def test_the_result_is_normalised() -> None:
    x, mask = 5.0 + 3.0 * normal(0, 50, C), np.arange(50) % 3 > 0
    y, mean, var = batch_norm(x, mask=mask, epsilon=0.0)
    np.testing.assert_allclose(y[mask].mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(y[mask].var(axis=0), 1.0, rtol=1e-14)
    np.testing.assert_allclose(mean, x[mask].mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(var, x[mask].var(axis=0), rtol=1e-14)


def test_the_gradient_is_orthogonal_to_shifts_and_but_for_epsilon_to_stretches() -> None:
    x, scale, _, _ = arguments((9,))
    dy, nothing = normal(1, 9, C), np.zeros(C)
    dx, *_ = batch_norm_vjp(x, scale, None, None, (dy, nothing, nothing), epsilon=0.0)
    np.testing.assert_allclose(dx.sum(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose((dx * x).sum(axis=0), 0.0, atol=1e-14)
    dx, *_ = batch_norm_vjp(x, scale, None, None, (dy, nothing, nothing), epsilon=0.5)
    np.testing.assert_allclose(dx.sum(axis=0), 0.0, atol=1e-14)
    assert (np.abs((dx * x).sum(axis=0)) > 1e-3).all()


def test_rows_that_do_not_count_use_the_statistics_without_being_in_them() -> None:
    x, scale, bias, _ = arguments((6,))
    mask = np.array([True, True, False, True, False, True])
    y, mean, var = batch_norm(x, scale, bias, mask)
    among = batch_norm(x[mask], scale, bias)
    for ours, theirs in zip((y[mask], mean, var), among, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(y, batch_norm_inference(x, mean, var, scale, bias), rtol=1e-13)
    # An upstream gradient at such a row alone: directly to it, and through the statistics to all that count.
    dy = np.zeros((6, C))
    dy[2] = 1.0
    dx, *_ = batch_norm_vjp(x, scale, bias, mask, (dy, np.zeros(C), np.zeros(C)))
    np.testing.assert_allclose(dx[2], scale / np.sqrt(var + 1e-5), rtol=1e-13)
    np.testing.assert_array_equal(dx[4], 0.0)
    assert dx[mask].all()
    # What such a row holds is not in the statistics, be it nan.
    x[4] = np.nan
    _, mean_again, var_again = batch_norm(x, scale, bias, mask)
    np.testing.assert_array_equal([mean_again, var_again], [mean, var])


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e8, 1e-300])
def test_a_constant_feature(constant) -> None:
    x = np.full((13, 1), constant)
    y, mean, var = batch_norm(x, [2.0], [3.0])
    np.testing.assert_array_equal(y, 3.0)
    np.testing.assert_array_equal(mean, constant)
    np.testing.assert_array_equal(var, 0.0)
    dy = normal(0, 13, 1)
    dx, dscale, _, _ = batch_norm_vjp(x, [2.0], [3.0], None, (dy, [0.0], [5.0]))
    np.testing.assert_allclose(dx, 2.0 * (dy - dy.mean()) / np.sqrt(1e-5), rtol=1e-12)
    np.testing.assert_array_equal(dscale, 0.0)


def test_without_epsilon_a_constant_feature_is_nan() -> None:
    x, dy = np.ones((4, 1)), (np.ones((4, 1)), np.zeros(1), np.zeros(1))
    assert np.isnan(batch_norm(x, epsilon=0.0)[0]).all()
    assert np.isnan(batch_norm_vjp(x, None, None, None, dy, epsilon=0.0)[0]).all()


@pytest.mark.parametrize("offset", [2.0**20, -(2.0**30), 2.0**40])
def test_an_offset_cancels_nothing(offset) -> None:
    # Multiples of 2^-10 that all of these sums hold exactly.
    x = np.round(normal(0, 7, C) * 2**10) / 2**10
    y, mean, var = batch_norm(x + offset)
    y_there, mean_there, var_there = batch_norm(x)
    np.testing.assert_allclose(y, y_there, rtol=1e-12)
    np.testing.assert_allclose(var, var_there, rtol=1e-12)
    np.testing.assert_allclose(mean, offset + mean_there, rtol=1e-15)
    dy = upstream((7,))
    ours, theirs = (batch_norm_vjp(z, None, None, None, dy)[0] for z in (x + offset, x))
    np.testing.assert_allclose(ours, theirs, rtol=1e-11)


def test_one_row_does_not_depend_on_itself() -> None:
    x, scale, bias = normal(0, C), normal(1, C), normal(2, C)
    y, mean, var = batch_norm(x, scale, bias)
    np.testing.assert_array_equal([y, mean, var], [bias, x, np.zeros(C)])
    dy = normal(3, C), normal(4, C), normal(5, C)
    np.testing.assert_allclose(batch_norm_vjp(x, scale, bias, None, dy)[0], dy[1], atol=1e-12)


@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
@pytest.mark.parametrize(
    ("lead", "scale", "bias"),
    [((4,), True, True), ((2, 3), False, True), ((), True, False), ((0,), True, True)],
)
def test_inference_opinions_agree(lead, scale, bias, epsilon) -> None:
    x, scale, bias, _ = arguments(lead, scale=scale, bias=bias)
    args = (x, normal(5, C), np.exp(normal(6, C)), scale, bias)
    wrt, dy = given_arrays((*args,)), normal(7, *lead, C)
    f, f_vjp = batch_norm_inference, batch_norm_inference_vjp
    check_against_autodiff(f, f_vjp, inference_twin, args, wrt, dy, epsilon=epsilon)
    check_against_differences(f, f_vjp, args, wrt, dy, epsilon=epsilon)


@settings(max_examples=15)
@given(values((4, C)), values((C,)), values((C,)), values((C,)), values((4, C)))
def test_inference_values(x, mean, root, scale, dy) -> None:
    args = (x, mean, root**2, scale, np.zeros(C))
    f, f_vjp = batch_norm_inference, batch_norm_inference_vjp
    check_against_autodiff(f, f_vjp, inference_twin, args, range(5), dy, epsilon=0.1)


def test_a_variance_of_zero_is_finite_in_inference() -> None:
    args = [[2.0]], [1.0], [0.0], None, None
    np.testing.assert_allclose(batch_norm_inference(*args, epsilon=0.01), [[10.0]])
    dx, dmean, dvar, dscale, dbias = batch_norm_inference_vjp(*args, [[1.0]], epsilon=0.01)
    np.testing.assert_allclose([dx[0], dmean, dvar], [[10.0], [-10.0], [-500.0]])
    assert dscale is None
    assert dbias is None


def test_running_statistics() -> None:
    np.testing.assert_allclose(running_statistics([1.0, 2.0], [3.0, -2.0], 0.75), [1.5, 1.0])
    np.testing.assert_array_equal(running_statistics([1.0], [3.0], 1.0), [1.0])
    np.testing.assert_array_equal(running_statistics([1.0], [3.0], 0.0), [3.0])
    # After k batches the start has the weight a^k, batch j a^(k-j) (1 - a).
    batches, running = normal(0, 6, C), normal(1, C)
    expected = 0.9**6 * running + sum(0.9 ** (5 - j) * 0.1 * batch for j, batch in enumerate(batches))
    for batch in batches:
        running = running_statistics(running, batch, 0.9)
    np.testing.assert_allclose(running, expected, rtol=1e-12)


@pytest.mark.parametrize("momentum", [-0.1, 1.1, np.nan, np.inf])
def test_momentum_must_be_a_share(momentum) -> None:
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\], got"):
        running_statistics([1.0], [1.0], momentum)


def test_running_statistics_must_agree_in_shape() -> None:
    with pytest.raises(ValueError, match=r"batch has shape \(3,\) but running has shape \(2,\)"):
        running_statistics(np.ones(2), np.ones(3), 0.9)


@pytest.mark.parametrize(
    ("x", "scale", "bias", "mask", "message"),
    [
        ((), None, None, None, "x must have an axis of features, got a scalar"),
        ((4, 3), (4,), None, None, r"scale has shape \(4,\) but x ends in 3"),
        ((4, 3), (), None, None, r"scale has shape \(\) but x ends in 3"),
        ((4, 3), None, (1, 3), None, r"bias has shape \(1, 3\) but x ends in 3"),
        ((4, 3), None, None, (3,), r"mask has shape \(3,\) but x has shape \(4, 3\), so mask must be \(4,\)"),
        ((4, 3), None, None, (4, 1), r"mask has shape \(4, 1\)"),
        ((0, 3), None, None, None, r"there is no row in x of shape \(0, 3\) to take the mean"),
    ],
)
def test_bad_input_is_named(x, scale, bias, mask, message) -> None:
    args = [
        np.ones(x),
        None if scale is None else np.ones(scale),
        None if bias is None else np.ones(bias),
        None if mask is None else np.ones(mask, bool),
    ]
    with pytest.raises(ValueError, match=message):
        batch_norm(*args)
    with pytest.raises(ValueError, match=message):
        batch_norm_vjp(*args, (np.ones(x), np.ones(3), np.ones(3)))


def test_a_mask_must_be_bool_and_leave_a_row() -> None:
    x, dy = np.ones((4, 3)), (np.ones((4, 3)), np.ones(3), np.ones(3))
    for error, mask, message in [
        (TypeError, np.ones(4), "mask must be bool, got dtype float64"),
        (TypeError, np.ones(4, int), "mask must be bool, got dtype int64"),
        (ValueError, np.zeros(4, bool), r"mask leaves no row of x of shape \(4, 3\) to take the mean"),
    ]:
        with pytest.raises(error, match=message):
            batch_norm(x, None, None, mask)
        with pytest.raises(error, match=message):
            batch_norm_vjp(x, None, None, mask, dy)


@pytest.mark.parametrize("epsilon", [-1e-5, np.nan, np.inf])
def test_epsilon_must_not_be_negative(epsilon) -> None:
    message = "epsilon must be a number of at least 0, got"
    x, feature = np.ones((4, 3)), np.ones(3)
    for call in (
        lambda: batch_norm(x, epsilon=epsilon),
        lambda: batch_norm_vjp(x, None, None, None, (x, feature, feature), epsilon=epsilon),
        lambda: batch_norm_inference(x, feature, feature, epsilon=epsilon),
        lambda: batch_norm_inference_vjp(x, feature, feature, None, None, x, epsilon=epsilon),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("dy", "message"),
    [
        (((4, 3), (3,)), "dy must be three arrays, the gradients by y, mean and var, got 2 of them"),
        (((4, 2), (3,), (3,)), r"dy\[0\] has shape \(4, 2\) but y has shape \(4, 3\)"),
        (((4, 3), (1, 3), (3,)), r"dy\[1\] has shape \(1, 3\) but mean has shape \(3,\)"),
        (((4, 3), (3,), ()), r"dy\[2\] has shape \(\) but var has shape \(3,\)"),
    ],
)
def test_dy_must_have_the_structure_of_the_results(dy, message) -> None:
    with pytest.raises(ValueError, match=message):
        batch_norm_vjp(np.ones((4, 3)), None, None, None, tuple(map(np.ones, dy)))


def test_an_array_is_no_dy_of_three_results() -> None:
    with pytest.raises(ValueError, match="dy must be three arrays, .* got ndarray"):
        batch_norm_vjp(np.ones((3, 3)), None, None, None, np.ones((3, 3)))


@pytest.mark.parametrize(
    ("mean", "var", "message"),
    [
        ((2,), (3,), r"mean has shape \(2,\) but x ends in 3"),
        ((3,), (1, 3), r"var has shape \(1, 3\) but x ends in 3"),
    ],
)
def test_inference_names_bad_statistics(mean, var, message) -> None:
    args = np.ones((4, 3)), np.ones(mean), np.ones(var)
    with pytest.raises(ValueError, match=message):
        batch_norm_inference(*args)
    with pytest.raises(ValueError, match=message):
        batch_norm_inference_vjp(*args, None, None, np.ones((4, 3)))


def test_inference_names_negative_variances_and_bad_upstream_gradients() -> None:
    x, feature = np.ones((4, 3)), np.ones(3)
    with pytest.raises(ValueError, match="var must not be negative, got -0.5"):
        batch_norm_inference(x, feature, [1.0, -0.5, 1.0])
    with pytest.raises(ValueError, match="var must not be negative, got -0.5"):
        batch_norm_inference_vjp(x, feature, [1.0, -0.5, 1.0], None, None, x)
    with pytest.raises(ValueError, match=r"dy has shape \(3,\) but y has shape \(4, 3\)"):
        batch_norm_inference_vjp(x, feature, feature, None, None, feature)


def test_the_twin_is_jaxs_variance() -> None:
    with jax.enable_x64(True):
        np.testing.assert_allclose(twin(jnp.array([[1.0], [5.0]]), None, None, None)[2], [4.0])

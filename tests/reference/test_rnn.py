import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.rnn import bare_rnn, bare_rnn_vjp, rnn, rnn_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

N, M = 3, 2
F = {"tanh": jnp.tanh, "relu": jax.nn.relu}


def twin(x, W_x, W_h, b, h0, mask, *, activation="tanh"):
    lead, T = x.shape[:-2], x.shape[-2]
    h0 = jnp.zeros((*lead, W_x.shape[0])) if h0 is None else h0
    mask = jnp.ones((*lead, T), bool) if mask is None else jnp.asarray(mask)
    shift = 0.0 if b is None else jnp.broadcast_to(b, h0.shape)

    def step(h, inputs):
        x_t, runs = inputs
        after = F[activation](h @ W_h.T + x_t @ W_x.T + shift)
        h = jnp.where(runs[..., None], after, h)
        return h, h

    _, states = jax.lax.scan(step, h0, (jnp.moveaxis(x, -2, 0), jnp.moveaxis(mask, -1, 0)))
    return jnp.moveaxis(states, 0, -2)


def arguments(lead, T, *, b=True, h0=True, mask=False, seed=0):
    return (
        normal(seed, *lead, T, N),
        normal(seed + 1, M, N),
        normal(seed + 2, M, M),
        normal(seed + 3, M) if b else None,
        normal(seed + 4, *lead, M) if h0 else None,
        np.random.default_rng(seed).random((*lead, T)) < 0.6 if mask else None,
    )


def given_arrays(args):
    return [k for k, value in enumerate(args[:5]) if value is not None]


@pytest.mark.parametrize("activation", F)
@pytest.mark.parametrize(
    ("lead", "T", "b", "h0", "mask"),
    [
        ((), 5, True, True, False),
        ((4,), 6, True, True, True),
        ((2, 2), 3, False, True, True),
        ((2,), 4, True, False, True),
        ((), 1, False, False, False),
        ((3,), 0, True, True, True),
        ((0,), 4, True, True, False),
    ],
)
def test_opinions_agree(lead, T, b, h0, mask, activation) -> None:
    args = arguments(lead, T, b=b, h0=h0, mask=mask)
    wrt, dy = given_arrays(args), normal(9, *lead, T, M)
    check_against_autodiff(rnn, rnn_vjp, twin, args, wrt, dy, activation=activation)
    check_against_differences(rnn, rnn_vjp, args, wrt, dy, activation=activation)


@settings(max_examples=10)
@given(st.data())
def test_values_and_dead_units(data) -> None:
    # Zeros and repetitions put relu on its kink.
    shapes = [(3, N), (M, N), (M, M), (M,), (M,)]
    args = [*(data.draw(values(shape)) for shape in shapes), data.draw(st.none() | st.just(np.eye(3)[1] > 0))]
    dy = data.draw(values((3, M)))
    check_against_autodiff(rnn, rnn_vjp, twin, args, range(5), dy, activation="relu", rtol=1e-10)


def test_two_steps_by_hand() -> None:
    # h_1 = 2·3 + 1 + 5·0.5 = 9.5 and h_2 = 2·(-1) + 1 + 5·9.5 = 46.5, both active.
    x, W_x, W_h, b, h0 = [[3.0], [-1.0]], [[2.0]], [[5.0]], [1.0], [0.5]
    np.testing.assert_array_equal(rnn(x, W_x, W_h, b, h0, activation="relu"), [[9.5], [46.5]])
    dx, dW_x, dW_h, db, dh0, dmask = rnn_vjp(x, W_x, W_h, b, h0, None, [[100.0], [10.0]], activation="relu")
    # δ_2 = 10 and δ_1 = 100 + 5·10 = 150.
    np.testing.assert_array_equal(dx, [[300.0], [20.0]])
    np.testing.assert_array_equal(dW_x, [[150 * 3.0 - 10]])
    np.testing.assert_array_equal(dW_h, [[150 * 0.5 + 10 * 9.5]])
    np.testing.assert_array_equal(db, [160.0])
    np.testing.assert_array_equal(dh0, [750.0])
    assert dmask is None


@pytest.mark.parametrize("activation", F)
def test_masked_steps_are_as_if_they_were_not_there(activation) -> None:
    x, W_x, W_h, b, h0, _ = arguments((), 6)
    mask = np.array([False, True, True, False, True, False])
    dy = normal(7, 6, M)
    # What is masked is not read, whatever it holds.
    padded = np.where(mask[:, None], x, np.array([np.nan, np.inf, -np.inf]))
    y = rnn(padded, W_x, W_h, b, h0, mask, activation=activation)
    short = rnn(x[mask], W_x, W_h, b, h0, activation=activation)
    np.testing.assert_array_equal(y, [h0, short[0], short[1], short[1], short[2], short[2]])
    dx, dW_x, dW_h, db, dh0, _ = rnn_vjp(padded, W_x, W_h, b, h0, mask, dy, activation=activation)
    joined = np.stack([dy[1], dy[2] + dy[3], dy[4] + dy[5]])
    expected = rnn_vjp(x[mask], W_x, W_h, b, h0, None, joined, activation=activation)
    np.testing.assert_array_equal(dx[~mask], 0.0)
    np.testing.assert_allclose(dx[mask], expected[0], rtol=1e-13)
    for ours, theirs in zip((dW_x, dW_h, db, dh0 - dy[0]), expected[1:5], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_all_masked_hands_the_gradient_to_h0() -> None:
    x, W_x, W_h, b, h0, _ = arguments((2,), 3)
    mask, dy = np.zeros((2, 3), bool), normal(1, 2, 3, M)
    np.testing.assert_array_equal(rnn(x, W_x, W_h, b, h0, mask), np.stack([h0] * 3, axis=1))
    dx, dW_x, dW_h, db, dh0, _ = rnn_vjp(x, W_x, W_h, b, h0, mask, dy)
    np.testing.assert_allclose(dh0, dy.sum(axis=1), rtol=1e-13)
    for gradient in (dx, dW_x, dW_h, db):
        np.testing.assert_array_equal(gradient, 0.0)
    # Not even an infinite state gives the weights a gradient then.
    h0[0, 0] = np.inf
    np.testing.assert_array_equal(rnn_vjp(x, W_x, W_h, b, h0, mask, dy)[2], 0.0)


def test_the_slope_of_tanh_does_not_cancel_in_a_saturated_unit() -> None:
    dx, *_ = rnn_vjp([[25.0]], [[1.0]], [[0.0]], None, None, None, [[1.0]])
    np.testing.assert_allclose(dx, 4 * np.exp(-50.0), rtol=1e-14)


def test_nan_stays_nan_and_goes_forward_only() -> None:
    x = np.array([[1.0], [np.nan], [1.0]])
    y = rnn(x, [[1.0]], [[1.0]])
    np.testing.assert_array_equal(np.isnan(y[:, 0]), [False, True, True])
    dx, *_ = rnn_vjp(x, [[1.0]], [[1.0]], None, None, None, [[1.0], [0.0], [0.0]])
    assert np.isnan(dx[1:]).all()


def test_what_explodes_and_what_vanishes() -> None:
    def to_start(W, h0, steps, activation):
        width = len(h0)
        dy = np.zeros((steps, width))
        dy[-1] = 1.0
        nothing = np.zeros((steps, 0))
        return rnn_vjp(nothing, np.zeros((width, 0)), W, None, h0, None, dy, activation=activation)[4]

    # All eigenvalues are 0, yet state and gradient double in every step.
    nilpotent = [[2.0, 2.0], [-2.0, -2.0]]
    np.testing.assert_array_equal(np.dot(nilpotent, nilpotent), 0.0)
    np.testing.assert_array_equal(bare_rnn(nilpotent, [1.0, 0.0], 10)[-1], [1024.0, 0.0])
    np.testing.assert_array_equal(to_start(nilpotent, [1.0, 0.0], 10, "relu"), [1024.0, 1024.0])
    # Eigenvalues of modulus 2, yet nothing comes back, or ever less.
    np.testing.assert_array_equal(to_start(-2.0 * np.eye(2), [1.0, 3.0], 10, "relu"), 0.0)
    settled = np.full(2, 0.957504024)
    np.testing.assert_allclose(to_start(2.0 * np.eye(2), settled, 10, "tanh"), 0.16637209**10, rtol=1e-6)
    # Where all units are active the dynamics are linear, and the modulus decides from the first step on.
    normal_matrix = [[0.0, 1.5], [1.5, 0.0]]
    np.testing.assert_allclose(to_start(normal_matrix, [1.0, 2.0], 10, "relu"), 1.5**10)
    np.testing.assert_allclose(np.linalg.matrix_power([[0.5, 100.0], [0.0, 0.25]], 2)[0, 1], 75.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({0: (4,)}, r"x must have shape \(..., steps, inputs\), got \(4,\)"),
        ({1: (3,)}, r"W_x must have shape \(outputs, inputs\), got \(3,\)"),
        ({1: (2, 4)}, r"W_x has shape \(2, 4\) but x ends in 3"),
        ({2: (2, 3)}, r"W_h has shape \(2, 3\) but W_x has shape \(2, 3\), so W_h must be \(2, 2\)"),
        ({2: (3, 3)}, r"W_h has shape \(3, 3\)"),
        ({3: (3,)}, r"b has shape \(3,\) but W_x has shape \(2, 3\), so b must be \(2,\)"),
        ({3: (1, 2)}, "b has shape"),
        ({4: (2,)}, r"h0 has shape \(2,\) but x has shape \(5, 4, 3\), so h0 must be \(5, 2\)"),
        ({4: (5, 3)}, "h0 has shape"),
        ({5: (4,)}, r"mask has shape \(4,\) but x has shape \(5, 4, 3\), so mask must be \(5, 4\)"),
        ({5: (5, 4, 1)}, "mask has shape"),
    ],
)
def test_bad_shapes_are_named(changed, message) -> None:
    shapes = {0: (5, 4, 3), 1: (2, 3), 2: (2, 2), 3: (2,), 4: (5, 2), 5: (5, 4)} | changed
    args = [np.ones(shapes[k], bool if k == 5 else float) for k in range(6)]
    with pytest.raises(ValueError, match=message):
        rnn(*args)
    with pytest.raises(ValueError, match=message):
        rnn_vjp(*args, np.ones((5, 4, 2)))


@pytest.mark.parametrize("activation", ["sigmoid", "Tanh", None, np.tanh, ["relu"]])
def test_other_activations_are_named(activation) -> None:
    args = arguments((), 2)
    with pytest.raises(ValueError, match="activation must be 'tanh' or 'relu', got"):
        rnn(*args, activation=activation)
    with pytest.raises(ValueError, match="activation must be 'tanh' or 'relu', got"):
        rnn_vjp(*args, np.ones((2, M)), activation=activation)


@pytest.mark.parametrize("dtype", [float, int])
def test_mask_must_be_bool(dtype) -> None:
    args = (*arguments((), 2)[:5], np.ones(2, dtype))
    with pytest.raises(TypeError, match="mask must be bool, got dtype"):
        rnn(*args)
    with pytest.raises(TypeError, match="mask must be bool, got dtype"):
        rnn_vjp(*args, np.ones((2, M)))


@pytest.mark.parametrize("dy", [(M,), (4, M), (3, M + 1), (1, 3, M)])
def test_dy_must_have_the_shape_of_the_states(dy) -> None:
    with pytest.raises(ValueError, match=r"dy has shape .* but the states have shape \(3, 2\)"):
        rnn_vjp(*arguments((), 3), np.ones(dy))


def bare_twin(W, h0, steps):
    def step(h, _):
        h = jax.nn.relu(h @ W.T)
        return h, h

    _, states = jax.lax.scan(step, h0, None, length=steps)
    return jnp.moveaxis(states, 0, -2)


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("lead", [(), (3,), (2, 2), (0,)])
def test_bare_opinions_agree(lead, steps) -> None:
    args, dy = (normal(0, M, M), normal(1, *lead, M), steps), normal(2, *lead, steps, M)
    check_against_autodiff(bare_rnn, bare_rnn_vjp, bare_twin, args, (0, 1), dy)
    check_against_differences(bare_rnn, bare_rnn_vjp, args, (0, 1), dy)


@settings(max_examples=10)
@given(values((M, M)), values((2, M)), values((2, 3, M)))
def test_bare_values(W, h0, dy) -> None:
    check_against_autodiff(bare_rnn, bare_rnn_vjp, bare_twin, (W, h0, 3), (0, 1), dy)


def test_the_bare_loop_is_the_lectures() -> None:
    H, T = 5, 6
    W, h0, upstream = normal(3, H, H), np.abs(normal(4, H)), normal(5, H)
    hs, dhs = {-1: h0}, {T - 1: upstream}
    for t in range(T):
        hs[t] = np.maximum(0, np.dot(W, hs[t - 1]))
    for t in reversed(range(T)):
        dhs[t - 1] = np.dot(W.T, (hs[t] > 0) * dhs[t])
    np.testing.assert_allclose(bare_rnn(W, h0, T), [hs[t] for t in range(T)], rtol=1e-13)
    dy = np.zeros((T, H))
    dy[-1] = upstream
    assert dhs[-1].any()
    np.testing.assert_allclose(bare_rnn_vjp(W, h0, T, dy)[1], dhs[-1], rtol=1e-12)


def test_the_bare_loop_is_an_rnn_without_input() -> None:
    W, h0, dy = normal(0, 4, 4), normal(1, 3, 4), normal(2, 3, 5, 4)
    nothing, none = np.zeros((3, 5, 0)), np.zeros((4, 0))
    np.testing.assert_allclose(bare_rnn(W, h0, 5), rnn(nothing, none, W, None, h0, activation="relu"))
    dW, dh0, dsteps = bare_rnn_vjp(W, h0, 5, dy)
    _, _, dW_h, _, dstate, _ = rnn_vjp(nothing, none, W, None, h0, None, dy, activation="relu")
    np.testing.assert_allclose(dW, dW_h, rtol=1e-12)
    np.testing.assert_allclose(dh0, dstate, rtol=1e-12)
    assert dsteps is None


def test_a_state_of_zero_passes_nothing() -> None:
    dW, dh0, _ = bare_rnn_vjp(np.eye(2), [0.0, 1.0], 2, np.ones((2, 2)))
    np.testing.assert_array_equal(dh0, [0.0, 2.0])
    np.testing.assert_array_equal(dW, [[0.0, 0.0], [0.0, 3.0]])


@pytest.mark.parametrize(
    ("W", "h0", "steps", "error", "message"),
    [
        ((2, 3), (3,), 1, ValueError, r"W must be square, \(units, units\), got \(2, 3\)"),
        ((2,), (2,), 1, ValueError, "W must be square"),
        ((2, 2), (3,), 1, ValueError, r"W has shape \(2, 2\) but h0 ends in 3"),
        ((2, 2), (), 1, ValueError, "h0 must have an axis of units, got a scalar"),
        ((2, 2), (2,), -1, ValueError, "steps must be at least 0, got -1"),
        ((2, 2), (2,), 1.0, TypeError, "steps must be an integer, got 1.0"),
        ((2, 2), (2,), True, TypeError, "steps must be an integer, got True"),
        ((2, 2), (2,), None, TypeError, "steps must be an integer, got None"),
    ],
)
def test_bare_bad_input_is_named(W, h0, steps, error, message) -> None:
    with pytest.raises(error, match=message):
        bare_rnn(np.ones(W), np.ones(h0), steps)
    with pytest.raises(error, match=message):
        bare_rnn_vjp(np.ones(W), np.ones(h0), steps, np.ones((1, 2)))


@pytest.mark.parametrize("dy", [(2,), (2, 2), (3, 3), (1, 3, 2)])
def test_bare_dy_must_have_the_shape_of_the_states(dy) -> None:
    with pytest.raises(ValueError, match=r"dy has shape .* but the states have shape \(3, 2\)"):
        bare_rnn_vjp(np.ones((2, 2)), np.ones(2), 3, np.ones(dy))

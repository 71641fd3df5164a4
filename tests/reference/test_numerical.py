import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.numerical import central_difference, forward_difference
from tests.reference.opinions import normal, values

METHODS = [forward_difference, central_difference]


def cubic(x: np.ndarray) -> float:
    return float(np.sum(x**3 + 2.0 * x))


@pytest.mark.parametrize(("method", "tolerance"), [(forward_difference, 1e-5), (central_difference, 1e-7)])
@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3), (2, 1, 3)])
def test_closed_forms(method, tolerance, shape) -> None:
    x = normal(0, *shape)
    for f, slope in [(cubic, 3 * x**2 + 2.0), (lambda v: np.sum(np.sin(v)), np.cos(x))]:
        gradient, _ = method(f, x, 1e-6)
        assert gradient.shape == shape
        np.testing.assert_allclose(gradient, slope, atol=tolerance)


def test_entries_that_interact() -> None:
    A, x = normal(1, 4, 4), normal(2, 4)
    gradient, _ = central_difference(lambda v: v @ A @ v, x, 1e-5)
    np.testing.assert_allclose(gradient, (A + A.T) @ x, atol=1e-8)


@given(values((3,)), st.sampled_from([1e-1, 1e-2, 1e-3]))
def test_truncation_error_is_taylors_next_term(x, h) -> None:
    # For x³ the series ends: forward is off by 3xh + h² and central by h².
    forward, _ = forward_difference(lambda v: np.sum(v**3), x, h)
    central, _ = central_difference(lambda v: np.sum(v**3), x, h)
    np.testing.assert_allclose(forward - 3 * x**2, 3 * x * h + h**2, atol=1e-10)
    np.testing.assert_allclose(central - 3 * x**2, h**2, atol=1e-10)


def test_orders_of_convergence_and_the_best_steps() -> None:
    x = np.array(1.0)

    def error(method, h) -> float:
        return abs(float(method(np.exp, x, h)[0]) - np.e)

    assert error(forward_difference, 1e-3) / error(forward_difference, 1e-4) == pytest.approx(10, rel=0.01)
    assert error(central_difference, 1e-2) / error(central_difference, 1e-3) == pytest.approx(100, rel=0.01)
    assert error(forward_difference, 1e-8) < 1e-7
    assert error(central_difference, 6e-6) < 1e-9
    # Rounding takes over below the best step.
    assert error(central_difference, 1e-12) > 100 * error(central_difference, 6e-6)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 3)])
def test_calls_are_those_made(shape) -> None:
    made = []

    def f(x: np.ndarray) -> float:
        made.append(x)
        return cubic(x)

    x = normal(3, *shape)
    assert forward_difference(f, x, 1e-6)[1] == x.size + 1 == len(made)
    made.clear()
    assert central_difference(f, x, 1e-6)[1] == 2 * x.size == len(made)


@pytest.mark.parametrize("method", METHODS)
def test_only_some_entries(method) -> None:
    x = normal(4, 3, 4)
    full, _ = method(cubic, x, 1e-6)
    some, calls = method(cubic, x, 1e-6, indices=[(2, 3), (0, 1), (-1, -1), 5, -12])
    np.testing.assert_array_equal(some, [full[2, 3], full[0, 1], full[2, 3], full[1, 1], full[0, 0]])
    assert calls == (6 if method is forward_difference else 10)
    none, calls = method(cubic, x, 1e-6, indices=[])
    assert none.shape == (0,)
    assert calls == (1 if method is forward_difference else 0)
    scalar, _ = method(cubic, np.array(2.0), 1e-6, indices=[()])
    np.testing.assert_allclose(scalar, [14.0], atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_x_is_left_alone_and_every_call_owns_its_array(method) -> None:
    x = normal(5, 2, 2)
    before = x.copy()
    kept = []

    def f(v: np.ndarray) -> float:
        kept.append(v)
        value = cubic(v)
        v[...] = np.nan
        return value

    gradient, _ = method(f, x, 1e-6)
    np.testing.assert_allclose(gradient, 3 * before**2 + 2, atol=1e-4)
    np.testing.assert_array_equal(x, before)
    assert len({id(v) for v in kept}) == len(kept)
    assert not any(np.shares_memory(v, x) for v in kept)


@pytest.mark.parametrize("method", METHODS)
def test_division_by_the_step_that_was_made(method) -> None:
    # Beside 1e9 a step of 1e-6 is rounded to a multiple of 1.2e-7, a fault of several per cent.
    gradient, _ = method(lambda v: np.sum(v - 1e9), np.array([1e9]), 1e-6)
    np.testing.assert_array_equal(gradient, [1.0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("f", "x", "h", "indices", "message"),
    [
        (cubic, np.ones(2), 0.0, None, "h must be above 0"),
        (cubic, np.ones(2), -1e-6, None, "h must be above 0"),
        (cubic, np.ones(2), float("nan"), None, "h must be above 0"),
        (cubic, np.full(2, 1e20), 1e-6, None, "h 1e-06 vanishes"),
        (lambda v: v, np.ones(2), 1e-6, None, r"f must return a scalar, got shape \(2,\)"),
        (cubic, np.ones((2, 3)), 1e-6, [(2, 0)], r"indices has \(2, 0\)"),
        (cubic, np.ones((2, 3)), 1e-6, [(0,)], r"indices has \(0,\)"),
        (cubic, np.ones((2, 3)), 1e-6, [6], "indices has 6"),
        (cubic, np.ones((2, 3)), 1e-6, [-7], "indices has -7"),
    ],
)
def test_bad_input_is_named(method, f, x, h, indices, message) -> None:
    with pytest.raises(ValueError, match=message):
        method(f, x, h, indices)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("index", [1.0, (0, 1.5), "0", [0, 1]])
def test_indices_must_be_integers(method, index) -> None:
    with pytest.raises(TypeError, match="indices must be integers"):
        method(cubic, np.ones((2, 3)), 1e-6, [index])

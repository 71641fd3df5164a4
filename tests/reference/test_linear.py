import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.linear import linear, linear_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values


def twin(x, W, b=None):
    z = jnp.einsum("...n,mn->...m", x, W)
    return z if b is None else z + jnp.broadcast_to(b, z.shape)


SHAPES = [((4,), 3), ((2, 4), 3), ((2, 3, 4), 1), ((1, 1), 1), ((0, 4), 3), ((2, 0), 3), ((5, 4), 0)]


@pytest.mark.parametrize(("x_shape", "m"), SHAPES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_opinions_agree(x_shape, m, with_bias) -> None:
    x, W, b = normal(0, *x_shape), normal(1, m, x_shape[-1]), normal(2, m) if with_bias else None
    dy = normal(3, *x_shape[:-1], m)
    wrt = (0, 1, 2) if with_bias else (0, 1)
    check_against_autodiff(linear, linear_vjp, twin, (x, W, b), wrt, dy)
    check_against_differences(linear, linear_vjp, (x, W, b), wrt, dy)


@settings(max_examples=15)
@given(st.data())
def test_values(data) -> None:
    x, W, b = data.draw(values((2, 3))), data.draw(values((4, 3))), data.draw(values((4,)))
    dy = data.draw(values((2, 4)))
    check_against_autodiff(linear, linear_vjp, twin, (x, W, b), (0, 1, 2), dy)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 9))
def test_element_by_element(m, n, seed) -> None:
    x, W, b, delta = normal(seed, n), normal(seed + 1, m, n), normal(seed + 2, m), normal(seed + 3, m)
    dx, dW, db = linear_vjp(x, W, b, delta)
    for i in range(m):
        assert linear(x, W, b)[i] == pytest.approx(sum(W[i, k] * x[k] for k in range(n)) + b[i])
        assert db[i] == delta[i]
        for j in range(n):
            assert dW[i, j] == pytest.approx(delta[i] * x[j], abs=1e-15)
    for j in range(n):
        assert dx[j] == pytest.approx(sum(W[k, j] * delta[k] for k in range(m)))


@given(st.integers(0, 9))
def test_a_batch_adds_over_its_rows(seed) -> None:
    x, W, b, dy = normal(seed, 2, 3, 4), normal(1, 5, 4), normal(2, 5), normal(3, 2, 3, 5)
    dx, dW, db = linear_vjp(x, W, b, dy)
    rows = [linear_vjp(x[r], W, b, dy[r]) for r in np.ndindex(2, 3)]
    np.testing.assert_allclose(dx.reshape(6, 4), [row[0] for row in rows])
    np.testing.assert_allclose(dW, sum(row[1] for row in rows), atol=1e-14)
    np.testing.assert_allclose(db, sum(row[2] for row in rows), atol=1e-14)


def test_lists_and_integers_become_float64() -> None:
    z = linear([1, 2], [[1, 0], [3, 4]], [10, 20])
    np.testing.assert_array_equal(z, [11.0, 31.0])
    assert z.dtype == np.float64
    assert all(d.dtype == np.float64 for d in linear_vjp([1, 2], [[1, 0], [3, 4]], [10, 20], [1, 1]))


@pytest.mark.parametrize(
    ("x", "W", "b", "message"),
    [
        ((2, 5), (3, 4), None, r"W has shape \(3, 4\) but x ends in 5"),
        ((2, 4), (4,), None, r"W must have shape \(outputs, inputs\)"),
        ((2, 4), (1, 3, 4), None, "W must have shape"),
        ((), (3, 4), None, "x must have an axis of inputs"),
        ((2, 4), (3, 4), (4,), r"b has shape \(4,\)"),
        ((2, 4), (3, 4), (1, 3), r"b has shape \(1, 3\)"),
        ((2, 4), (3, 4), (), r"b has shape \(\)"),
    ],
)
def test_wrong_shapes_are_named(x, W, b, message) -> None:
    x, W, b = np.ones(x), np.ones(W), None if b is None else np.ones(b)
    with pytest.raises(ValueError, match=message):
        linear(x, W, b)
    with pytest.raises(ValueError, match=message):
        linear_vjp(x, W, b, np.ones((2, 3)))


@pytest.mark.parametrize("dy", [(3,), (2, 4), (1, 3), ()])
def test_dy_must_have_the_shape_of_z(dy) -> None:
    with pytest.raises(ValueError, match="dy has shape"):
        linear_vjp(np.ones((2, 4)), np.ones((3, 4)), None, np.ones(dy))

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import gates
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

BINARY = {"add": jnp.add, "multiply": jnp.multiply}
BROADCASTS = [
    ((), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((), (2,)),
    ((0, 3), (1, 3)),
    ((1,), (4, 1, 2)),
]


def pair(name):
    return getattr(gates, name), getattr(gates, name + "_vjp")


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("x_shape", "y_shape"), BROADCASTS)
def test_binary_opinions_agree(name, x_shape, y_shape) -> None:
    args = normal(0, *x_shape), normal(1, *y_shape)
    dy = normal(2, *np.broadcast_shapes(x_shape, y_shape))
    with jax.numpy_rank_promotion("allow"):
        check_against_autodiff(*pair(name), BINARY[name], args, (0, 1), dy)
    check_against_differences(*pair(name), args, (0, 1), dy)


@pytest.mark.parametrize("name", BINARY)
@settings(max_examples=15)
@given(data=st.data())
def test_binary_values(name, data) -> None:
    args, dy = (data.draw(values((2, 3))), data.draw(values((1, 3)))), data.draw(values((2, 3)))
    check_against_autodiff(*pair(name), BINARY[name], args, (0, 1), dy)


@given(values((3,)), values((3,)), values((3,)))
def test_add_distributes_and_multiply_swaps(x, y, dy) -> None:
    to_x, to_y = gates.add_vjp(x, y, dy)
    np.testing.assert_array_equal(to_x, dy)
    np.testing.assert_array_equal(to_y, dy)
    to_x, to_y = gates.multiply_vjp(x, y, dy)
    np.testing.assert_array_equal(to_x, dy * y)
    np.testing.assert_array_equal(to_y, dy * x)


@pytest.mark.parametrize("shape", [(), (3,), (2, 0)])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_copy_opinions_agree(shape, n) -> None:
    args, dy = (normal(0, *shape), n), tuple(normal(k, *shape) for k in range(n))
    check_against_autodiff(gates.copy, gates.copy_vjp, lambda x, n: (x,) * n, args, (0,), dy)
    check_against_differences(gates.copy, gates.copy_vjp, args, (0,), dy)


def test_copies_own_their_memory() -> None:
    x = np.ones(2)
    first, second = gates.copy(x, 2)
    first[0] = 5.0
    np.testing.assert_array_equal(second, [1, 1])
    np.testing.assert_array_equal(x, [1, 1])
    assert gates.copy([1, 2], 1)[0].dtype == np.float64


def test_a_value_used_twice() -> None:
    # x² as a copy gate into a multiply gate: the gradients of both inputs add to 2x.
    x = normal(0, 4)
    upstream = gates.multiply_vjp(*gates.copy(x, 2), np.ones(4))
    np.testing.assert_allclose(gates.copy_vjp(x, 2, upstream)[0], 2 * x)


@given(st.sampled_from(BROADCASTS), st.integers(0, 9))
def test_sum_to_shape_is_the_transpose_of_broadcasting(shapes, seed) -> None:
    shape, wide = shapes[0], np.broadcast_shapes(*shapes)
    x, dy = normal(seed, *shape), normal(seed + 1, *wide)
    summed = gates.sum_to_shape(dy, shape)
    assert summed.shape == shape
    # <broadcast(x), dy> = <x, sum(dy)>
    assert np.sum(np.broadcast_to(x, wide) * dy) == pytest.approx(np.sum(x * summed), abs=1e-12)


@pytest.mark.parametrize("name", BINARY)
def test_binary_gates_name_bad_shapes(name) -> None:
    f, f_vjp = pair(name)
    message = r"x of shape \(2, 3\) and y of shape \(2,\) do not broadcast"
    with pytest.raises(ValueError, match=message):
        f(np.ones((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match=message):
        f_vjp(np.ones((2, 3)), np.ones(2), np.ones((2, 3)))
    for dy in [(3,), (), (2, 1), (1, 2, 3)]:
        with pytest.raises(ValueError, match="dy has shape"):
            f_vjp(np.ones((2, 3)), np.ones(3), np.ones(dy))


def test_copy_names_bad_input() -> None:
    for n in (0, -1):
        with pytest.raises(ValueError, match="n must be at least 1"):
            gates.copy(1.0, n)
        with pytest.raises(ValueError, match="n must be at least 1"):
            gates.copy_vjp(1.0, n, ())
    for n in (2.0, True, None):
        with pytest.raises(TypeError, match="n must be an integer"):
            gates.copy(1.0, n)
    with pytest.raises(ValueError, match="dy has 3 entries but x was copied 2 times"):
        gates.copy_vjp(np.ones(2), 2, [np.ones(2)] * 3)
    with pytest.raises(ValueError, match=r"dy\[1\] has shape \(\) but x has shape \(2,\)"):
        gates.copy_vjp(np.ones(2), 2, [np.ones(2), 1.0])

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.scorer import scorer, scorer_gradients, scorer_gradients_one_at_a_time, scorer_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

FUNCTIONS = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "hardtanh": jax.nn.hard_tanh,
    "identity": lambda z: z,
}


def twin(x, W, b, u, f="tanh"):
    return jnp.dot(u, FUNCTIONS[f](jnp.dot(W, x) + b))


def arguments(n, m, seed=0):
    return normal(seed, n), normal(seed + 1, m, n), normal(seed + 2, m), normal(seed + 3, m)


@pytest.mark.parametrize("f", FUNCTIONS)
@pytest.mark.parametrize(("n", "m"), [(4, 2), (1, 1), (3, 5), (0, 2), (2, 0)])
def test_opinions_agree(f, n, m) -> None:
    args = (*arguments(n, m), f)
    check_against_autodiff(scorer, scorer_vjp, twin, args, (0, 1, 2, 3), np.array(1.7))
    check_against_differences(scorer, scorer_vjp, args, (0, 1, 2, 3), np.array(1.7))


@settings(max_examples=15)
@given(st.data())
def test_values(data) -> None:
    args = [data.draw(values(shape)) for shape in [(3,), (2, 3), (2,), (2,)]]
    check_against_autodiff(scorer, scorer_vjp, twin, (*args, "tanh"), (0, 1, 2, 3), np.array(1.0))


def test_tanh_is_the_default() -> None:
    args = arguments(4, 2)
    assert scorer(*args) == scorer(*args, "tanh")
    assert scorer_gradients(*args)[1] == scorer_gradients(*args, "tanh")[1]


def test_hardtanh_passes_at_its_kinks() -> None:
    dx, dW, db, du, df = scorer_vjp([1.0], [[1.0], [-1.0], [2.0]], np.zeros(3), np.ones(3), "hardtanh", 1.0)
    np.testing.assert_array_equal(db, [1, 1, 0])
    np.testing.assert_array_equal(dW, [[1], [1], [0]])
    np.testing.assert_array_equal(dx, [0])
    np.testing.assert_array_equal(du, [1, -1, 1])
    assert df is None


@pytest.mark.parametrize("f", FUNCTIONS)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 9))
def test_both_ways_give_the_same_gradients(f, n, m, seed) -> None:
    args = arguments(n, m, seed)
    at_once, fewer = scorer_gradients(*args, f)
    one_at_a_time, more = scorer_gradients_one_at_a_time(*args, f)
    for a, b in zip(at_once, one_at_a_time, strict=True):
        np.testing.assert_array_equal(a, b)
    assert fewer < more


class Number:
    """A float that counts its own multiplications."""

    made = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __mul__(self, other: "Number") -> "Number":
        Number.made += 1
        return Number(self.value * other.value)


def multiplications_by_hand(x, W, b, u, f, *, at_once: bool) -> int:
    """Works through the lecture's scalar formulas, entry by entry."""
    m, n = W.shape
    numbers = {name: np.vectorize(Number, otypes=[object])(v) for name, v in (("x", x), ("W", W), ("u", u))}
    Number.made = 0

    def forward(i: int) -> Number:
        z = sum((numbers["W"][i, j] * numbers["x"][j]).value for j in range(n)) + b[i]
        return Number({"tanh": np.tanh, "sigmoid": lambda v: 1 / (1 + np.exp(-v))}.get(f, lambda v: v)(z))

    def delta(i: int, h: Number) -> Number:
        if f == "tanh":
            return numbers["u"][i] * Number(1 - (h * h).value)
        if f == "sigmoid":
            return numbers["u"][i] * (h * Number(1 - h.value))
        return numbers["u"][i]

    if at_once:
        for i in range(m):
            error = delta(i, forward(i))
            for j in range(n):
                error * numbers["x"][j]
                numbers["W"][i, j] * error
        return Number.made
    for i in range(m):
        forward(i)
        delta(i, forward(i))
        error = delta(i, forward(i))
        for j in range(n):
            error * numbers["x"][j]
        error = delta(i, forward(i))
        for j in range(n):
            numbers["W"][i, j] * error
    return Number.made


@pytest.mark.parametrize("f", FUNCTIONS)
@given(st.integers(1, 5), st.integers(1, 5))
def test_multiplications_are_those_of_the_scalar_formulas(f, n, m) -> None:
    args = arguments(n, m)
    slope = 2 * m if f in ("tanh", "sigmoid") else 0
    _, at_once = scorer_gradients(*args, f)
    _, one_at_a_time = scorer_gradients_one_at_a_time(*args, f)
    assert at_once == multiplications_by_hand(*args, f, at_once=True) == 3 * m * n + slope
    assert one_at_a_time == multiplications_by_hand(*args, f, at_once=False) == 6 * m * n + 3 * slope


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((5,), (2, 4), (2,), (2,)), r"x must have shape \(4,\) for W of shape \(2, 4\), got \(5,\)"),
        (((1, 4), (2, 4), (2,), (2,)), r"x must have shape \(4,\)"),
        (((4,), (2, 4), (4,), (2,)), r"b must have shape \(2,\)"),
        (((4,), (2, 4), (2,), (3,)), r"u must have shape \(2,\)"),
        (((4,), (4,), (2,), (2,)), r"W must have shape \(hidden, inputs\)"),
    ],
)
def test_wrong_shapes_are_named(shapes, message) -> None:
    args = [np.ones(shape) for shape in shapes]
    for f in (scorer, scorer_gradients, scorer_gradients_one_at_a_time):
        with pytest.raises(ValueError, match=message):
            f(*args)
    with pytest.raises(ValueError, match=message):
        scorer_vjp(*args, "tanh", 1.0)


def test_unknown_function_and_upstream_shape_are_named() -> None:
    args = arguments(4, 2)
    with pytest.raises(ValueError, match="f must be one of tanh, sigmoid, hardtanh, identity, got 'relu'"):
        scorer(*args, "relu")
    with pytest.raises(ValueError, match=r"dy must be a scalar, got shape \(2,\)"):
        scorer_vjp(*args, "tanh", np.ones(2))

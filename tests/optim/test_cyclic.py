"""The cyclic schedule against its formula in exact arithmetic, and against torch."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.optim import cyclic_schedule

MODES = ("triangular", "triangular2", "exp_range")
BIG = 10**8


def published(step, base, peak, up, down, mode, gamma):
    """Smith's formula with two slopes, in fractions; powers of gamma in float64."""
    total = up + down
    cycle = math.floor(1 + Fraction(step, total))
    x = 1 + Fraction(step, total) - cycle
    ratio = Fraction(up, total)
    height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
    if mode == "triangular2":
        height /= 2 ** min(cycle - 1, 2000)  # beyond, it is 0 in float64 too
    scale = math.exp(step * math.log(gamma)) if mode == "exp_range" else 1.0
    return base + (peak - base) * float(height) * scale


SIZES = st.integers(1, 10**6)
STEPS = st.one_of(st.integers(0, 200), st.integers(0, BIG), st.integers(BIG - 100, BIG + 100))


@given(STEPS, SIZES, SIZES, st.sampled_from(MODES), st.sampled_from([1.0, 0.99994, 1 - 1e-7, 1 - 3e-9]))
def test_the_published_formula_at_any_step(step, up, down, mode, gamma):
    base, peak = 1e-4, 0.1
    schedule = cyclic_schedule(base, peak, up, down, mode, gamma)
    expected = published(step, base, peak, up, down, mode, gamma)
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("up", "down"), [(20, None), (7, 93), (2000, 1), (1, 1)])
def test_the_published_formula_over_many_steps(mode, up, down):
    schedule = jax.jit(jax.vmap(cyclic_schedule(0.001, 0.1, up, down, mode, 0.9999)))
    for first in (0, 2**24 - 100, BIG - 100, 2**31 - 10_001):
        # Every residue of the periods, which 7 does not divide.
        steps = np.arange(first, first + 10_000, 7, dtype=np.int32)
        expected = [published(int(step), 0.001, 0.1, up, down or up, mode, 0.9999) for step in steps]
        np.testing.assert_allclose(schedule(steps), expected, rtol=1e-6)


def test_the_ends_are_exact_in_the_hundred_millionth_step():
    schedule = cyclic_schedule(0.3, 0.7, 3, 5)
    start = BIG // 8 * 8
    values = [schedule(start + offset) for offset in (0, 3, 8, 11)]
    assert values == [np.float32(0.3), np.float32(0.7), np.float32(0.3), np.float32(0.7)]


@pytest.mark.parametrize("gamma", [0.5, 0.99994, 1 - 4e-7, 1 - 1e-9, 1.0])
@pytest.mark.parametrize("step", [1, 3, 15, 2**17 + 1, 2**24 + 1, BIG + 1])
def test_powers_of_gamma_keep_their_relative_accuracy(gamma, step):
    # The tip of a triangle of height 1 is gamma^step itself.
    value = float(cyclic_schedule(0.0, 1.0, 1, mode="exp_range", gamma=gamma)(step))
    expected = math.exp(step * math.log(gamma))
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-37)


def test_a_run_of_late_powers_keeps_its_relative_accuracy():
    # exp of a float32 product is 2e-6 off here.
    gamma = 1 - 8e-7
    steps = np.arange(BIG + 1, BIG + 2001, 2, dtype=np.int32)
    values = jax.vmap(cyclic_schedule(0.0, 1.0, 1, mode="exp_range", gamma=gamma))(steps)
    expected = np.exp(steps * math.log(gamma))
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_triangular2_halves_each_cycle_until_nothing_is_left():
    schedule = cyclic_schedule(0.0, 1.0, 2, mode="triangular2")
    assert [float(schedule(2 + 4 * cycle)) for cycle in range(5)] == [1, 0.5, 0.25, 0.125, 0.0625]
    assert float(schedule(2 + 4 * 1000)) == 0.0
    assert float(cyclic_schedule(0.01, 1.0, 2, mode="triangular2")(BIG + 2)) == np.float32(0.01)


def test_gamma_acts_in_exp_range_alone():
    for mode in ("triangular", "triangular2"):
        assert cyclic_schedule(0.1, 1.0, 4, None, mode, 0.5)(9) == cyclic_schedule(0.1, 1.0, 4, None, mode)(9)


@pytest.mark.parametrize("mode", MODES)
def test_jit_and_vmap_agree_with_plain_calls(mode):
    schedule = cyclic_schedule(0.01, 0.1, 5, 3, mode, 0.99)
    steps = jnp.arange(12, dtype=jnp.int32)
    plain = np.array([schedule(step) for step in range(12)])
    np.testing.assert_allclose(jax.vmap(schedule)(steps), plain, rtol=2e-7)
    np.testing.assert_allclose(schedule(steps.reshape(3, 4)), plain.reshape(3, 4), rtol=2e-7)
    np.testing.assert_allclose([jax.jit(schedule)(step) for step in range(12)], plain, rtol=2e-7)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_integers_of_any_width(dtype):
    schedule = cyclic_schedule(0.0, 1.0, 300, mode="exp_range", gamma=0.999)
    value = schedule(dtype(100))
    assert value == schedule(100)
    assert value.shape == ()
    assert value.dtype == jnp.float32


def test_the_same_with_64_bits():
    plain = cyclic_schedule(0.1, 1.0, 300, 7, "exp_range", 0.9999)(12345)
    with jax.enable_x64(True):
        value = cyclic_schedule(0.1, 1.0, 300, 7, "exp_range", 0.9999)(12345)
        late = cyclic_schedule(0.0, 1.0, 1, mode="exp_range", gamma=1 - 1e-11)(10**10 + 1)
        tip = cyclic_schedule(0.0, 1.0, 1, mode="triangular2")(2 * 2**32 + 1)
    assert tip == 0.0
    assert value == plain
    assert value.dtype == jnp.float32
    assert float(late) == pytest.approx(math.exp((10**10 + 1) * math.log(1 - 1e-11)), rel=1e-6)


def test_optax_takes_it():
    optimizer = optax.sgd(cyclic_schedule(0.0, 1.0, 2))
    state = optimizer.init(jnp.float32(0))
    rates = []
    for _ in range(5):
        update, state = optimizer.update(jnp.float32(-1), state)
        rates.append(float(update))
    assert rates == [0, 0.5, 1, 0.5, 0]


def test_sizes_as_whole_floats():
    # As the lecture writes it: step_size=20.
    assert cyclic_schedule(0.01, 0.1, 20.0, np.float32(10))(25) == cyclic_schedule(0.01, 0.1, 20, 10)(25)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("base_lr", -0.1, ValueError),
        ("base_lr", math.nan, ValueError),
        ("base_lr", "0.1", TypeError),
        ("max_lr", 0.001, ValueError),
        ("max_lr", math.inf, ValueError),
        ("max_lr", None, TypeError),
        ("step_size_up", 0, ValueError),
        ("step_size_up", 2.5, ValueError),
        ("step_size_up", None, TypeError),
        ("step_size_up", 2**31, ValueError),
        ("step_size_down", 0, ValueError),
        ("step_size_down", -3, ValueError),
        ("step_size_down", [1, 2], TypeError),
        ("mode", "sawtooth", ValueError),
        ("gamma", 0.0, ValueError),
        ("gamma", 1.01, ValueError),
        ("gamma", math.nan, ValueError),
    ],
)
def test_a_bad_argument_is_named_at_construction(name, value, error):
    arguments = {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, name: value}
    with pytest.raises(error, match=f"^{name} "):
        cyclic_schedule(**arguments)


def test_a_step_that_is_no_integer_raises():
    schedule = cyclic_schedule(0.01, 0.1, 5)
    for step in (1.0, jnp.float32(1), True):
        with pytest.raises(TypeError, match="step must be an integer, got (float32|bool)"):
            schedule(step)
    with pytest.raises(TypeError, match="step must be an integer, got float32"):
        jax.jit(schedule)(jnp.float32(1))
    for step in (-1, np.int32(-1)):
        with pytest.raises(ValueError, match="step must be at least 0, got -1"):
            schedule(step)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("up", "down"), [(20, None), (7, 93), (2000, 500)])
def test_torch_agrees_over_ten_thousand_steps(mode, up, down):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, 0.001, 0.1, up, down, mode=mode, gamma=0.99994, cycle_momentum=False
    )
    expected = []
    for _ in range(10_000):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    values = jax.vmap(cyclic_schedule(0.001, 0.1, up, down, mode, 0.99994))(jnp.arange(10_000))
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * 0.1)

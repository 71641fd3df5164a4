"""Each schedule against ours or optax's; the wave and its momentum against torch's where it is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.optim import cyclic_schedule
from jaxbackprop.train import Config, make_schedule
from reference.optimizers import sgd
from reference.schedules import (
    constant,
    cyclic,
    cyclic_momentum,
    exponential,
    reduce_on_plateau,
    step_decay,
    warmup_cosine,
)

STEPS = np.arange(400)
MODES = [("triangular", 1.0), ("triangular2", 1.0), ("exp_range", 0.99)]


def by_optax(schedule):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        return np.asarray(jax.vmap(schedule)(jnp.asarray(STEPS, jnp.int64)))


@pytest.mark.parametrize(
    ("ours", "config"),
    [
        (constant(STEPS, 0.25), Config(schedule="constant", lr=0.25)),
        (step_decay(STEPS, 0.25, 100), Config(schedule="halving", lr=0.25, halve_every=2.0)),
        (exponential(STEPS, 0.25, 0.3 / 50), Config(schedule="exponential", lr=0.25, decay=0.3)),
        (
            cyclic(STEPS, 0.1, 0.5, 37, 38, "triangular2"),
            Config(schedule="cyclic", lr=0.5, base_lr=0.1, cycle_epochs=1.5, cyclic_mode="triangular2"),
        ),
    ],
    ids=["constant", "halving", "exponential", "cyclic"],
)
def test_the_schedules_of_training(ours, config) -> None:
    assert ours.shape == STEPS.shape
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, jax.vmap(make_schedule(config, 50))(jnp.asarray(STEPS)), rtol=1e-6)


def test_the_schedules_of_optax() -> None:
    for ours, schedule in [
        (constant(STEPS, 0.3), lambda count: optax.constant_schedule(0.3)(count) + 0 * count),
        (step_decay(STEPS, 0.3, 30, 0.7), optax.exponential_decay(0.3, 30, 0.7, staircase=True)),
        (exponential(STEPS, 0.3, 0.02), optax.exponential_decay(0.3, 1, float(np.exp(-0.02)))),
        (
            warmup_cosine(STEPS, 0.01, 0.3, 40, 350, 0.02),
            optax.warmup_cosine_decay_schedule(0.01, 0.3, 40, 350, 0.02),
        ),
        (warmup_cosine(STEPS, 0.0, 0.3, 1, 400), optax.warmup_cosine_decay_schedule(0.0, 0.3, 1, 400)),
    ]:
        np.testing.assert_allclose(ours, by_optax(schedule), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("mode", "gamma"), MODES)
@pytest.mark.parametrize(("up", "down"), [(20, None), (7, 30), (1, 1)])
def test_cyclic(mode, gamma, up, down) -> None:
    theirs = cyclic_schedule(0.01, 0.1, up, down, mode=mode, gamma=gamma)
    np.testing.assert_allclose(cyclic(STEPS, 0.01, 0.1, up, down, mode, gamma), theirs(STEPS), rtol=1e-6)


@pytest.mark.parametrize(("mode", "gamma"), MODES)
def test_the_momentum_falls_as_the_rate_rises(mode, gamma) -> None:
    rates = cyclic(STEPS, 0.01, 0.1, 20, 30, mode, gamma)
    momenta = cyclic_momentum(STEPS, 0.85, 0.95, 20, 30, mode, gamma)
    np.testing.assert_allclose((0.95 - momenta) / 0.1, (rates - 0.01) / 0.09, atol=1e-14)
    assert (momenta[0], momenta[20]) == pytest.approx((0.95, 0.95 - 0.1 * gamma**20))
    # The length of a step under a steady gradient swings less than the rate alone.
    lengths = rates / (1 - momenta)
    assert lengths.max() / lengths.min() < 0.5 * rates.max() / rates.min()


@pytest.mark.parametrize(("mode", "gamma"), MODES)
def test_cyclic_is_torchs(mode, gamma) -> None:
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, 0.01, 0.1, 20, 30, mode, gamma, base_momentum=0.85, max_momentum=0.95
    )
    found = []
    for _ in STEPS:
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    rates, momenta = np.array(found).T
    np.testing.assert_allclose(cyclic(STEPS, 0.01, 0.1, 20, 30, mode, gamma), rates, rtol=1e-11)
    np.testing.assert_allclose(cyclic_momentum(STEPS, 0.85, 0.95, 20, 30, mode, gamma), momenta, rtol=1e-11)


def plateau_of_optax(values, rate, min_rate, **settings):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        schedule = optax.contrib.reduce_on_plateau(min_scale=min_rate / rate, **settings)
        one = jnp.asarray(1.0, jnp.float64)

        def step(state, value):
            scaled, state = schedule.update(one, state, value=value)
            return state, scaled

        _, scales = jax.lax.scan(step, schedule.init(one), jnp.asarray(values, jnp.float64))
    return rate * np.asarray(scales)


@given(
    st.lists(st.sampled_from([1.0, 0.9999, 0.999, 0.99, 0.9, 0.5, 0.1, np.nan]), min_size=24, max_size=24),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from([(1e-4, 0.0), (0.0, 1e-3), (0.1, 0.05)]),
)
def test_reduction_on_a_plateau(values, patience, cooldown, tolerances) -> None:
    rtol, atol = tolerances
    settings = {"factor": 0.25, "patience": patience, "rtol": rtol, "atol": atol, "cooldown": cooldown}
    ours = reduce_on_plateau(values, 0.2, min_rate=0.001, **settings)
    np.testing.assert_allclose(ours, plateau_of_optax(values, 0.2, 0.001, **settings), rtol=1e-14)


def test_a_plateau_by_hand() -> None:
    values = [1.0, 0.5, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4]
    rates = reduce_on_plateau(values, 1.0, factor=0.5, patience=2, cooldown=1, min_rate=0.2)
    np.testing.assert_allclose(rates, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])
    np.testing.assert_allclose(
        reduce_on_plateau([1.0] * 12, 0.01, factor=0.25, atol=1e-4, rtol=0.0, min_rate=1e-5)[-2:],
        [0.0025] * 2,
    )


@pytest.mark.parametrize(("rate", "shrinks"), [(0.49, True), (0.51, False)])
def test_a_rate_above_two_over_the_curvature_diverges(rate, shrinks) -> None:
    theta = 1.0
    for _ in range(200):
        theta, _ = sgd(theta, 4.0 * theta, 0.0, rate=rate)
    assert (abs(theta) < 1) == shrinks


@pytest.mark.parametrize("rate", [0.2, 0.02])
def test_what_the_noise_leaves(rate) -> None:
    # V = η σ² / (c (2 - ηc)), within six standard errors √(2/n) V of the variance of n normal numbers.
    rng = np.random.default_rng(0)
    theta = np.zeros(100_000)
    for _ in range(200):
        theta, _ = sgd(
            theta, 4.0 * theta + 3.0 * rng.normal(size=theta.size), np.zeros_like(theta), rate=rate
        )
    expected = rate * 9.0 / (4.0 * (2 - rate * 4.0))
    assert theta.var() == pytest.approx(expected, rel=6 * np.sqrt(2 / theta.size))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="step must be at least 0, got -1"):
        constant([3, -1], 0.1)
    with pytest.raises(TypeError, match="step must hold integers, got float64"):
        exponential(0.5, 0.1, 0.1)
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        step_decay(3, 0.1, 0)
    with pytest.raises(ValueError, match="up must be at least 1, got 0"):
        cyclic(3, 0.1, 0.2, 0)
    with pytest.raises(ValueError, match="down must be at least 1, got 0"):
        cyclic_momentum(3, 0.1, 0.2, 5, 0)
    with pytest.raises(ValueError, match="mode must be one of triangular, triangular2, exp_range, got 'saw'"):
        cyclic(3, 0.1, 0.2, 5, mode="saw")
    with pytest.raises(ValueError, match=r"gamma must be in \(0, 1\], got 1.5"):
        cyclic(3, 0.1, 0.2, 5, gamma=1.5)
    with pytest.raises(ValueError, match="warmup must be at least 1, got 0"):
        warmup_cosine(3, 0.0, 0.1, 0, 10)
    with pytest.raises(ValueError, match="total must be above warmup, which is 10, got 10"):
        warmup_cosine(3, 0.0, 0.1, 10, 10)
    with pytest.raises(ValueError, match=r"factor must be in \(0, 1\), got 1.0"):
        reduce_on_plateau([1.0], 0.1, factor=1.0)
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        reduce_on_plateau([1.0], 0.1, patience=0)
    with pytest.raises(ValueError, match="min_rate must be at most rate, which is 0.1, got 0.2"):
        reduce_on_plateau([1.0], 0.1, min_rate=0.2)

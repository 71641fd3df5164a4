"""Schedules against their formulas and optax's; warm-up; the momentum that goes against the cyclic rate."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxbackprop.train import Config, make_momentum, make_schedule
from reference import schedules as paper

PER_EPOCH = 50


def rates(steps=400, per_epoch=PER_EPOCH, **settings):
    schedule = make_schedule(Config(**settings), per_epoch)
    return np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(steps)))


def test_constant_stays():
    np.testing.assert_array_equal(rates(schedule="constant", lr=0.25), np.full(400, 0.25))


def test_halving_halves_every_k_epochs():
    expected = [0.25 * 0.5 ** (step // (2 * PER_EPOCH)) for step in range(400)]
    np.testing.assert_allclose(rates(schedule="halving", lr=0.25, halve_every=2.0), expected)


def test_exponential_decays_with_the_epochs():
    expected = 0.25 * np.exp(-0.3 * np.arange(400) / PER_EPOCH)
    np.testing.assert_allclose(rates(schedule="exponential", lr=0.25, decay=0.3), expected, rtol=1e-6)


def test_cyclic_starts_low_peaks_in_the_middle_and_returns():
    settings = {"schedule": "cyclic", "lr": 0.5, "base_lr": 0.1, "cycle_epochs": 2.0}
    triangular = rates(cyclic_mode="triangular", **settings)
    assert triangular[[0, 50, 100, 150, 200]] == pytest.approx([0.1, 0.5, 0.1, 0.5, 0.1])
    assert rates(cyclic_mode="triangular2", **settings)[[50, 150, 250]] == pytest.approx([0.5, 0.3, 0.2])
    exp_range = rates(cyclic_mode="exp_range", gamma=0.99, **settings)
    np.testing.assert_allclose(exp_range - 0.1, (triangular - 0.1) * 0.99 ** np.arange(400), atol=1e-6)


def test_epochs_need_not_be_a_whole_number_of_updates_nor_cycles_even():
    odd = rates(
        schedule="cyclic", lr=0.5, base_lr=0.1, cycle_epochs=1.0, cyclic_mode="triangular", per_epoch=2.6
    )
    # Three updates a cycle: one up, two down.
    assert odd[:7] == pytest.approx([0.1, 0.5, 0.3, 0.1, 0.5, 0.3, 0.1])


def test_a_cycle_shorter_than_two_updates_is_two():
    short = rates(steps=4, schedule="cyclic", lr=0.5, base_lr=0.1, cycle_epochs=0.01)
    assert short[0] == pytest.approx(0.1)


def test_less_than_one_update_an_epoch_is_refused():
    with pytest.raises(ValueError, match="steps_per_epoch must be at least 1, not 0.5"):
        make_schedule(Config(), 0.5)


@pytest.mark.parametrize("min_lr", [0.0, 0.01])
def test_cosine_falls_to_its_end_in_the_last_epoch(min_lr):
    ours = rates(schedule="cosine", lr=0.25, min_lr=min_lr, epochs=7)
    np.testing.assert_allclose(ours[:350], paper_cosine(7 * PER_EPOCH, min_lr)[:350], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(ours[350:], min_lr, atol=1e-8)
    assert (ours[0], ours[175]) == (0.25, pytest.approx((0.25 + min_lr) / 2))


def paper_cosine(total, end):
    return end + (0.25 - end) * (1 + np.cos(np.pi * np.arange(total) / total)) / 2


def test_warm_up_and_cosine_are_those_of_optax_and_of_paper():
    ours = rates(schedule="cosine", lr=0.25, min_lr=0.01, warmup_epochs=1.5, epochs=7)
    steps = np.arange(400)
    theirs = optax.warmup_cosine_decay_schedule(0.0, 0.25, 75, 350, 0.01)
    with jax.numpy_dtype_promotion("standard"):
        np.testing.assert_allclose(ours, theirs(jnp.asarray(steps)), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(
        ours, paper.warmup_cosine(steps, 0.0, 0.25, 75, 350, 0.01), rtol=1e-5, atol=1e-8
    )


EACH = [
    {"schedule": "constant"},
    {"schedule": "plateau"},
    {"schedule": "halving", "halve_every": 1.0},
    {"schedule": "exponential", "decay": 0.5},
    *(
        {"schedule": "cyclic", "cycle_epochs": 2.0, "cyclic_mode": mode}
        for mode in ("triangular", "exp_range")
    ),
]


@pytest.mark.parametrize("settings", EACH, ids=lambda settings: "-".join(map(str, settings.values())))
def test_any_schedule_begins_after_a_straight_rise_from_0(settings):
    plain, warmed = rates(**settings, lr=0.25), rates(**settings, lr=0.25, warmup_epochs=0.5)
    np.testing.assert_allclose(warmed[:25], plain[0] * np.arange(25) / 25, rtol=1e-6)
    np.testing.assert_allclose(warmed[25:], plain[:-25], rtol=1e-6)


@pytest.mark.parametrize("settings", EACH[2:4], ids=["halving", "exponential"])
def test_no_rate_is_below_the_least(settings):
    bounded, plain = rates(**settings, lr=0.25, min_lr=0.02), rates(**settings, lr=0.25)
    np.testing.assert_allclose(bounded, np.maximum(plain, 0.02), rtol=1e-6)
    assert plain.min() < 0.01


def test_a_schedule_takes_numbers_that_are_no_arrays():
    for settings in (*EACH, {"schedule": "cosine"}):
        schedule = make_schedule(Config(**settings, warmup_epochs=0.5), PER_EPOCH)
        assert float(schedule(3)) == pytest.approx(float(jax.jit(schedule)(3)))


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_momentum_falls_as_the_cyclic_rate_rises(mode):
    settings = {"schedule": "cyclic", "cycle_epochs": 2.0, "cyclic_mode": mode, "gamma": 0.99}
    inverse = {"optimizer": "nesterov", "momentum": 0.95, "base_momentum": 0.85}
    momentum = jax.vmap(make_momentum(Config(**settings, **inverse), PER_EPOCH))(jnp.arange(400))
    expected = paper.cyclic_momentum(np.arange(400), 0.85, 0.95, 50, 50, mode, 0.99)
    np.testing.assert_allclose(momentum, expected, rtol=1e-6)
    rate = rates(**settings, lr=0.25)
    np.testing.assert_allclose((rate - 0.0125) / 0.2375, (0.95 - momentum) / 0.1, atol=1e-5)
    warmed = make_momentum(Config(**settings, **inverse, warmup_epochs=1.0), PER_EPOCH)
    at = [float(warmed(step)) for step in (0, 30, 50, 100)]
    assert at == pytest.approx([0.95, 0.95, 0.95, float(momentum[50])])


def test_momentum_that_is_not_to_change_has_no_schedule():
    assert make_momentum(Config(optimizer="momentum"), PER_EPOCH) is None

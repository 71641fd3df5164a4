"""Schedules against their formulas; optimizers against optax's own trajectories."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxbackprop.train import Config, make_optimizer, make_schedule

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


OWN = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.7),
    "adam": optax.adam,
    "radam": optax.radam,
    "adagrad": optax.adagrad,
    "rmsprop": optax.rmsprop,
}


@pytest.mark.parametrize("name", OWN)
def test_an_optimizer_follows_optax_own(name):
    config = Config(optimizer=name, momentum=0.7, schedule="halving", halve_every=0.04, lr=0.1)
    schedule = make_schedule(config, PER_EPOCH)

    def trajectory(optimizer):
        x = jnp.array([1.0, -2.0])
        state = optimizer.init(x)
        points = []
        for _ in range(8):
            updates, state = optimizer.update(jnp.cos(x) + 2 * x, state, x)
            x = optax.apply_updates(x, updates)
            points.append(x)
        return jnp.stack(points)

    # optax itself is not written for strict promotion.
    with jax.numpy_dtype_promotion("standard"):
        compare(trajectory, config, schedule, name)


def compare(trajectory, config, schedule, name):
    mine, theirs = trajectory(make_optimizer(config, schedule)), trajectory(OWN[name](schedule))
    np.testing.assert_array_equal(mine, theirs)
    constant = trajectory(OWN[name](0.1))
    assert not np.allclose(mine, constant)

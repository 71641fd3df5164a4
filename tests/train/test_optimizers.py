"""Optimizers against optax's own trajectories and the paper's; clipping and decoupled decay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxbackprop.optim import RowGradient
from jaxbackprop.train import (
    Config,
    RowUpdates,
    make_clipping,
    make_momentum,
    make_optimizer,
    make_row_optimizer,
    make_schedule,
)
from reference import optimizers as paper

PER_EPOCH = 50


@pytest.fixture(autouse=True)
def standard_promotion():
    # optax itself is not written for strict promotion.
    with jax.numpy_dtype_promotion("standard"):
        yield


def gradient(x):
    return jnp.cos(x) + 2 * x


def trajectory(optimizer, start=(1.0, -2.0), gradient=gradient, steps=8):
    x = jnp.array(start)
    state, points = optimizer.init(x), []
    for _ in range(steps):
        updates, state = optimizer.update(gradient(x), state, x)
        x = optax.apply_updates(x, updates)
        points.append(x)
    return jnp.stack(points)


OWN = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.7),
    "nesterov": lambda rate: optax.sgd(rate, momentum=0.7, nesterov=True),
    "adam": optax.adam,
    "adamw": lambda rate: optax.adamw(rate, weight_decay=0.01),
    "radam": optax.radam,
    "adagrad": optax.adagrad,
    "rmsprop": optax.rmsprop,
}


def settings(**more):
    return Config(**{"momentum": 0.7, "schedule": "halving", "halve_every": 0.04, "lr": 0.1, **more})


@pytest.mark.parametrize("name", OWN)
def test_an_optimizer_follows_optax_own(name):
    config = settings(optimizer=name)
    schedule = make_schedule(config, PER_EPOCH)
    mine, theirs = trajectory(make_optimizer(config, schedule)), trajectory(OWN[name](schedule))
    np.testing.assert_array_equal(mine, theirs)
    assert not np.allclose(mine, trajectory(OWN[name](0.1)))


@pytest.mark.parametrize("name", OWN)
def test_decoupled_decay_takes_rate_times_decay_off_beside_the_step(name):
    # Where the gradient does not depend on x, the optimizer's own steps are the same with and without.
    config = settings(optimizer=name, weight_decay=0.3)
    schedule = make_schedule(config, PER_EPOCH)
    constant = jnp.array([0.5, -0.25])
    decayed = trajectory(make_optimizer(config, schedule), gradient=lambda x: constant)
    plain = trajectory(
        make_optimizer(settings(optimizer=name, weight_decay=0.0), schedule), gradient=lambda x: constant
    )
    x = before = np.array([1.0, -2.0])
    for step, point in enumerate(np.asarray(plain)):
        x, before = x * (1 - 0.3 * float(schedule(step))) + (point - before), point
        np.testing.assert_allclose(decayed[step], x, rtol=1e-5)


def test_under_adam_the_penalty_is_divided_by_the_gradients_and_the_decay_is_not():
    # Two weights of one size, one with gradients a thousand times as large.
    slopes = jnp.array([1.0, 1000.0])

    def noise(x, l2=0.0):
        return slopes * jnp.array([1.0, -1.0]) + l2 * x

    coupled = trajectory(optax.adam(0.01), (3.0, 3.0), lambda x: noise(x, 1.0), steps=4)
    without = trajectory(optax.adam(0.01), (3.0, 3.0), noise, steps=4)
    config = settings(optimizer="adamw", weight_decay=1.0, schedule="constant", lr=0.01)
    schedule = make_schedule(config, PER_EPOCH)
    decoupled = trajectory(make_optimizer(config, schedule), (3.0, 3.0), noise, steps=4)
    pulled = np.abs(decoupled - without)[-1]
    assert pulled[0] == pytest.approx(pulled[1], rel=0.05)
    assert np.abs(coupled - without)[-1].max() < 0.01 * pulled.min()


def test_decay_leaves_alone_what_is_not_to_decay():
    config = settings(optimizer="sgd", weight_decay=0.5, schedule="constant")
    optimizer = make_optimizer(
        config, make_schedule(config, PER_EPOCH), decayed=lambda params: {"kernel": True, "bias": False}
    )
    params = {"kernel": jnp.ones(2), "bias": jnp.ones(2)}
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.05)
    np.testing.assert_array_equal(updates["bias"], 0.0)


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_momentum_that_changes_follows_paper(name):
    config = settings(
        optimizer=name, schedule="cyclic", cycle_epochs=0.12, base_momentum=0.3, weight_decay=0.0
    )
    schedule, momentum = make_schedule(config, PER_EPOCH), make_momentum(config, PER_EPOCH)
    points = trajectory(make_optimizer(config, schedule, momentum=momentum), steps=10)
    theta, velocity = np.array([1.0, -2.0]), np.zeros(2)
    for step, point in enumerate(points):
        theta, velocity = paper.sgd(
            theta,
            np.cos(theta) + 2 * theta,
            velocity,
            rate=float(schedule(step)),
            momentum=float(momentum(step)),
            nesterov=name == "nesterov",
        )
        np.testing.assert_allclose(point, theta, rtol=1e-4, atol=1e-6)


def test_a_gradient_that_is_longer_than_the_bound_is_scaled_down_to_it():
    config = settings(optimizer="sgd", schedule="constant", clip_norm=5.0)
    optimizer = make_optimizer(config, make_schedule(config, PER_EPOCH))
    params = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    for gradient, factor in (([3.0, 0.0, 4.0], 1.0), ([6.0, 0.0, 8.0], 0.5)):
        grads = {"a": jnp.array(gradient[:2]), "b": jnp.array(gradient[2:])}
        updates, _ = optimizer.update(grads, optimizer.init(params), params)
        np.testing.assert_allclose(
            [*updates["a"], *updates["b"]], -0.1 * factor * np.array(gradient), rtol=1e-6
        )
    assert make_clipping(Config()) is None


def test_tables_and_other_parameters_are_clipped_by_one_norm():
    config = settings(optimizer="sgd", schedule="constant", clip_norm=5.0)
    schedule = make_schedule(config, PER_EPOCH)
    by_rows = RowUpdates(
        make_row_optimizer(config, schedule), {("table",): "ids"}, None, make_clipping(config)
    )
    optimizer = by_rows.beside(make_optimizer(config, schedule))
    params = ({"w": jnp.zeros(1)}, {("table",): jnp.zeros((4, 1))})
    rows = RowGradient(jnp.array([2, 0, 2]), jnp.array([[3.0], [0.0], [3.0]]), (4, 1))
    updates, _ = optimizer.update(
        ({"w": jnp.array([8.0])}, {("table",): rows}), optimizer.init(params), params
    )
    np.testing.assert_allclose(updates[0]["w"], -0.4, rtol=1e-6)
    np.testing.assert_allclose(updates[1]["table",].dense()[:, 0], [0, 0, -0.3, 0], rtol=1e-6)


def test_which_optimizers_move_the_rows_of_a_batch_alone():
    schedule = make_schedule(Config(), PER_EPOCH)
    by_rows = {name for name in OWN if make_row_optimizer(Config(optimizer=name), schedule) is not None}
    assert by_rows == {"sgd", "adagrad", "adam", "adamw"}

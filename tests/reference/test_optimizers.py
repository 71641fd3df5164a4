"""Each step against optax's over a hundred of them; RAdam's derivation against chi-squared numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from reference.l2 import l2_vjp
from reference.optimizers import (
    adagrad,
    adam,
    adamw,
    averaged_squares,
    radam,
    rectification,
    rmsprop,
    sgd,
)
from tests.reference.opinions import normal

STEPS = 100


def gradient(theta):
    """Of a sum of waves in a bowl: it changes its size and sign, and one entry never has any."""
    slope = 0.3 * theta + np.sin(3 * theta) + 0.01 * theta**3
    slope[-1] = 0.0
    return slope


def rate(step):
    return 0.1 / math.sqrt(step)


def by_optax(transformation, theta):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        optimizer = transformation(lambda count: 0.1 / jnp.sqrt(count.astype(jnp.float64) + 1))
        theta = jnp.asarray(theta)
        state, points = optimizer.init(theta), []
        update = jax.jit(optimizer.update)
        for _ in range(STEPS):
            updates, state = update(jnp.asarray(gradient(np.array(theta))), state, theta)
            theta = optax.apply_updates(theta, updates)
            points.append(np.asarray(theta))
    return np.stack(points)


def on_paper(rule, theta, memory, numbered=False):
    points = []
    for step in range(1, STEPS + 1):
        number = (step,) if numbered else ()
        theta, *memory = rule(theta, gradient(theta), *memory, *number, rate=rate(step))
        points.append(theta)
    return np.stack(points)


def with_settings(rule, **settings):
    return lambda *args, rate: rule(*args, rate=rate, **settings)


ZERO = np.zeros(7)
CASES = {
    "sgd": (sgd, [ZERO], False, optax.sgd),
    "momentum": (
        with_settings(sgd, momentum=0.8),
        [ZERO],
        False,
        lambda rate: optax.sgd(rate, momentum=0.8),
    ),
    "nesterov": (
        with_settings(sgd, momentum=0.8, nesterov=True),
        [ZERO],
        False,
        lambda rate: optax.sgd(rate, momentum=0.8, nesterov=True),
    ),
    "adagrad": (adagrad, [np.full(7, 0.1)], False, optax.adagrad),
    "adagrad from 0": (
        with_settings(adagrad, epsilon=1e-3),
        [ZERO],
        False,
        lambda rate: optax.adagrad(rate, initial_accumulator_value=0.0, eps=1e-3),
    ),
    "rmsprop": (rmsprop, [ZERO], False, optax.rmsprop),
    "rmsprop, settings": (
        with_settings(rmsprop, decay=0.7, epsilon=1e-2),
        [ZERO],
        False,
        lambda rate: optax.rmsprop(rate, decay=0.7, eps=1e-2),
    ),
    "adam": (adam, [ZERO, ZERO], True, optax.adam),
    "adam, settings": (
        with_settings(adam, b1=0.5, b2=0.9, epsilon=1e-2),
        [ZERO, ZERO],
        True,
        lambda rate: optax.adam(rate, b1=0.5, b2=0.9, eps=1e-2),
    ),
    "adamw": (
        with_settings(adamw, weight_decay=0.2),
        [ZERO, ZERO],
        True,
        lambda rate: optax.adamw(rate, weight_decay=0.2),
    ),
    "radam": (radam, [ZERO, ZERO], True, optax.radam),
    "radam, settings": (
        with_settings(radam, b1=0.5, b2=0.9, epsilon=1e-2, threshold=6.5),
        [ZERO, ZERO],
        True,
        lambda rate: optax.radam(rate, b1=0.5, b2=0.9, eps=1e-2, threshold=6.5),
    ),
    "radam, never adapted": (
        with_settings(radam, b2=0.6),
        [ZERO, ZERO],
        True,
        lambda rate: optax.radam(rate, b2=0.6),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hundred_steps_are_optaxs(name) -> None:
    rule, memory, numbered, transformation = CASES[name]
    theta = normal(0, 7)
    ours, theirs = on_paper(rule, theta, memory, numbered), by_optax(transformation, theta)
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)
    # The steps have gone somewhere, and the entry without a gradient nowhere but where it decays.
    assert np.all(np.abs(ours[-1, :-1] - theta[:-1]) > 0.01)
    assert (ours[-1, -1] == theta[-1]) == (name != "adamw")


def test_momentum_makes_steps_longer() -> None:
    theta, velocity = np.zeros(()), np.zeros(())
    for _ in range(300):
        theta, velocity = sgd(theta, 2.0, velocity, rate=0.1, momentum=0.9)
    assert velocity == pytest.approx(2.0 / (1 - 0.9))


def test_nesterovs_gradient_is_taken_ahead() -> None:
    # v ← μ v + g(θ - η μ v), θ ← θ - η v, seen at θ - η μ v.
    eta, mu = 0.05, 0.8
    theta = normal(0, 7)
    ahead, memory, velocity = theta.copy(), np.zeros(7), np.zeros(7)
    for _ in range(50):
        velocity = mu * velocity + gradient(theta - eta * mu * velocity)
        theta = theta - eta * velocity
        ahead, memory = sgd(ahead, gradient(ahead), memory, rate=eta, momentum=mu, nesterov=True)
        np.testing.assert_allclose(ahead, theta - eta * mu * velocity, rtol=1e-12, atol=1e-13)


def test_first_steps() -> None:
    theta, g, zero = np.zeros(3), np.array([1e-3, -1.0, 1e3]), np.zeros(3)
    np.testing.assert_allclose(adam(theta, g, zero, zero, 1, rate=0.1)[0], -0.1 * np.sign(g), rtol=1e-4)
    np.testing.assert_allclose(
        rmsprop(theta, g, zero, rate=0.1)[0], -0.1 * np.sign(g) / math.sqrt(0.1), rtol=0.1
    )
    np.testing.assert_allclose(radam(theta, g, zero, zero, 1, rate=0.1)[0], -0.1 * g)


def test_a_penalty_is_weight_decay_for_sgd_and_not_for_adam() -> None:
    theta, g, zero, decay, eta = normal(0, 5), normal(1, 5), np.zeros(5), 0.3, 0.1
    penalised = g + l2_vjp(theta, decay / 2, 1.0)[0]
    apart, _ = sgd(theta, g, zero, rate=eta)
    np.testing.assert_allclose(sgd(theta, penalised, zero, rate=eta)[0], apart - eta * decay * theta)
    apart, *_ = adamw(theta, g, zero, zero, 1, rate=eta, weight_decay=decay)
    together, *_ = adam(theta, penalised, zero, zero, 1, rate=eta)
    assert np.abs(together - apart).max() > 0.01


@pytest.mark.parametrize("b2", [0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("step", [1, 2, 5, 6, 40, 3000])
def test_a_plain_mean_of_so_many_squares_has_the_same_mean_age(step, b2) -> None:
    ages = np.arange(step)
    weights = b2**ages / np.sum(b2**ages)
    rho = averaged_squares(step, b2)
    assert (rho - 1) / 2 == pytest.approx(np.sum(ages * weights), rel=1e-8, abs=1e-10)


def test_when_the_rate_is_adapted() -> None:
    assert [averaged_squares(step) >= 5 for step in (4, 5, 6, 7)] == [False, False, True, True]
    assert averaged_squares(4) < 4 < averaged_squares(5) < 5
    assert averaged_squares(10**6) == pytest.approx(1999)
    # Up to 0.6 the mean is never one of more than four squares.
    assert averaged_squares(10**4, 0.6) == pytest.approx(4)
    factors = [rectification(step) for step in range(6, 20_000, 50)]
    assert all(low <= high for low, high in zip(factors, factors[1:], strict=False))
    assert factors[0] < 0.03
    assert factors[-1] == pytest.approx(1, abs=1e-6)


def adapted_rate(rho):
    """Exact mean and variance of 1/√v, v the mean of ρ squares of standard normal numbers."""
    mean = math.sqrt(rho / 2) * math.exp(math.lgamma((rho - 1) / 2) - math.lgamma(rho / 2))
    return mean, rho / (rho - 2) - mean**2


@pytest.mark.parametrize("rho", [9, 20, 100])
def test_the_variance_of_the_rate(rho) -> None:
    draws = 200_000
    rates = 1 / np.sqrt(np.mean(np.random.default_rng(0).normal(size=(draws // 10, 10, rho)) ** 2, axis=2))
    mean, variance = adapted_rate(rho)
    # Six standard errors; of the variance, by the fourth moment, which is finite for ρ > 4.
    assert abs(rates.mean() - mean) < 6 * math.sqrt(variance / draws)
    fourth = np.mean((rates - mean) ** 4)
    assert abs(rates.var() - variance) < 6 * math.sqrt((fourth - variance**2) / draws)


def test_the_formula_of_the_variance_comes_close() -> None:
    # Of first order: its relative error falls like 1/ρ.
    errors = [rho / (2 * (rho - 2) * (rho - 4)) / adapted_rate(rho)[1] - 1 for rho in (20, 200, 2000)]
    assert 0 < errors[2] < errors[1] / 8 < errors[0] / 64
    assert errors[1] < 0.02


def test_the_rectified_rate_varies_as_in_the_end() -> None:
    def variance(rho):
        return rho / (2 * (rho - 2) * (rho - 4))

    for step in (6, 10, 100, 1000):
        rho = averaged_squares(step)
        assert rectification(step) ** 2 * variance(rho) == pytest.approx(variance(1999))


def test_bad_input_is_named() -> None:
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(ValueError, match=r"gradient has shape \(2,\) but theta has shape \(1,\)"):
        sgd(one, two, one, rate=0.1)
    with pytest.raises(ValueError, match=r"square has shape \(2,\) but theta has shape \(1,\)"):
        radam(one, one, one, two, 1, rate=0.1)
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\), got 1.0"):
        sgd(one, one, one, rate=0.1, momentum=1.0)
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\)"):
        rmsprop(one, one, one, rate=0.1, decay=-0.1)
    with pytest.raises(ValueError, match="b1 must be in"):
        adam(one, one, one, one, 1, rate=0.1, b1=1.5)
    with pytest.raises(ValueError, match="step must be at least 1, got 0"):
        adamw(one, one, one, one, 0, rate=0.1)
    with pytest.raises(ValueError, match="threshold must be above 4, got 4"):
        radam(one, one, one, one, 1, rate=0.1, threshold=4.0)
    with pytest.raises(ValueError, match=r"step 3 with b2 0.999 averages 3 squares, and above 4 are needed"):
        rectification(3)

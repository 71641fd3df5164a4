"""The range test: rates that grow, a loss that falls and diverges, and what is read from it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxbackprop.train import RangeTest, draw_range_test, growing_rate, range_test
from jaxbackprop.train._range_test import _smoothed, suggest


class Bowl(nnx.Module):
    def __init__(self):
        self.at = nnx.Param(jnp.array([1.0, 0.1]))


CURVATURES = jnp.array([20.0, 2.0])


def bowl(model, batch, key):
    """Of the curvatures 20 and 2: gradient descent diverges from a rate of 0.1 on."""
    return jnp.sum(CURVATURES * model.at[...] ** 2) / 2


def moving_bowl(model, batch, key):
    """Its bottom is elsewhere with each batch, as that of a loss of examples."""
    return jnp.sum(CURVATURES * (model.at[...] - 0.1 * jnp.mean(batch)) ** 2) / 2


DATA = np.random.default_rng(0).normal(size=(512, 1)).astype(np.float32)


def trial(low=1e-5, high=10.0, steps=300, loss=bowl, **more):
    schedule = growing_rate(low, high, steps)
    options = {"optimizer": optax.sgd(schedule), "schedule": schedule, "steps": steps, "batch_size": 8}
    return range_test(Bowl(), loss, DATA, **{**options, **more})


def test_the_rate_grows_by_one_factor():
    rates = jax.vmap(growing_rate(1e-4, 10.0, 51))(jnp.arange(51))
    np.testing.assert_allclose(rates, np.geomspace(1e-4, 10.0, 51), rtol=1e-5)


def test_gradient_descent_on_a_bowl_is_told_a_rate_that_descends():
    found = trial(loss=moving_bowl, batch_size=1)
    assert found.diverged
    # Each update multiplies a direction of curvature c by 1 - rate c: the steepest one grows from 2/c on.
    assert 0.003 < found.peak < 0.1
    assert 1e-5 < found.base <= found.peak / 4


def test_each_loss_is_that_before_the_update_with_its_rate():
    found = trial()
    assert found.diverged
    assert len(found.rates) == len(found.losses) == len(found.smoothed) < 300
    at = np.array([1.0, 0.1])
    for rate, loss in zip(found.rates, found.losses, strict=True):
        assert loss == pytest.approx(float((np.asarray(CURVATURES) * at**2).sum() / 2), rel=1e-3, abs=1e-9)
        at = at * (1 - rate * np.asarray(CURVATURES))


def test_what_is_tried_on_stays_as_it_was_and_is_the_seeds():
    model, schedule, told = Bowl(), growing_rate(1e-5, 1e-3, 30), []
    options = {"optimizer": optax.adam(schedule), "schedule": schedule, "steps": 30, "batch_size": 8}

    def noisy(model, batch, key):
        return bowl(model, batch, key) + jax.random.uniform(key)

    first, again, other = (
        range_test(model, noisy, DATA, **options, seed=seed, on_steps=lambda *step: told.append(step))
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.losses != other.losses
    assert not first.diverged
    np.testing.assert_array_equal(model.at[...], Bowl().at[...])
    assert told[:30] == [
        (made, loss, rate) for made, loss, rate in zip(range(1, 31), first.losses, first.rates, strict=True)
    ]


def test_a_loss_that_is_no_number_ends_it():
    def broken(model, batch, key):
        value = bowl(model, batch, key)
        return jnp.where(value < 5.0, jnp.nan, value)

    found = trial(loss=broken)
    assert found.diverged
    assert 0 < len(found.losses) < 300
    assert np.isfinite(found.losses).all()
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["diverged"] is True
    nothing = trial(loss=lambda model, batch, key: jnp.log(-jnp.sum(model.at[...] ** 2)))
    assert (nothing.losses, nothing.base, nothing.peak, nothing.diverged) == ((), None, None, True)


def test_the_mean_does_not_lag():
    ramp = np.arange(100.0)
    np.testing.assert_allclose(_smoothed(ramp, 100)[5:-5], ramp[5:-5])


def shape(rates, start, fallen, noise):
    """A loss that falls from 1e-4 to 1e-2 on the logarithm of the rate, and rises from 1e-1 on."""
    log = np.log10(rates)
    fall = np.clip((log + 4) / 2, 0, 1)
    losses = start + (fallen - start) * fall - 0.02 * np.clip(log + 2, 0, 1) + 5 * np.clip(log + 1, 0, 2) ** 2
    return losses + noise * np.random.default_rng(0).normal(size=len(rates))


def test_the_lowest_rate_is_where_the_fall_begins_and_the_highest_half_of_where_it_ends():
    rates = np.geomspace(1e-6, 10, 400)
    losses = shape(rates, 3.0, 0.5, 0.01)
    base, peak = suggest(rates, losses, _smoothed(losses, 400))
    assert base == pytest.approx(10**-3.8, rel=0.2)
    assert 0.5 * 10**-1.7 < peak < 0.5 * 10**-0.8


def test_the_lowest_is_a_quarter_of_the_highest_at_most():
    losses = [3.0, 3.0, 3.0, 3.0, 1.0, 5.0]
    assert suggest([1, 2, 3, 4, 5, 6], losses, losses) == (0.625, 2.5)


def test_nothing_is_suggested_where_the_loss_does_not_fall():
    rates = np.geomspace(1e-6, 10, 400)
    losses = shape(rates, 0.5, 0.5, 0.1)
    assert suggest(rates, losses, _smoothed(losses, 400)) is None
    rising = list(range(1, 30))
    assert suggest(rising, rising, rising) is None


@pytest.mark.parametrize("found", [trial, lambda: RangeTest((), (), (), None, None, True)])
def test_it_can_be_drawn(found, tmp_path):
    figure = draw_range_test(found())
    figure.savefig(tmp_path / "rates.png")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    shown = [text.get_text() for text in axes.texts]
    assert [text.split()[0] for text in shown] in (["--base-lr", "--lr"], [])

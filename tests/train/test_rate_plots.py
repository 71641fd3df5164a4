"""Schedules as curves over a run, and beside one another."""

import numpy as np
import pytest

from jaxbackprop.train import Config, draw_rates, rate_curve

MOMENTUM = {"optimizer": "nesterov", "momentum": 0.95, "base_momentum": 0.85}


def test_a_curve_has_the_rates_of_the_whole_run():
    curve = rate_curve(Config(schedule="halving", lr=0.4, halve_every=1.0, epochs=4), 10)
    np.testing.assert_allclose(curve.epochs, np.arange(40) / 10)
    np.testing.assert_allclose(curve.rates, 0.4 * 0.5 ** np.arange(4).repeat(10), rtol=1e-6)
    assert curve.momenta is None


def test_a_plateau_is_that_of_a_figure_that_stands_still():
    settings = {"plateau_patience": 1, "plateau_cooldown": 1, "plateau_factor": 0.5, "min_lr": 0.15}
    curve = rate_curve(Config(schedule="plateau", lr=0.4, epochs=8, **settings), 5)
    per_epoch = [0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.15, 0.15]
    np.testing.assert_allclose(curve.rates, np.repeat(per_epoch, 5), rtol=1e-6)


def test_a_long_run_is_drawn_through_some_points():
    curve = rate_curve(Config(epochs=100), 1000)
    assert len(curve.rates) == 4000
    assert (curve.epochs[0], curve.epochs[-1]) == (0, pytest.approx(99.999))


def test_momentum_stands_right_of_its_rate(tmp_path):
    plain = rate_curve(Config(schedule="constant", lr=0.1, epochs=4), 10)
    cycle = rate_curve(Config(lr=0.1, cycle_epochs=4.0, epochs=4, **MOMENTUM), 10)
    assert cycle.name == "cyclic, triangular"
    assert (cycle.momenta.min(), cycle.momenta.max()) == (pytest.approx(0.85), pytest.approx(0.95))
    figure = draw_rates([plain, cycle])
    figure.savefig(tmp_path / "rates.png")
    shown = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}
    assert set(shown) == {"constant", "cyclic, triangular", "its momentum"}
    np.testing.assert_array_equal(shown["its momentum"].lines[0].get_ydata(), cycle.momenta)
    assert shown["constant"].get_ylim() == shown["cyclic, triangular"].get_ylim() == (0, pytest.approx(0.105))

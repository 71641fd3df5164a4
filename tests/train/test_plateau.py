"""The plateau against torch's published rule, and torch itself; in a run, and in one that is resumed."""

import json
import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop.train import Config, Diverged, Plateau, fit, make_plateau


def published(values, lr, *, mode, factor, min_delta, patience, cooldown, min_lr, eps=1e-8):
    """Torch's ReduceLROnPlateau with threshold_mode="abs", as its documentation and source have it."""
    best, bad, cooling, rates = math.inf if mode == "min" else -math.inf, 0, 0, []
    for value in values:
        better = value < best - min_delta if mode == "min" else value > best + min_delta
        best, bad = (value, 0) if better else (best, bad + 1)
        if cooling > 0:
            cooling, bad = cooling - 1, 0
        if bad > patience:
            new = max(lr * factor, min_lr)
            lr = new if lr - new > eps else lr
            cooling, bad = cooldown, 0
        rates.append(lr)
    return rates


def ours(values, lr, **arguments):
    plateau, rates = Plateau("figure", lr=lr, **arguments), []
    for step, value in enumerate(values, start=1):
        plateau.judge({"figure": value}, step)
        rates.append(plateau.scale(step) * lr)
        assert plateau.scale(step - 1) * lr == ([lr, *rates])[step - 1]
    return rates


# On a grid, so that figures that are better by min_delta exactly are frequent.
FIGURES = st.lists(
    st.one_of(
        st.integers(0, 12).map(lambda tenths: tenths / 10),
        st.floats(-2, 2),
        st.sampled_from([math.nan, math.inf]),
    ),
    min_size=1,
    max_size=40,
)
ARGUMENTS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["min", "max"]),
        "factor": st.sampled_from([0.1, 0.25, 0.5, 0.9]),
        "min_delta": st.sampled_from([0.0, 1e-4, 0.1, 0.2]),
        "patience": st.integers(0, 4),
        "cooldown": st.integers(0, 3),
        "min_lr": st.sampled_from([0.0, 1e-5, 0.004]),
    }
)


@given(FIGURES, st.sampled_from([0.1, 4e-3, 3e-8]), ARGUMENTS)
@settings(max_examples=40, deadline=None)
def test_it_is_the_published_rule(values, lr, arguments):
    arguments["min_lr"] = min(arguments["min_lr"], lr)
    assert ours(values, lr, **arguments) == pytest.approx(published(values, lr, **arguments), rel=1e-14)


def test_a_figure_that_was_nan_is_no_better_than_any():
    arguments = {"mode": "max", "factor": 0.5, "patience": 1}
    assert ours([None, 1.0, None, None, 2.0], 1.0, **arguments) == [1.0, 1.0, 1.0, 0.5, 0.5]


def test_it_is_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for case in range(20):
        values = np.round(rng.uniform(0, 1.2, 60), rng.integers(1, 4)).tolist()
        mode, min_delta = ["min", "max"][case % 2], float(rng.choice([0.0, 1e-4, 0.1]))
        patience, cooldown = (int(number) for number in rng.integers(0, 4, 2))
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode=mode,
            factor=0.25,
            patience=patience,
            threshold=min_delta,
            threshold_mode="abs",
            cooldown=cooldown,
            min_lr=1e-5,
        )
        theirs = []
        for value in values:
            scheduler.step(value)
            theirs.append(optimizer.param_groups[0]["lr"])
        arguments = {"mode": mode, "min_delta": min_delta, "patience": patience, "cooldown": cooldown}
        assert ours(values, 0.1, factor=0.25, min_lr=1e-5, **arguments) == pytest.approx(theirs, rel=1e-14)


def test_the_slides_call_lowers_the_rate_to_its_bound_and_no_further():
    rates = ours([1.0] * 12, 0.01, factor=0.25, min_delta=1e-4, patience=1, min_lr=1e-5)
    reached = [0.01, 0.01, *np.repeat(0.01 * 0.25 ** np.arange(1, 5), 2), 1e-5, 1e-5]
    assert rates == pytest.approx(reached, rel=1e-12)


def test_a_reduction_that_is_as_small_as_torch_leaves_it_is_not_made():
    assert ours([1.0] * 4, 3e-8, factor=0.5, patience=0) == pytest.approx([3e-8, 1.5e-8, 1.5e-8, 1.5e-8])


@given(FIGURES, st.integers(0, 39))
@settings(max_examples=10, deadline=None)
def test_it_goes_on_from_its_position_as_json(values, cut):
    arguments = {"lr": 0.1, "patience": 1, "cooldown": 1, "factor": 0.5}
    whole, first, second = (Plateau("figure", **arguments) for _ in range(3))
    for step, value in enumerate(values, start=1):
        whole.judge({"figure": value}, step)
        (first if step <= cut else second).judge({"figure": value}, step)
        if step == min(cut, len(values)):
            second.restore(json.loads(json.dumps(first.position(), allow_nan=False)))
    if 0 < cut < len(values):
        assert [second.scale(step) for step in range(45)] == [whole.scale(step) for step in range(45)]
        assert second.position() == whole.position()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "auto"}, "mode must be min or max, not 'auto'"),
        ({"factor": 1.0}, "factor must be above 0 and below 1, not 1.0"),
        ({"factor": math.nan}, "factor must be above 0"),
        ({"min_delta": -0.1}, "min_delta must be at least 0, not -0.1"),
        ({"patience": -1}, "patience must be at least 0, not -1"),
        ({"cooldown": -1}, "cooldown must be at least 0"),
        ({"lr": 0.1, "min_lr": 0.2}, r"min_lr must be at least 0 and at most lr \(0.1\), not 0.2"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Plateau("loss", **arguments)


def test_a_figure_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="watches 'dev_f1', but an epoch's figures are epoch, loss"):
        Plateau("dev_f1").judge({"epoch": 1, "loss": 2.0}, 10)


def test_the_settings_become_its_arguments():
    assert make_plateau(Config()) is None
    assert make_plateau(Config(schedule="plateau")).settings == {
        **{"monitor": "loss", "mode": "min", "lr": 4e-3, "factor": 0.25, "min_delta": 1e-4},
        **{"patience": 2, "cooldown": 0, "min_lr": 1e-5},
    }
    assert make_plateau(Config(schedule="plateau", plateau_monitor="dev_f1")).settings["mode"] == "max"
    forced = Config(schedule="plateau", plateau_monitor="dev_f1", plateau_mode="min")
    assert make_plateau(forced).settings["mode"] == "min"


# In training


class Line(nnx.Module):
    def __init__(self):
        self.slope = nnx.Param(jnp.zeros(()))


def squared(model, batch, key):
    return jnp.mean((model.slope[...] * batch["x"] - 3 * batch["x"]) ** 2)


def training(tmp_path=None, figures=(1.0, 1.0, 1.0, 0.5, 0.6, 0.6), loss=squared, **more):
    given, told = iter(figures), []
    options = {
        "plateau": Plateau("figure", lr=0.01, factor=0.5, patience=0),
        "batch_size": 5,
        "epochs": len(figures),
        "evaluate": lambda model: {"figure": next(given)},
    }
    trained = fit(
        Line(),
        loss,
        {"x": jnp.linspace(1, 2, 20)},
        optimizer=optax.sgd(0.01),
        schedule=lambda step: jnp.full(jnp.shape(step), 0.01),
        on_steps=lambda step, loss, rate: told.append((step, rate)),
        run=tmp_path,
        **{**options, **more},
    )
    return trained, told


def test_each_epochs_updates_are_made_and_recorded_with_its_rate():
    trained, told = training()
    slopes = [float(model.slope[...]) for _, model in trained]
    rates = [0.01, 0.01, 0.005, 0.0025, 0.0025, 0.00125]
    assert [record["lr"] for record in trained.records] == pytest.approx(rates)
    assert told == [(4 * epoch, pytest.approx(rate)) for epoch, rate in enumerate(rates, start=1)]
    # An epoch of updates at a rate, the order of batches aside, multiplies what is missing.
    missing = 3.0
    for slope, rate in zip(slopes, rates, strict=True):
        assert (3 - slope) / missing == pytest.approx(math.exp(-2 * 4 * rate * 2.35), rel=0.01)
        missing = 3 - slope


def test_a_plateau_that_has_been_used_begins_anew():
    used = Plateau("figure", lr=0.01, factor=0.5, patience=0)
    for epoch in range(4):
        used.judge({"figure": 1.0}, epoch)
    trained, _ = training(plateau=used)
    next(trained)
    assert trained.records[0]["lr"] == pytest.approx(0.01)


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_run_that_is_resumed_has_the_rates_and_bits_of_one_that_was_not(tmp_path, stop):
    whole, _ = training()
    list(whole)
    part, _ = training(tmp_path / "run", save_every=3)
    for _ in range(stop):
        next(part)
    part.close()
    # After epoch 3 the newest checkpoint stands at its end, and it is evaluated once more.
    figures = (1.0, 1.0, 1.0, 0.5, 0.6, 0.6)
    again = iter(figures[resumed_epoch(tmp_path / "run") - 1 :])
    rest, _ = training(
        tmp_path / "run", save_every=3, resume=True, evaluate=lambda model: {"figure": next(again)}
    )
    list(rest)
    assert rest.records == whole.records
    assert rest.parameters_sha256 == whole.parameters_sha256


def resumed_epoch(run):
    newest = max((run / "checkpoints").iterdir(), key=lambda path: path.name)
    return json.loads((newest / "position" / "metadata").read_text())["epoch"]


def test_the_model_before_a_loss_that_is_no_number_is_made_again_with_the_rates_it_had(tmp_path):
    trained, _ = training()
    slopes = [float(model.slope[...]) for _, model in trained]

    def broken(model, batch, key):
        return jnp.where(model.slope[...] > slopes[3] - 1e-6, jnp.nan, squared(model, batch, key))

    broke, _ = training(tmp_path / "run", loss=broken, save_every=100)
    with pytest.raises(Diverged, match="at step 17") as raised:
        list(broke)
    assert float(raised.value.model.slope[...]) == slopes[3]

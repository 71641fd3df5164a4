"""Each measurement runs, small, and gives what its judge and a file can take."""

import json

import numpy as np
import pytest

from jaxbackprop.lecture import CLAIMS, Verdict, figures
from jaxbackprop.lecture._tagger import _data, run
from jaxbackprop.ner import build_model
from jaxbackprop.ner._fit import TaggerTraining
from jaxbackprop.train import Config
from tests.lecture.figures import FIGURES, TINY

# Those that train several variants of the tagger; the way is the same as in the one that is left.
MANY = {
    "a-hundredth",
    "l2-against-overfitting",
    "falling-rate",
    "batch-norm",
    "relu-first",
    "sgd-is-enough",
    "adaptive-is-better",
    "too-small-too-large",
    "dropout-against-overfitting",
}


def parameters():
    for claim in CLAIMS:
        marks = pytest.mark.exhaustive if claim.name in MANY else ()
        yield pytest.param(claim, marks=marks, id=claim.name)


@pytest.mark.parametrize("claim", list(parameters()))
def test_it_measures_what_its_judge_reads(claim):
    said = []
    found = json.loads(json.dumps(claim.measure(TINY, said.append)))
    assert isinstance(claim.judge(found), Verdict)
    true, _ = FIGURES[claim.name]
    if not any(isinstance(value, dict) and "losses" in value for value in true.values()):
        assert set(true) <= set(found)
    else:
        assert said


def test_one_claim_by_its_name():
    assert figures("difference-order", TINY)["e"]
    with pytest.raises(ValueError, match="name must be one of weight-gradient, .*, not 'levity'"):
        figures("levity")


SMALL = {"hidden": 8, "batch_size": 64, "dropout": 0.1, "average": 0.9, "l2": 1e-3, "seed": 3}


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 2, "optimizer": "adam"},
        pytest.param(
            {"epochs": 3, "schedule": "plateau", "plateau_patience": 0, "plateau_min_delta": 1.0},
            marks=pytest.mark.exhaustive,
        ),
        pytest.param({"epochs": 2, "optimizer": "momentum", "clip_norm": 0.1}, marks=pytest.mark.exhaustive),
    ],
)
def test_the_tagger_is_trained_as_the_command_trains_it(changed):
    config = Config(**SMALL | changed)
    found = run(config, 40)
    data = _data(40)
    table = data.encoder.initial_table(data.vectors, np.random.default_rng(config.seed), dim=None)
    model = build_model(config, data.encoder, table.shape[1], table)
    training = TaggerTraining(config, model, data.encoder, data.corpus)
    steps = training.begin(None, resume=False, on_steps=lambda *figures: None, warn=pytest.fail)
    records = [epoch.record() for epoch, _ in steps]
    np.testing.assert_allclose(found.losses, [record["loss"] for record in records], rtol=1e-4)
    assert found.f1 == pytest.approx(records[-1]["dev_f1"], abs=0.02)


def test_a_run_that_diverges_has_found_nothing():
    found = run(Config(**SMALL, epochs=1, optimizer="sgd", schedule="constant", lr=1e30), 40)
    assert (found.f1, found.train_f1) == (0, 0)
    assert not np.isfinite(found.losses).all()

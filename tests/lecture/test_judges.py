"""No claim is hard-coded: each judge says yes to figures by which the claim holds, and no to false ones."""

import inspect
import json

import pytest

from jaxbackprop.lecture import CLAIMS, Outcome
from tests.lecture.figures import BEST_AT_A_HUNDREDTH, BEST_ELSEWHERE, FIGURES, powers, scores

BY_NAME = {claim.name: claim for claim in CLAIMS}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_the_judge_follows_the_figures(claim):
    true, false = FIGURES[claim.name]
    yes, no = claim.judge(true), claim.judge(false)
    assert yes.holds, yes
    assert yes.outcome is Outcome.HOLDS
    assert not no.holds, no
    assert no.outcome in (Outcome.FAILS, Outcome.IN_PART)
    assert yes.figure != no.figure
    for verdict in (yes, no):
        assert verdict.figure
        assert verdict.why


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_judge_sees_figures_alone(claim):
    assert len(inspect.signature(claim.judge).parameters) == 1
    for figures in FIGURES[claim.name]:
        assert claim.judge(json.loads(json.dumps(figures))) == claim.judge(figures)


def test_every_claim_is_there_once_and_has_its_figures():
    assert len(BY_NAME) == len(CLAIMS)
    assert set(BY_NAME) == set(FIGURES)
    assert [claim.unit for claim in CLAIMS] == sorted(claim.unit for claim in CLAIMS)


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("tuning-vectors", {"words": 30_000, "tuned": scores(0.41), "frozen": scores(0.4, spread=-0.2)}),
        (
            "relu-first",
            {name: scores(0.4, spread=0.1 * k) for k, name in enumerate(("relu", "tanh", "sigmoid"))},
        ),
        (
            "falling-rate",
            {name: scores(0.4, spread=0.1 * k) for k, name in enumerate(("constant", "halving"))},
        ),
        ("sgd-is-enough", {"sgd 0.2": scores(0.4), "sgd 2": scores(0.1), "adam": scores(0.41, spread=-0.2)}),
        (
            "a-hundredth",
            powers(
                {"sgd": (0.0, 0.4, 0.41, 0, 0), "adam": (0.0, 0.0, 0.41, 0.4, 0.0)}, (1.0,) * 5, spread=-0.2
            ),
        ),
        ("adaptive-is-better", {"sgd 0.2": scores(0.4), "adam": scores(0.41, spread=-0.2)}),
        (
            "dropout-against-overfitting",
            {"without": scores(0.4, 0.6), "with": scores(0.41, 0.6, spread=-0.2)},
        ),
    ],
)
def test_what_noise_explains_is_not_told_apart(name, figures):
    verdict = BY_NAME[name].judge(figures)
    assert verdict.outcome is Outcome.UNDECIDED, verdict
    assert not verdict.holds


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("matrix-product", {"NumPy, times": [3.0, 4.0, 5.0], "jit, times": [1.0, 1.0, 1.0]}),
        (
            "a-hundredth",
            powers({"sgd": BEST_ELSEWHERE["sgd"], "adam": BEST_AT_A_HUNDREDTH["adam"]}, (1.0,) * 5),
        ),
        (
            "largest-eigenvalue",
            FIGURES["largest-eigenvalue"][0] | {"relu": {"explodes above 1": 0.2, "vanishes below 1": 1.0}},
        ),
        ("xavier", FIGURES["xavier"][0] | {"relu": {"signal": 1e-6, "gradient": 1e-6}}),
        (
            "cost-of-exp",
            {
                "alone": {"sigmoid": 3.0, "tanh": 3.0, "elu": 3.0, "gelu": 3.0},
                "in a layer": {"sigmoid": 1.5, "tanh": 1.5, "elu": 1.5, "gelu": 1.5},
            },
        ),
        ("relu-first", {"relu": scores(0.4), "tanh": scores(0.4), "sigmoid": scores(0.3)}),
        ("falling-rate", {"constant": scores(0.3), "halving": scores(0.4), "cyclic": scores(0.2)}),
        ("dropout-against-overfitting", {"without": scores(0.4, 0.9), "with": scores(0.4, 0.6)}),
        ("too-small-too-large", powers({"sgd": [0.1] * 5, "adam": [0.1] * 5}, (2.0, 0.5, 0.1, 0.1, 0.2))),
    ],
)
def test_what_holds_in_part(name, figures):
    assert BY_NAME[name].judge(figures).outcome is Outcome.IN_PART


def test_a_penalty_that_lets_nothing_be_learnt_is_no_remedy():
    figures = {"λ 0": scores(0.4, 0.8), "λ 0.01": scores(0.0, 0.0)}
    assert BY_NAME["l2-against-overfitting"].judge(figures).outcome is Outcome.FAILS


def test_more_words_than_the_claim_is_about_decide_nothing():
    figures = {"words": 200_000, "tuned": scores(0.3), "frozen": scores(0.4)}
    assert BY_NAME["tuning-vectors"].judge(figures).outcome is Outcome.UNDECIDED

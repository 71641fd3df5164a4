"""The advice: the rule where the trial does not speak against it, else what the trial found."""

import pytest

from jaxbackprop.data import DataError
from jaxbackprop.train import Config
from jaxbackprop.transfer import Advice, Similarity, Strategy, _advice, advise
from jaxbackprop.transfer._probe import Probe, probe
from tests.transfer.text import sentences, vectors

TUNED_BETTER = Probe(30, {"random": (0.1, 0.2), "frozen": (0.3, 0.31), "tuned": (0.5, 0.51)})
LEVEL = Probe(30, {"random": (0.3, 0.5), "frozen": (0.4, 0.4), "tuned": (0.5, 0.3)})
FROZEN_BEST = Probe(30, {"random": (0.1, 0.11), "frozen": (0.6, 0.61), "tuned": (0.3, 0.31)})


@pytest.fixture
def advised(monkeypatch):
    def advised(found, config=None, words=10):
        monkeypatch.setattr(_advice, "probe", lambda *args, **how: found)
        monkeypatch.setattr(
            _advice, "measure_similarity", lambda text, known: Similarity(words, 5, 0.9, 0.8, 0.2)
        )
        return advise("text", sentences(3), vectors(), config=config or Config(vectors="v.txt"))

    return advised


def said(advice: Advice) -> dict[str, str]:
    return dict(advice.lines())


def test_evidence_against_the_rule_is_followed_and_told(advised):
    found = advised(TUNED_BETTER)
    assert (found.rule, found.kind, found.contradicted) == (Strategy.NEW_CLASSIFIER, "tuned", True)
    assert "The evidence contradicts the rule of thumb, which says frozen: tuned" in said(found)["verdict"]
    assert found.command == "jaxbackprop train --vectors v.txt --tune-vectors"
    assert said(found)["regime"].startswith("tuned is fine-tuning: ")


def test_what_the_folds_do_not_decide_leaves_the_rule(advised):
    found = advised(LEVEL)
    assert (found.kind, found.contradicted) == ("frozen", False)
    assert "does not contradict the rule of thumb: random and tuned cannot be told" in said(found)["verdict"]
    assert found.command.endswith("--freeze-vectors")


def test_evidence_for_the_rule(advised):
    assert (
        "agrees with the rule of thumb: frozen vectors are the best" in said(advised(FROZEN_BEST))["verdict"]
    )


def test_between_the_thresholds_the_trial_decides(advised):
    found = advised(TUNED_BETTER, words=500_000)
    assert (found.kind, found.contradicted) == ("tuned", False)
    assert "Between the lecture's thresholds the probe decides: tuned" in said(found)["verdict"]


def test_much_text_needs_no_pretrained_vectors(advised):
    found = advised(LEVEL, words=200_000_000)
    assert found.rule is Strategy.SCRATCH
    assert found.command == "jaxbackprop train --vectors random --tune-vectors"


def test_the_command_names_the_files_as_a_shell_reads_them(advised):
    config = Config(train="my text.conll", dev="DEV", columns="word=1,tag=2", scheme="BIO")
    assert advised(LEVEL, config).command == (
        "jaxbackprop train --train 'my text.conll' --dev DEV --columns word=1,tag=2 --scheme BIO "
        "--vectors glove --freeze-vectors"
    )


def test_the_record_holds_what_is_said(advised):
    found = advised(TUNED_BETTER)
    record = found.to_dict()
    assert record["contradicted"] is True
    assert record["rule of thumb"]["strategy"] == "new classifier only"
    assert record["similarity"]["value"] == pytest.approx(0.18)
    assert record["probe"]["above frozen"]["tuned"]["low"] > 0
    assert record["command"] == found.command


def test_folds_that_share_sentences_make_the_interval_wider():
    from jaxbackprop.lecture import paired

    wide, narrow = LEVEL.gain("tuned", "frozen"), paired(LEVEL.f1["tuned"], LEVEL.f1["frozen"])
    # sqrt(1/2 + 1/4) against sqrt(1/2), of two folds.
    assert wide.high - wide.low == pytest.approx((narrow.high - narrow.low) * 1.5**0.5)


def test_too_few_sentences():
    with pytest.raises(DataError, match=r"text: 5 folds need 10 sentences or more, got 9"):
        probe("text", sentences(9), vectors())

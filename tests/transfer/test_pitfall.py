"""The pitfall: what is trained on what, and what the figures are taken to say."""

import io

import pytest

from jaxbackprop.train import Config
from jaxbackprop.transfer import KINDS, Pitfall, _pitfall, draw_pitfall, measure_pitfall, verdict
from jaxbackprop.transfer._pitfall import training_sizes
from jaxbackprop.transfer._pitfall_verdict import hurts_and_pays
from jaxbackprop.transfer._runs import Trained, enough_updates
from tests.transfer.text import PEOPLE, PLACES, sentences, vectors

SMALL = Config(
    hidden=8, affix_dim=0, shape_dim=0, window=1, batch_size=32, epochs=2, dropout=0.1, average=0.0, lr=0.05
)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (40, (40,)),
        (140, (140,)),
        (150, (100, 150)),
        (1677, (100, 200, 400, 800, 1677)),
        (14000, (100, 200, 400, 800, 1600, 3200, 6400, 14000)),
    ],
)
def test_sizes_double_up_to_all(count, sizes):
    assert training_sizes(count) == sizes


def test_small_texts_get_more_epochs_in_one_cycle():
    config = enough_updates(Config(), words=1280, updates=1000)
    assert (config.epochs, config.cycle_epochs) == (100, 100.0)
    assert enough_updates(Config(), words=128_000, updates=1000).epochs == Config().epochs


def test_all_kinds_get_the_same_sentences_and_each_seed_its_own(monkeypatch):
    monkeypatch.setattr(_pitfall, "training_sizes", lambda count: (5, 20))
    given = {}

    def train_and_try(kind, train, judged, *, tags, vectors, config, whole):
        given[kind, len(train), config.seed] = tuple(train)
        return Trained(None, None, [sentence.tags for sentence in judged])

    monkeypatch.setattr(_pitfall, "train_and_try", train_and_try)
    train, judged = [*sentences(10), *sentences(10, 1, PEOPLE, PLACES)], sentences(4, 2)
    done = []
    found = measure_pitfall("text", train, judged, vectors(), config=SMALL, seeds=2, say=done.append)
    assert len(given) == len(done) == 3 * 2 * 2
    for size in (5, 20):
        for seed in (0, 1):
            assert len({given[kind, size, seed] for kind in KINDS}) == 1
        assert given["tuned", size, 0] != given["tuned", size, 1]
    assert given["tuned", 5, 1] == given["tuned", 20, 1][:5]
    assert found.sizes == (5, 20)
    assert found.words == (30, 120)
    assert found.mean("tuned", 20, "entity F1", "all") == 1


def made(unseen, over_all, seeds=3):
    """Figures in which tuning changes token F1 by so much at 100 and at 200 sentences."""

    def scores(kind, at, seed):
        parts = {"unseen": unseen[at], "seen": 0.2, "all": over_all[at]}
        f1 = {
            part: 0.5 + 0.01 * seed + (kind == "tuned") * (gain + 0.001 * seed)
            for part, gain in parts.items()
        }
        return {"token F1": f1, "entity F1": f1, "entities": dict.fromkeys(f1, 9.0)}

    sizes = (100, 200)
    runs = {
        kind: {size: [scores(kind, at, seed) for seed in range(seeds)] for at, size in enumerate(sizes)}
        for kind in KINDS
    }
    return Pitfall("text", 7, sizes, (1000, 2000), runs)


def test_where_tuning_hurts_and_where_it_pays():
    found = made(unseen=(0.0, -0.1), over_all=(-0.1, 0.05))
    assert hurts_and_pays(found) == ([200], [200])
    said = " ".join(verdict(found))
    assert (
        "not seen in training, tuning lowers token F1 with 200 sentences (most at 200: from 0.510 to" in said
    )
    assert "On words seen in training, tuning raises token F1 with 100 and 200 sentences" in said
    assert "On all words, tuning lowers token F1 with 100 sentences" in said
    assert "starts to hurt words not seen at 200 training sentences" in said
    assert "starts to pay at 200 training sentences" in said
    assert "more than words not seen with 100 and 200 sentences (at 200: +0.300" in said
    assert "what tuning gives words not seen changes by -0.100" in said


def test_what_the_seeds_do_not_decide_is_said():
    found = made(unseen=(0.0, 0.0), over_all=(0.0, 0.0))
    said = " ".join(verdict(found))
    assert "On words not seen in training, tuning changes token F1 at no size" in said
    assert "does not pay for certain with up to 200 training sentences" in said
    assert "starts to hurt" not in said


@pytest.mark.parametrize("gains", [(0.0, 0.0), (-0.1, 0.1)])
def test_the_figure_and_the_record(gains):
    found = made(unseen=gains, over_all=gains)
    buffer = io.BytesIO()
    draw_pitfall(found).savefig(buffer, format="png")
    assert buffer.getbuffer().nbytes > 10_000
    rows = found.to_dict()["scores"]
    assert len(rows) == 2 * 2 * 3
    (row,) = (r for r in rows if (r["sentences"], r["measure"], r["part"]) == (200, "token F1", "unseen"))
    assert row["tuned - frozen"]["low"] <= row["tuned - frozen"]["mean"] <= row["tuned - frozen"]["high"]
    assert row["tuned - frozen"]["mean"] == pytest.approx(gains[1] + 0.001)


def test_training_for_real():
    judged = sentences(6, 1, PEOPLE, PLACES)
    found = measure_pitfall("text", sentences(30), judged, vectors(), config=SMALL, seeds=2, updates=60)
    assert found.sizes == (30,)
    assert found.mean("tuned", 30, "token F1", "seen") > 0.9
    # Names and places that only the vectors know.
    assert found.mean("frozen", 30, "token F1", "unseen") > 0.9

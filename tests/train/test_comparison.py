"""Runs beside one another: figures over seeds, settings that differ, what does not compare, the figure."""

import math

import matplotlib.image
import pytest

from jaxbackprop.train import differing, draw_comparison, not_comparable, read_compared
from tests.train.runs import make_run, make_seeds


def test_the_seeds_that_finished_are_one_row_with_mean_and_deviation(tmp_path):
    runs = [
        {"scores": (0.1, 0.4), "test": 0.5, "speed": 10.0},
        {"scores": (0.2, 0.1), "test": 0.7, "speed": 30.0},
        {"scores": (0.9, 0.9), "ends": "failed"},
    ]
    found = read_compared(make_seeds(tmp_path / "out", runs, 5, ends="interrupted"))
    assert found.standing == "interrupted, 2 of 5 seeds finished"
    assert found.figures == {
        "best_epoch": None,
        "dev": pytest.approx(0.3),
        "test": pytest.approx(0.6),
        "steps_per_second": pytest.approx(20.0),
    }
    # Over n - 1.
    assert found.deviations["dev"] == pytest.approx(0.1 * math.sqrt(2))
    assert found.settings["seed"] == "0 to 4"
    assert [row["seed"] for row in found.to_dict()["seeds"]] == [0, 1, 2]
    finished = read_compared(make_seeds(tmp_path / "done", runs[:1], 1))
    assert (finished.standing, finished.deviations["dev"]) == ("finished, 1 seed", None)


@pytest.mark.parametrize(
    ("run", "standing"),
    [
        ({}, "finished, 3 epochs"),
        ({"scores": (0.5,)}, "finished, 1 epoch"),
        ({"epochs": 9, "patience": 1}, "finished early, 3 of 9 epochs"),
        ({"epochs": 9, "ends": "killed"}, "killed, 3 of 9 epochs"),
        ({"epochs": 9, "ends": "failed"}, "failed, 3 of 9 epochs: the loss is nan at step 7"),
    ],
)
def test_how_a_run_stands_is_said_in_words(tmp_path, run, standing):
    assert read_compared(make_run(tmp_path / "run", **run)).standing == standing


def test_settings_that_differ_are_told_but_not_those_that_follow_from_them(tmp_path):
    changes = [{}, {"optimizer": "sgd"}, {"optimizer": "sgd", "lr": 0.5, "seed": 3}]
    runs = [read_compared(make_run(tmp_path / str(at), **change)) for at, change in enumerate(changes)]
    assert differing(runs[:2]) == {"optimizer": ["adam", "sgd"]}
    assert differing(runs) == {
        "optimizer": ["adam", "sgd", "sgd"],
        "lr": [runs[0].settings["lr"], runs[1].settings["lr"], 0.5],
        "seed": [0, 0, 3],
    }
    assert differing([runs[0], runs[0]]) == differing(runs[:1]) == {}
    several = read_compared(make_seeds(tmp_path / "seeds", [{}, {}], 2, epochs=3))
    assert differing([runs[0], several]) == {"seed": [0, "0 to 1"]}


def test_scores_of_other_sentences_or_of_another_kind_do_not_compare(tmp_path):
    files = {"train": "a", "dev": "b"}
    one, same, other, tags = (
        read_compared(make_run(tmp_path / name, **files, **changes))
        for name, changes in {"1": {}, "2": {}, "3": {"corpus": "b"}, "4": {"task": "tags"}}.items()
    )
    assert not_comparable([one, same]) == not_comparable([one]) == []
    assert not_comparable([one, same, other]) == [
        "the dev sentences of the runs are not the same",
        "the test sentences of the runs are not the same",
    ]
    assert not_comparable([one, tags]) == ["some runs are scored by F1, others by accuracy"]


def test_the_figure_has_a_line_a_run_in_both_panels_and_thin_ones_for_seeds(tmp_path):
    runs = [
        make_run(tmp_path / ("deep" * 20)),
        make_run(tmp_path / "none", (), ends="failed", epochs=3),
        make_seeds(tmp_path / "seeds", [{}, {"scores": (0.4, 0.5)}], 3, ends="interrupted"),
    ]
    figure = draw_comparison([read_compared(path) for path in runs])
    loss, score = figure.axes
    thick = [line for line in loss.lines if line.get_linewidth() > 1]
    assert [len(line.get_xdata()) for line in thick] == [3, 0, 2]
    assert sum(line.get_linewidth() < 1 for line in score.lines) == 2
    # The mean over the seeds as far as all have come.
    assert list(score.lines[-1].get_ydata()) == pytest.approx([0.25, 0.4])
    assert score.get_title() == "development F1"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label[:3] for label in labels] == ["1  ", "2  ", "3  "]
    assert labels[1].endswith("none (no epoch yet)")
    assert labels[2].endswith("seeds (mean of 2 seeds)")
    figure.savefig(tmp_path / "c.png")
    assert matplotlib.image.imread(tmp_path / "c.png").shape[1] == 1080


def test_many_runs_can_be_told_apart(tmp_path):
    run = read_compared(make_run(tmp_path / "run"))
    lines = [line for line in draw_comparison([run] * 20).axes[0].lines]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 20

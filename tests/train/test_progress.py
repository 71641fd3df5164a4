"""On a terminal a bar and lines; in a pipe plain lines, never wrapped."""

import io
import math

from rich.console import Console

from jaxbackprop.train import Epoch, Progress, Score, Scores, score_tags

SCORES = Scores((), Score("micro avg", 0.5, 0.25, 1 / 3, 8))


def shown(console):
    with Progress(console, 200) as progress:
        progress.steps(100, 0.61803, 2e-3)
        progress.epoch(Epoch(1, 100, 0.61803, 2e-3), SCORES, best=True)
        progress.epoch(Epoch(2, 200, 0.5, 1e-3), SCORES, best=False)
        progress.steps(200, 0.5, 1e-3)
    return console.file.getvalue()


def test_in_a_pipe_there_are_lines_only():
    lines = shown(Console(file=io.StringIO(), width=20)).splitlines()
    assert len(lines) == 2
    assert lines[0].split() == (
        "epoch 1 step 100 loss 0.6180 lr 2.00e-03 dev precision 0.5000 recall 0.2500 F1 0.3333 *".split()
    )
    assert not lines[1].endswith("*")


def test_scores_of_tags_are_their_accuracy():
    console = Console(file=io.StringIO(), width=200)
    with Progress(console, 200) as progress:
        progress.epoch(Epoch(1, 100, 0.5, 1e-3), score_tags([["A", "B"]], [["A", "A"]]), best=True)
    assert console.file.getvalue().endswith("dev accuracy 0.5000  *\n")


def test_on_a_terminal_there_is_a_bar_with_loss_rate_and_speed():
    text = shown(Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None))
    for part in ("200/200", "loss 0.5000", "lr 1.00e-03", "steps/s"):
        assert part in text


def test_a_bar_without_a_loss_yet_can_be_drawn():
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    with Progress(console, 10) as progress:
        progress.steps(0, math.nan, math.nan)
    assert "0/10" in console.file.getvalue()

"""The picture: three panels with what the metrics say, drawn without global state."""

import matplotlib.image
import numpy as np
import pytest

from jaxbackprop.train import draw_curves


def some_records(epochs):
    rng = np.random.default_rng(0)
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "loss": float(np.exp(-epoch / 4)),
            "lr": 0.1,
            "dev_precision": float(rng.uniform()),
            "dev_recall": float(rng.uniform()),
            "dev_f1": float(rng.uniform()),
        }
        for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_a_picture_is_drawn_for_runs_short_and_long(tmp_path, epochs):
    rates = np.linspace(0, epochs, 50), np.linspace(0, 1, 50)
    draw_curves(tmp_path / "curves.png", some_records(epochs), rates, monitor="dev_f1")
    picture = matplotlib.image.imread(tmp_path / "curves.png")
    height, width, _ = picture.shape
    assert (height, width) == (1140, 1080)
    # Each panel holds its colour: loss on top, F1 in the middle, learning rate at the bottom.
    for third, (channel, other) in enumerate(((2, 0), (0, 2), (1, 0))):
        panel = picture[third * height // 3 : (third + 1) * height // 3]
        assert (panel[..., channel] > panel[..., other] + 0.15).any()


def test_the_accuracy_of_tags_is_drawn(tmp_path):
    records = [
        {"epoch": n, "loss": 1 / n, "dev_accuracy": accuracy} for n, accuracy in enumerate((0.1, 0.9, 0.5), 1)
    ]
    draw_curves(tmp_path / "curves.png", records, (np.arange(3), np.ones(3)), monitor="dev_accuracy")
    picture = matplotlib.image.imread(tmp_path / "curves.png")
    middle = picture[len(picture) // 3 : 2 * len(picture) // 3]
    assert (middle[..., 0] > middle[..., 2] + 0.15).any()


def test_all_scores_may_be_zero(tmp_path):
    records = [
        {**record, "dev_precision": 0.0, "dev_recall": 0.0, "dev_f1": 0.0} for record in some_records(3)
    ]
    draw_curves(tmp_path / "curves.png", records, (np.arange(3), np.zeros(3)))
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_there_is_a_panel_for_what_there_is(tmp_path):
    """A loss alone, of a run without schedule or evaluation."""
    records = [{"epoch": epoch, "step": epoch, "loss": -1.0} for epoch in (1, 2)]
    draw_curves(tmp_path / "curves.png", records)
    height, width, _ = matplotlib.image.imread(tmp_path / "curves.png").shape
    assert height < width


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="records is empty"):
        draw_curves(tmp_path / "curves.png", [], (np.zeros(0), np.zeros(0)))
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_pyplot_alone(tmp_path):
    import matplotlib.pyplot

    draw_curves(tmp_path / "curves.png", some_records(3), (np.arange(3), np.ones(3)))
    assert matplotlib.pyplot.get_fignums() == []

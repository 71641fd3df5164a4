"""The figure of a benchmark: growth on logarithmic axes, or ratios with their bars."""

import re

import pytest

from jaxbackprop.bench._command import NAMES
from jaxbackprop.bench._measure import Curve
from jaxbackprop.bench._plot import _curves
from tests.bench.stand_in import benched, curves_of, replace_benchmarks

SVG_TEXT = re.compile(r"<!-- (.*?) -->")


@pytest.fixture
def quick(monkeypatch):
    """Benchmarks that measure nothing; what ran, in order."""
    return replace_benchmarks(monkeypatch)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_the_suffix_decides_the_format(quick, tmp_path, suffix):
    path = tmp_path / f"growth{suffix}"
    benched("rows", plot_path=str(path))
    begin = path.read_bytes()[:1000]
    marks = {".png": b"\x89PNG", ".svg": b"<svg", ".pdf": b"%PDF"}
    assert marks[suffix.lower()] in begin
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert quick == ["rows", "rows curves"]


def texts(path):
    """Of an SVG: matplotlib writes each text as a comment above its outlines."""
    return SVG_TEXT.findall(path.read_text())


def test_growth_has_labels_and_logarithmic_axes_and_ours_apart(quick, tmp_path):
    path = tmp_path / "growth.svg"
    benched(*NAMES, plot_path=str(path))
    written = texts(path)
    assert {"a step of rows", "a step of head", "milliseconds", "ours", "optax dense", "torch"} <= set(
        written
    )
    assert written.count("rows of the table, V") == 2
    assert {"10,000", "1,000,000"} <= set(written)

    (panel,) = _curves(curves_of("rows")).axes
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    ours, *others = panel.get_lines()
    looks = [(line.get_linestyle(), line.get_marker()) for line in (ours, *others)]
    assert len(set(looks)) == 3
    assert all(ours.get_linewidth() > line.get_linewidth() for line in others)


def test_more_than_one_of_ours_and_another_quantity():
    values = {"ours": [1.0, 2.0], "ours, recomputed": [1.0, 1.5], "jax.grad": [2.0, 4.0]}
    (panel,) = _curves([Curve("memory", "T", [1, 2], values, y_label="megabytes")]).axes
    ours, recomputed, peer = panel.get_lines()
    assert ours.get_color() == recomputed.get_color() != peer.get_color()
    assert len({(line.get_marker(), str(line.get_linestyle())) for line in (ours, recomputed, peer)}) == 3
    assert panel.get_ylabel() == "megabytes"


def test_where_nothing_grows_the_ratios_are_drawn_with_their_bars(quick, tmp_path):
    path = tmp_path / "ratios.svg"
    benched("train", plot_path=str(path))
    written = texts(path)
    assert "train: V = 1,000,000 / torch sparse" in written
    assert any(text.startswith("peer / ours") for text in written)
    assert quick == ["train"]

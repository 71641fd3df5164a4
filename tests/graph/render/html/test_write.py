"""The page as a file: whole or not there."""

import pytest

from jaxbackprop.graph import trace
from tests.graph.render.html.pages import slide


def test_a_page_is_written_whole(tmp_path):
    graph = trace(slide, 1.0, 2.0, 0.0)
    assert graph.to_html(tmp_path / "f.html") is None
    assert (tmp_path / "f.html").read_text(encoding="utf-8") == graph.to_html()
    assert [path.name for path in tmp_path.iterdir()] == ["f.html"]


def test_bad_paths_and_runs_are_refused_and_nothing_is_written(tmp_path):
    graph = trace(slide, 1.0, 2.0, 0.0)
    other = trace(slide, 1.0, 2.0, 0.0)
    with pytest.raises(IsADirectoryError, match="folder"):
        graph.to_html(tmp_path)
    with pytest.raises(NotADirectoryError, match="does not exist"):
        graph.to_html(tmp_path / "missing" / "f.html")
    with pytest.raises(TypeError, match="run=..."):
        graph.to_html(graph.forward())
    with pytest.raises(ValueError, match="another graph"):
        graph.to_html(tmp_path / "f.html", other.forward())
    with pytest.raises(TypeError, match="Run, a Backward or None"):
        graph.to_html(tmp_path / "f.html", 3)
    assert not list(tmp_path.iterdir())

"""Files are written whole or not at all, and tables are not cut."""

import io
import json

import pytest
from rich.console import Console
from rich.table import Table

from jaxbackprop._output import print_whole, refuse_files, write_json


def test_figures_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    write_json(str(path), {"a": [float("nan"), -float("inf"), 1.5, "é"], 3: (None, True)})
    expected = {"a": ["nan", "-inf", 1.5, "é"], "3": [None, True]}
    assert json.loads(path.read_text(encoding="utf-8")) == expected

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match=r"--json .*figures\.json: No space left on device"):
        write_json(str(path), {"b": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == expected
    assert [found.name for found in tmp_path.iterdir()] == ["figures.json"]


def test_two_flags_may_not_name_one_file(tmp_path):
    refuse_files([("--html", None), ("--svg", str(tmp_path / "a")), ("--dot", str(tmp_path / "b"))])
    with pytest.raises(OSError, match="--svg and --dot name the same file"):
        refuse_files([("--svg", str(tmp_path / "a")), ("--dot", str(tmp_path / "." / "a"))])


@pytest.mark.parametrize("width", [10, 200])
def test_a_table_is_printed_whole_whatever_the_width(width):
    console = Console(file=io.StringIO(), width=width)
    table = Table("one long title", "another")
    table.add_row("a cell that is rather long", "3.14159")
    print_whole(console, table)
    assert "a cell that is rather long" in console.file.getvalue()
    assert "3.14159" in console.file.getvalue()
    assert console.width >= width

"""The README's model of one's own: it runs as it stands there, and prints what the README shows."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_digits_are_learnt(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    section = README.read_text(encoding="utf-8").split("## Train a model of your own")[1].split("\n## ")[0]
    code, shown = re.findall(r"```(?:python)?\n(.*?)```", section, re.S)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    # The last digits are those of one machine.
    figures = re.compile(r"\d+\.\d+")
    printed = capsys.readouterr().out
    assert figures.sub("#", printed) == figures.sub("#", shown)
    for ours, theirs in zip(figures.findall(printed), figures.findall(shown), strict=True):
        assert abs(float(ours) - float(theirs)) < 0.02
    assert (tmp_path / "runs" / "digits" / "curves.png").is_file()

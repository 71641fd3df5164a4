"""Modules that the user names."""

import sys

import pytest

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import import_module, importable_from_here


def test_the_current_directory_comes_first_and_only_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "module_of_the_test.py").write_text("value = 3")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    with importable_from_here():
        assert import_module("module_of_the_test").value == 3
    assert sys.path == before
    del sys.modules["module_of_the_test"]
    with pytest.raises(CannotRun, match="cannot import module_of_the_test: No module named"):
        import_module("module_of_the_test")


@pytest.mark.parametrize("error", ["RuntimeError('a reason')", "SystemExit('a reason')"])
def test_whatever_a_module_raises_is_told(tmp_path, monkeypatch, error):
    (tmp_path / "fails_in_the_test.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CannotRun, match="cannot import fails_in_the_test: a reason"):
        import_module("fails_in_the_test")

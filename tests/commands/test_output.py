"""The console of commands, and warnings."""

import pytest

from jaxbackprop.commands._output import make_console, warn


def test_the_console_of_a_pipe_neither_wraps_nor_marks_up(capsys: pytest.CaptureFixture[str]):
    make_console().print("[bold]" + "x" * 500)
    assert capsys.readouterr().out == "[bold]" + "x" * 500 + "\n"


def test_a_reader_that_has_gone_is_an_error_and_then_silence(monkeypatch):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            pass

        def isatty(self):
            return False

    monkeypatch.setattr("sys.stdout", Gone())
    console = make_console()
    with pytest.raises(BrokenPipeError):
        console.print("said")
    console.print("not said")


def test_a_warning_is_one_line_on_standard_error(capsys):
    warn("two\n  lines")
    assert capsys.readouterr().err == "jaxbackprop: warning: two lines\n"

"""`jaxbackprop verify` as a process; what it verifies is tested in tests/verify."""

import json
from pathlib import Path

from tests.commands.process import assert_one_line_error, command


def test_it_takes_several_operators_and_the_reference(tmp_path):
    arguments = ("verify", "--op", "add", "copy", "--op", "add", "--reference", "reference", "--json")
    status, stdout, stderr = command(*arguments, tmp_path / "figures.json", cwd=Path(__file__).parents[2])
    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[-1] == "verified 2 operators, 3 gradients: 0 wrong"
    assert json.loads((tmp_path / "figures.json").read_text())["wrong"] == 0


def test_an_unknown_operator_is_one_line(cli):
    assert_one_line_error(cli("verify", "--op", "levitate"), "levitate")

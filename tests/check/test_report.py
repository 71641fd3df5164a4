"""How a report reads, and that JSON holds it."""

import io
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from jaxbackprop.check import Finding, Report

WRONG = Finding(
    "value",
    "dW is the transpose of what it should be",
    argument=1,
    path="['W']",
    mistakes=("transposed result", "missing transpose"),
    index=(0, 2),
    got=1.25,
    want=-2.0,
    error=3.25,
    noise=3e-9,
    point=({"W": jnp.ones((1, 2)), "key": jax.random.key(7)}, None, "same", np.float32(math.inf)),
    cotangent=jnp.asarray([1.5, math.nan], jnp.bfloat16),
)
DTYPE = Finding(
    "structure", "dx is float32, but the argument is bfloat16", argument=0, mistakes=("cotangent dtype",)
)
REPORT = Report("affine", (DTYPE, WRONG), ("keeps 12 bytes",), 17, "import jax\nprint(1)  # got 1.25")
RIGHT = Report("affine", (), (), 11)


def test_the_verdict():
    assert RIGHT.ok
    assert not REPORT.ok
    assert RIGHT.wrong_arguments == ()
    assert REPORT.wrong_arguments == (0, 1)
    assert Report("f", (Finding("jit", "raises"), WRONG, WRONG), (), 1).wrong_arguments == (1,)


def test_it_reads():
    assert str(RIGHT) == "affine: right (11 points)"
    assert str(REPORT).splitlines() == [
        "affine: WRONG (17 points)",
        "  structure: dx is float32, but the argument is bfloat16",
        "    looks like: cotangent dtype",
        "  value: dW is the transpose of what it should be",
        "    looks like: transposed result, missing transpose",
        "    worst entry at [0, 2]: got 1.25, want -2; rounding explains 3e-09",
        "  note: keeps 12 bytes",
        "  to see it:",
        "    import jax",
        "    print(1)  # got 1.25",
    ]


def test_a_scalar_has_no_index():
    said = str(Report("f", (Finding("value", "dx is wrong", 0, index=(), got=1.0, want=2.0),), (), 1))
    assert "worst entry: got 1, want 2" in said
    assert "rounding" not in said


def test_json_holds_it():
    told = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    assert told["ok"] is False
    assert told["wrong_arguments"] == [0, 1]
    assert told["notes"] == ["keeps 12 bytes"]
    assert told["points"] == 17
    assert told["snippet"].endswith("# got 1.25")
    found = told["findings"][1]
    assert found["property"] == "value"
    assert found["mistakes"] == ["transposed result", "missing transpose"]
    assert found["index"] == [0, 2]
    tree, nothing, text, infinite = found["point"]
    assert tree == {"W": [[1.0, 1.0]], "key": [0, 7]}
    assert (nothing, text, infinite) == (None, "same", "inf")
    assert found["cotangent"] == [1.5, "nan"]
    assert json.loads(json.dumps(RIGHT.to_dict(), allow_nan=False))["findings"] == []


@pytest.mark.parametrize("value", [math.nan, -math.inf, np.float64(math.nan), np.float32(math.inf)])
def test_no_number_that_json_lacks(value):
    found = Finding("value", "dx is wrong", got=value, noise=value)
    told = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(told)["got"] == str(float(value))


def test_json_holds_what_has_no_literal():
    found = Finding(
        "value", "m", point=(len, {1: np.int8(3), "b": np.True_}, jnp.zeros((0, 2)), np.asarray("a"))
    )
    point = json.loads(json.dumps(found.to_dict(), allow_nan=False))["point"]
    assert point[0] == "<built-in function len>"
    assert point[1:] == [{"1": 3, "b": True}, [], "a"]


def rendered(report, width):
    text = io.StringIO()
    Console(width=width, color_system=None, file=text).print(report)
    return text.getvalue()


def test_rich_says_the_same():
    said = rendered(REPORT, 200)
    for line in str(REPORT).splitlines():
        assert line.strip() in said
    assert "right (11 points)" in rendered(RIGHT, 80)


def test_rich_takes_text_as_text():
    """Indices and paths stand in brackets, which are markup elsewhere."""
    report = Report(
        "f[bold]",
        (Finding("value", "d[red]x[/red] is wrong at [0]", 0, index=(0,), got=1.0, want=2.0),),
        ("[/]",),
        1,
    )
    said = rendered(report, 120)
    assert "f[bold]" in said
    assert "d[red]x[/red] is wrong at [0]" in said
    assert "note: [/]" in said


def test_rich_keeps_to_a_narrow_window():
    assert max(map(len, rendered(REPORT, 40).splitlines())) <= 40

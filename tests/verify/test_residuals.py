"""What is kept for the backward pass: never more than autodiff keeps, and as little as has been measured."""

import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from jaxbackprop import verify
from jaxbackprop._specs import real
from jaxbackprop.check import held_bytes
from jaxbackprop.ops.catalogue import CATALOGUE, Case, operators
from jaxbackprop.verify._residuals import enlarged, kept_bytes
from jaxbackprop.verify._run import _table

CASES = [(row, number) for row in CATALOGUE for number in range(len(row.cases))]
MB = 10**6


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """Lookups hold on to the table itself, without a copy, where devices are many."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)


@pytest.mark.parametrize(("row", "number"), CASES, ids=[f"{row.name}-{number}" for row, number in CASES])
def test_no_operator_keeps_more_than_autodiff(row, number):
    case = row.cases[number]
    for way in (case, enlarged(case)):
        ours, autodiff = kept_bytes(row, way)
        assert ours <= autodiff


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_nor_in_half_precision(row):
    if jnp.bfloat16 in row.dtypes:
        ours, autodiff = kept_bytes(row, enlarged(row.cases[0]), jnp.bfloat16)
        assert ours <= autodiff


# An input of 16.8 MB, and how much of it ours and autodiff keep at most and at least.
_SHAPE = (1024, 4096)


@pytest.mark.parametrize(
    ("name", "ours", "autodiff"),
    [
        ("tanh", 16.8, 33.6),
        ("hardtanh", 4.2, 16.8),
        ("relu", 4.2, 16.8),
        ("gelu", 16.8, 83.9),
        ("silu", 16.8, 50.3),
        ("sigmoid", 16.8, 16.8),
        ("softplus", 16.8, 33.5),
        ("elu", 16.8, 37.7),
        ("max", 0.0041, 16.8),
        ("logsumexp", 16.8, 16.8),
        ("softmax", 16.8, 16.8),
    ],
)
def test_an_input_of_16_8_megabytes(name, ours, autodiff):
    """Nothing of that size is made: shapes are enough."""
    (row,) = operators([name])
    case = dataclasses.replace(row.cases[0], arguments=(real(_SHAPE), *row.cases[0].arguments[1:]))
    kept, peers = kept_bytes(row, case)
    assert kept <= 1.002 * ours * MB
    # Another jax may have found something better.
    if jax.__version_info__ < (0, 11):
        assert peers >= 0.998 * autodiff * MB


def test_each_array_counts_once_and_an_argument_like_any_other():
    def f(x, y):
        return jnp.sin(x) * y + x * y

    _, pullback = jax.vjp(f, jnp.ones(10), jnp.ones(10))
    # sin x and cos x, and x and y, each for two products.
    assert held_bytes(pullback) == 4 * 10 * 4
    assert held_bytes(jax.vjp(lambda x, y: x + y, jnp.ones(3), jnp.ones(3))[1]) == 0


def test_enlarged_keeps_axes_of_one_entry_and_static_values():
    case = Case((real((2, 1, 3)), np.array([[True], [False]]), 4), {"axis": 1})
    longer = enlarged(case)
    assert longer.arguments[0].shape == (14, 1, 21)
    assert longer.arguments[1].shape == (14, 1)
    assert longer.arguments[2:] == (4,)
    assert longer.keywords == {"axis": 1}


def test_both_figures_stand_in_the_table_and_the_file(tmp_path):
    path = tmp_path / "figures.json"
    console = Console(file=io.StringIO(), width=200)
    assert verify.run(["gelu", "max"], json_path=str(path), console=console) == 0
    gelu, largest = json.loads(path.read_text())["results"]
    shown = console.file.getvalue()
    for result, name in ((gelu, "gelu"), (largest, "max")):
        (row,) = operators([name])
        figures = result["residual_bytes"], result["autodiff_bytes"]
        assert figures == kept_bytes(row, row.cases[0])
        assert f"{figures[0]}/{figures[1]}" in shown


def test_more_than_autodiff_shows():
    result = verify.GradientResult("tanh", "x", residual_bytes=8, autodiff_bytes=4)
    console = Console(file=io.StringIO(), width=200)
    console.print(_table([result]))
    assert "more 8/4" in console.file.getvalue()

"""Rows as a table, quantities in three digits, bars met and missed."""

import io
import re

import pytest
from rich.console import Console

from jaxbackprop.bench._measure import bytes_row
from jaxbackprop.bench._report import quantity, summary, table_of
from tests.bench.stand_in import rows_of


def test_the_table_has_everything_asked_for():
    console = Console(file=io.StringIO(), width=200)
    console.print(table_of(rows_of("rows")))
    _, _, dense, sparse, memory = console.file.getvalue().splitlines()
    assert re.match(r"V = 1,000,000 +optax dense +2.46 ms +134 ms +54 × \(50 to 60\) +≥ 50 met +53%", dense)
    assert re.match(r" +torch sparse +2.46 ms +4.2 ms +1.7 × \(1.5 to 1.9\)  busy +≥ 2 missed +-", sparse)
    assert re.match(r"temporaries +optax dense +8.5 MB +400 MB +47.1 × +-", memory)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1225.4, "ms", "1,225 ms"),
        (0.01234, "ms", "0.0123 ms"),
        (0, "bytes", "0 bytes"),
        (999, "bytes", "999 bytes"),
        (16_777_216, "bytes", "16.8 MB"),
        (4e9, "bytes", "4 GB"),
    ],
)
def test_quantities_have_three_digits(value, unit, said):
    assert quantity(value, unit) == said


def test_without_bars_nothing_is_met_or_missed():
    assert summary([bytes_row("x", "y", "z", 1, 1)]) == "no bar applies"

"""`verify --accuracy` measures what it says, and finds a gradient that is worse than promised."""

import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from rich.console import Console

from jaxbackprop import verify
from jaxbackprop._specs import real
from jaxbackprop.commands import _main as cli
from jaxbackprop.ops import plain
from jaxbackprop.ops.catalogue import CATALOGUE, Case, operators
from jaxbackprop.verify import _accuracy
from jaxbackprop.verify._accuracy import DTYPES, measure_operator
from jaxbackprop.verify._accuracy._points import rounded, sweep_points


def row_of(name):
    (row,) = operators([name])
    return row


def ruled(oracle, slope):
    """An elementwise function with a rule of its own."""
    f = jax.custom_vjp(oracle)
    f.defvjp(lambda x: (oracle(x), x), lambda x, dy: (slope(x) * dy,))
    return f


def gradient(results, dtype="float32"):
    (found,) = (result for result in results if result.of != "value" and result.dtype == dtype)
    return found


# ---- the promise ------------------------------------------------------------------------------------------


# The others take seconds each.
QUICKLY_MEASURED = {"sigmoid", "tanh", "elu", "softplus", "softmax_cross_entropy"}


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=() if row.name in QUICKLY_MEASURED else pytest.mark.exhaustive, id=row.name)
        for row in CATALOGUE
        if row.sweep or row.tails
    ],
)
def test_swept_operators_keep_their_promise_in_every_dtype(row):
    for result in measure_operator(row, dense=8):
        assert result.ok, (result.dtype, result.problems)
        assert result.entries >= 100
        if result.of != "value" and result.bar is None:
            assert result.largest <= result.autodiff_largest + 1


def test_the_paper_form_of_the_sigmoid_is_worse_and_autodiff_no_excuse():
    bad = ruled(plain.sigmoid, lambda x: lax.logistic(x) * (1 - lax.logistic(x)))
    found = gradient(measure_operator(dataclasses.replace(row_of("sigmoid"), op=bad), dense=8))
    assert not found.ok
    assert found.largest > 1e6
    assert found.autodiff_largest > 1e6
    (problem,) = found.problems
    assert "for x in [" in problem
    assert "promised are 4" in problem
    assert "other binades" in problem
    # y (1 - y) does not cancel where y is small.
    assert float(found.worst.removeprefix("x = ")) > 4


def test_a_single_bad_binade_is_named():
    bad = ruled(
        plain.relu, lambda x: jnp.where((x > 0.25) & (x < 0.5), 1 + 4e-7, 1.0) * (x > 0).astype(x.dtype)
    )
    found = gradient(
        measure_operator(dataclasses.replace(row_of("relu"), op=bad), dense=8, dtypes=["float32"])
    )
    assert found.problems == ["3 ulp for x in [0.25, 0.5) (autodiff 0)"]
    assert 0.25 < float(found.worst.removeprefix("x = ")) < 0.5


def test_without_a_bar_autodiff_and_one_unit_are_allowed():
    def off_by(units):
        op = ruled(plain.relu, lambda x: jnp.where(x > 0, 1 + units * 2.0**-23, 0.0).astype(x.dtype))
        row = dataclasses.replace(row_of("relu"), op=op)
        return gradient(measure_operator(row, dense=2, dtypes=["float32"]))

    assert (off_by(1).largest, off_by(1).ok) == (1, True)
    assert (off_by(2).largest, off_by(2).ok) == (2, False)


def test_the_sum_of_a_matrix_product_in_half_precision_is_worse():
    @jax.custom_vjp
    def linear(x, W):
        return x @ W.T

    def bwd(kept, dy):
        x, W = (a.astype(jnp.bfloat16) for a in kept)
        dy = dy.astype(jnp.bfloat16)
        return (dy @ W).astype(kept[0].dtype), (dy.T @ x).astype(kept[1].dtype)

    linear.defvjp(lambda x, W: (x @ W.T, (x, W)), bwd)
    row = dataclasses.replace(row_of("linear"), op=linear, cases=(Case((real((5, 4)), real((3, 4)))),))
    with jax.numpy_dtype_promotion("standard"):
        results = measure_operator(row, dtypes=["float32"])
    assert [(result.of, result.ok) for result in results] == [("value", True), ("x", False), ("W", False)]
    assert all(result.worst.startswith("case 0, draw") for result in results[1:])


def test_an_overflow_is_worse_though_autodiff_overflows_too():
    def softplus(x):
        return jnp.log(1 + jnp.exp(x))

    row = dataclasses.replace(row_of("relu"), op=softplus, oracle=softplus)
    found = gradient(measure_operator(row, dense=8, dtypes=["float32"]))
    assert np.isinf(found.largest)
    assert np.isinf(found.autodiff_largest)
    assert found.problems[0].startswith("inf ulp for x in [64, 128)")


def test_a_rule_that_raises_is_worse_and_the_others_have_their_turn(monkeypatch):
    def careless(x):
        raise ValueError("no such thing")

    rows = (dataclasses.replace(row_of("tanh"), op=careless), row_of("relu"))
    monkeypatch.setattr(_accuracy._measure, "operators", lambda names: rows)
    status, text = printed()
    assert status == 1
    assert "tanh, value, float32: cannot be measured: ValueError: no such thing" in text
    assert text.splitlines()[-1].strip() == "measured 2 operators, 1 gradients: 1 worse"


# ---- what counts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sweep_has_points_of_the_dtype_in_every_binade(dtype):
    dtype = jnp.dtype(dtype)
    x = sweep_points(-100, 100, dtype, 16)
    (same,) = rounded((x,), dtype)
    np.testing.assert_array_equal(x, same)
    assert -100 <= x.min() < -90
    assert 90 < x.max() <= 100
    smallest = max(-126, jnp.finfo(dtype).minexp)
    for sign in (-1, 1):
        powers, counts = np.unique(np.frexp(x[np.sign(x) == sign])[1] - 1, return_counts=True)
        assert set(range(smallest, 7)) <= set(powers.tolist())
        assert counts[powers == 0] >= 12


def test_results_that_cancel_or_underflow_do_not_count():
    silu = row_of("silu")
    x = sweep_points(-100, 100, jnp.float32, 8)
    slope = 1 / (1 + np.exp(-x)) * (1 + x / (1 + np.exp(x)))

    # Wrong where the slope is small alone.
    def op(x):
        return plain.silu(x)

    bad = ruled(
        op, lambda x: jnp.where(jnp.abs(jax.vmap(jax.grad(op))(x)) < 0.09, 7.0, jax.vmap(jax.grad(op))(x))
    )
    results = measure_operator(dataclasses.replace(silu, op=bad), dense=8, dtypes=["float32"])
    assert gradient(results).ok
    assert abs(gradient(results).entries - np.sum(np.abs(slope) >= 0.1)) <= len(silu.special[0][0])
    # x σ(x) is a normal number down to -91, σ(x) down to -87.
    assert results[0].of == "value"
    assert results[0].largest < 100


def test_what_underflows_before_it_is_multiplied_does_not_count():
    """1.5 exp(x) is a normal number a little longer than exp(x) is."""
    elu = row_of("elu")
    row = dataclasses.replace(elu, sweep=(-88.0, -86.5), cases=(Case((real((4,)), 1.5), bar=4.0),))
    found = gradient(measure_operator(row, dense=3000, dtypes=["float32"]))
    assert found.ok
    assert found.entries > 10


def test_ties_do_not_count():
    def close(gap):
        case = Case((real((3, 8), 1.0, 1.0 + gap), 1))
        row = dataclasses.replace(row_of("max"), cases=(case,), elementwise=False, op=plain.max)
        return measure_operator(row, dtypes=["bfloat16"])

    assert close(2.0**-9) == []
    assert [result.of for result in close(100.0)] == ["value", "x"]


def test_a_result_that_overflows_does_not_count():
    row = dataclasses.replace(row_of("multiply"), cases=(Case((real((4,), 4e2, 5e2), real((4,), 4e2, 5e2))),))
    assert measure_operator(row, dtypes=["float16"]) == []
    assert len(measure_operator(row, dtypes=["bfloat16"])) == 3


def test_a_sum_that_cancels_by_luck_is_measured_by_its_terms():
    case = Case((real((400,)), real(())))
    row = dataclasses.replace(row_of("multiply"), cases=(case,))
    with jax.numpy_rank_promotion("allow"):
        results = measure_operator(row, dtypes=["float32"])
    (found,) = (result for result in results if result.of == "y")
    # Of ten sums of 400 terms one is a hundredth of their usual size.
    assert found.largest < 3


def test_settings_that_are_words_are_measured_apart():
    results = measure_operator(row_of("gelu"), dense=1, dtypes=["float32"])
    assert [(result.way, result.of) for result in results] == [
        ("", "value"),
        ("", "x"),
        ("approximate=False", "value"),
        ("approximate=False", "x"),
    ]
    assert [result.bar for result in results] == [None, 12, None, 8]


def test_several_results_and_arguments_that_are_not_there():
    results = measure_operator(row_of("batch_norm"), dtypes=["float32"])
    assert [result.of for result in results] == ["value", "x", "scale", "bias"]
    assert all(result.entries > 0 for result in results)


def test_trees_and_scalars_in_half_precision():
    results = measure_operator(row_of("l2"), dtypes=["bfloat16"])
    assert {result.of for result in results} == {"value", "tree", "strength"}
    assert all(result.entries > 0 and result.ok for result in results)


def test_measuring_twice_or_side_by_side_gives_the_same():
    once = verify.measure(["relu", "dropout"], dense=4)
    assert once == verify.measure(["relu", "dropout"], dense=4, workers=3)
    with jax.threefry_partitionable(False):
        assert once == verify.measure(["relu", "dropout"], dense=4)


# ---- the command ------------------------------------------------------------------------------------------


def printed(**arguments):
    console = Console(width=80, record=True, file=io.StringIO())
    status = verify.run_accuracy(console=console, dense=4, **arguments)
    return status, console.export_text()


def test_run_prints_a_table_and_writes_its_figures(tmp_path):
    path = tmp_path / "figures.json"
    status, text = printed(ops=["sigmoid", "multiply"], json_path=str(path))
    assert status == 0
    assert text.splitlines()[-1].strip() == "measured 2 operators, 3 gradients: 0 worse"
    for name in DTYPES:
        assert name in text
    report = json.loads(path.read_text())
    assert (report["operators"], report["gradients"], report["worse"]) == (2, 3, 0)
    figures = [
        r for r in report["results"] if (r["operator"], r["of"], r["dtype"]) == ("sigmoid", "x", "float32")
    ]
    assert figures[0]["largest"] <= figures[0]["bar"] == 4
    assert f"{figures[0]['largest']:.1f}/{figures[0]['mean']:.2f}" in text
    assert f"{float(figures[0]['worst'].removeprefix('x = ')):.4g}" in text


def test_run_says_what_is_worse(monkeypatch):
    bad = ruled(plain.tanh, lambda x: 1 - lax.tanh(x) ** 2)
    rows = (dataclasses.replace(row_of("tanh"), op=bad), row_of("relu"))
    monkeypatch.setattr(_accuracy._measure, "operators", lambda names: rows)
    status, text = printed()
    assert status == 1
    assert "WORSE" in text
    (said,) = (line for line in text.splitlines() if line.startswith("tanh, x, float32: "))
    assert "ulp for x in" in said
    assert "worst at x = " in said
    assert text.splitlines()[-1].strip() == "measured 2 operators, 2 gradients: 1 worse"


def test_bad_arguments_raise():
    with pytest.raises(verify.CannotVerify, match="no operator 'sigmoit'"):
        printed(ops=["sigmoit"])
    with pytest.raises(OSError, match="its folder does not exist"):
        printed(json_path="no/such/folder/x.json")


def test_the_command_takes_names_after_its_flag(tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert cli.main(["verify", "--accuracy", "relu", "--op", "copy", "--json", str(path)]) == 0
    assert "measured 2 operators, 2 gradients: 0 worse" in capsys.readouterr().out
    assert {result["operator"] for result in json.loads(path.read_text())["results"]} == {"relu", "copy"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--effort", "quick"], "--accuracy measures and takes no --effort"),
        (["--reference", "reference"], "--accuracy measures and takes no --reference"),
        (["--op", "sigmoit"], "no operator 'sigmoit'"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags, said, capsys):
    assert cli.main(["verify", "--accuracy", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1

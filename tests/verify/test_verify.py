"""`verify` finds every operator right, and a broken rule wrong."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from jaxbackprop import verify
from jaxbackprop.ops import _linear, _softmax_cross_entropy, _window
from jaxbackprop.ops._activations import _squashing
from jaxbackprop.ops.catalogue import CATALOGUE, operators
from tests.parts import a_part


@pytest.fixture
def rule():
    """Puts a backward rule in another's place until the test ends."""
    put_back = []

    def replace(op, fwd, bwd, wrong):
        put_back.append((op, fwd, bwd))
        op.defvjp(fwd, wrong)

    yield replace
    for op, fwd, bwd in put_back:
        op.defvjp(fwd, bwd)


@pytest.mark.parametrize("row", a_part(CATALOGUE, 3, lambda row: row.name))
def test_every_operator_is_right_by_four_opinions(row):
    check_by_four_opinions(row, "quick")


@pytest.mark.parametrize("name", ["max"])
def test_also_in_every_dtype_at_kinks_and_in_tails(name):
    check_by_four_opinions(*operators([name]), "thorough")


@pytest.mark.exhaustive
@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_every_operator_is_right_in_every_dtype_at_kinks_and_in_tails(row):
    check_by_four_opinions(row, "thorough")


def check_by_four_opinions(row, effort):
    results = verify.verify([row.name], reference="reference", effort=effort)
    assert results
    for result in results:
        assert result.ok, result.problems
        assert result.reference is not None
        assert result.differences < 1e-9
        # gelu's zero lies among the points, and a compiled sum is added in another order.
        assert result.jit_ulp <= 8


def test_kinks_are_seen():
    (hardtanh,) = verify.verify(["hardtanh"])
    assert hardtanh.kinks > 0


def a_hundredth_off(keep, x, dy):
    (dx,) = _squashing._tanh_bwd(keep, x, dy)
    return (dx * 1.01,)


def test_a_slope_one_percent_off_is_wrong(rule):
    rule(_squashing._tanh, _squashing._tanh_fwd, _squashing._tanh_bwd, a_hundredth_off)
    (result,) = verify.verify(["tanh"], reference="reference")
    said = " ".join(result.problems)
    assert "value: dx" in said
    assert "differs from the reference" in said
    # Each column tells by itself.
    assert result.float64_ulp > 1e6
    assert result.float32_ulp > 1e4
    assert result.differences > 1e-4


def test_a_wrong_slope_at_a_kink_alone_is_wrong(rule):
    def fwd(x):
        y, (inside, _) = _squashing._hardtanh_fwd(x)
        return y, (inside, jnp.abs(x) == 1)

    def twice_at_the_kink(residuals, dy):
        inside, kink = residuals
        return (jnp.where(kink, 2 * dy, jnp.where(inside, dy, jnp.zeros_like(dy))),)

    rule(_squashing._hardtanh, _squashing._hardtanh_fwd, _squashing._hardtanh_bwd, None)
    _squashing._hardtanh.defvjp(fwd, twice_at_the_kink)
    (result,) = verify.verify(["hardtanh"])
    assert any(problem.startswith("value: dx") for problem in result.problems)


def test_the_wrong_argument_alone_is_blamed(rule):
    def bwd(residuals, dy):
        dx, dW, db = _linear._linear_bwd(residuals, dy)
        return dx, dW, None if db is None else 2 * db

    rule(_linear._linear, _linear._linear_fwd, _linear._linear_bwd, bwd)
    x, W, b = verify.verify(["linear"])
    assert (x.ok, W.ok, b.ok) == (True, True, False)


def test_a_wrong_cotangent_dtype_is_wrong(rule):
    def bwd(residuals, dy):
        return tuple(d if d is None else d.astype(jnp.float32) for d in _linear._linear_bwd(residuals, dy))

    rule(_linear._linear, _linear._linear_fwd, _linear._linear_bwd, bwd)
    results = verify.verify(["linear"], effort="thorough")
    for result in results:
        said = " ".join(result.problems)
        assert f"d{result.argument} is float32, but the argument is float64" in said
        assert f"d{result.argument} is float32, but the argument is float16" in said


def test_a_rule_that_raises_is_wrong_and_not_an_error(rule):
    def bwd(keep, x, dy):
        x, z = (x,)
        return (x * z * dy,)

    rule(_squashing._tanh, _squashing._tanh_fwd, _squashing._tanh_bwd, bwd)
    status, text = printed(ops=["tanh"])
    assert status == 1
    assert "the rule raises ValueError: not enough values to unpack" in text


def test_nan_at_a_special_point_is_no_subgradient(rule):
    def bwd(ignore_label, residuals, dy):
        logits, labels, *_ = residuals
        e = jnp.exp(logits)
        p = e / jnp.sum(e, -1, keepdims=True)
        return jnp.expand_dims(dy, -1) * (
            p - _softmax_cross_entropy._is_class(labels, p).astype(p.dtype)
        ), None

    module = _softmax_cross_entropy
    rule(module._hard, module._hard_fwd, module._hard_bwd, bwd)
    results = verify.verify(["softmax_cross_entropy"])
    assert any("is not finite in float32" in problem for problem in results[0].problems)


def test_a_rule_that_is_wrong_in_half_precision_alone_is_wrong(rule):
    def bwd(keep, x, dy):
        (dx,) = _squashing._sigmoid_bwd(keep, x, dy)
        return (dx * 2 if dx.dtype.itemsize == 2 else dx,)

    rule(_squashing._sigmoid, _squashing._sigmoid_fwd, _squashing._sigmoid_bwd, bwd)
    (result,) = verify.verify(["sigmoid"], effort="thorough")
    assert len(result.problems) == 2
    for problem, dtype in zip(result.problems, ("float16", "bfloat16"), strict=True):
        assert problem.startswith(f"precision: dx loses its digits in {dtype}")


def test_a_formula_that_cancels_in_the_tails_is_wrong(rule):
    def bwd(keep, x, dy):
        y = 1 / (1 + jnp.exp(-x))
        return (y * (1 - y) * dy,)

    rule(_squashing._sigmoid, _squashing._sigmoid_fwd, _squashing._sigmoid_bwd, bwd)
    (result,) = verify.verify(["sigmoid"], effort="thorough")
    assert any("loses digits between -100 and 100" in problem for problem in result.problems)


def test_padding_that_receives_gradient_is_wrong(rule):
    def bwd(padding_id, residuals, dy):
        return _window._window_lookup_bwd(None, residuals, dy)

    rule(_window._window_lookup, _window._window_lookup_fwd, _window._window_lookup_bwd, bwd)
    (result,) = verify.verify(["window_lookup"], effort="thorough")
    assert not result.ok


@pytest.mark.parametrize(
    "setting",
    [
        lambda: jax.debug_nans(True),
        lambda: jax.threefry_partitionable(False),
        lambda: jax.default_prng_impl("rbg"),
        lambda: jax.enable_x64(True),
    ],
    ids=["debug_nans", "threefry", "rbg", "x64"],
)
def test_the_callers_settings_change_nothing(setting):
    with setting():
        assert all(result.ok for result in verify.verify(["dropout"], reference="reference"))


def printed(**arguments):
    console = Console(width=80, record=True, file=io.StringIO())
    status = verify.run(console=console, **arguments)
    return status, console.export_text()


def test_run_prints_a_table_and_counts(tmp_path):
    path = tmp_path / "figures.json"
    status, text = printed(ops=["linear", "sigmoid"], json_path=str(path))
    assert status == 0
    assert text.splitlines()[-1].strip() == "verified 2 operators, 4 gradients: 0 wrong"
    report = json.loads(path.read_text())
    assert (report["operators"], report["gradients"], report["wrong"]) == (2, 4, 0)
    assert {(r["operator"], r["argument"]) for r in report["results"]} == {
        ("linear", "x"),
        ("linear", "W"),
        ("linear", "b"),
        ("sigmoid", "x"),
    }
    assert [p.name for p in tmp_path.iterdir()] == ["figures.json"]


def test_run_says_what_is_wrong(rule):
    rule(_squashing._tanh, _squashing._tanh_fwd, _squashing._tanh_bwd, a_hundredth_off)
    status, text = printed(ops=["tanh", "sigmoid"])
    assert status == 1
    assert "WRONG" in text
    assert "tanh, x: value: dx" in text
    assert text.splitlines()[-1].strip() == "verified 2 operators, 2 gradients: 1 wrong"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ops": ["sigmoit"]}, "no operator 'sigmoit'"),
        ({"effort": "lazy"}, "effort must be 'quick' or 'thorough', got 'lazy'"),
        ({"reference": ""}, "cannot import"),
        ({"reference": "no_such_package"}, "cannot import no_such_package.linear"),
    ],
)
def test_bad_arguments_raise(arguments, message):
    with pytest.raises(verify.CannotVerify, match=message):
        printed(**arguments)


@pytest.mark.parametrize(
    ("path", "message"),
    [(".", "it is a folder"), ("no/such/folder/x.json", "its folder does not exist")],
)
def test_a_file_that_cannot_be_written_is_refused(path, message):
    with pytest.raises(OSError, match=message):
        printed(json_path=path)


def test_a_reference_without_the_function_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "paper"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "gates.py").write_text("def add(x, y):\n    return x + y\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"paper\.gates has no function add_vjp"):
        verify.verify(["add"], reference="paper")


def test_figures_are_plain_numbers():
    (result,) = verify.verify(["hardtanh"])
    assert isinstance(result.float64_ulp, float)
    assert np.isfinite(result.float32_ulp)

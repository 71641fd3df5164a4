"""What holds for every operator of the catalogue, in every way to call it and every dtype."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import ops
from jaxbackprop._precision import accumulator
from jaxbackprop.check import Layout
from jaxbackprop.ops.catalogue import CATALOGUE, operators

CASES = [
    pytest.param(row, case, id=f"{row.name}-{i}") for row in CATALOGUE for i, case in enumerate(row.cases)
]
DTYPES = [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64]


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def cast(args, dtype):
    """Arguments of a draw as arrays: floats in `dtype`, integers as they are, static ones untouched."""
    return jax.tree.map(
        lambda leaf: (
            jnp.asarray(leaf, dtype if leaf.dtype == np.float64 else leaf.dtype)
            if isinstance(leaf, np.ndarray)
            else leaf
        ),
        args,
    )


class Called:
    """An operator and its oracle as functions of the differentiable leaves of one draw."""

    def __init__(self, row, case, dtype, seed=0):
        rng = np.random.default_rng(seed)
        layout = Layout.of(cast(case.draw(rng), dtype), hold_integers=True)
        self.floats = layout.floats_of(layout.leaves)
        self.op = layout.of_floats(lambda *args: row.op(*args, **case.keywords))
        self.oracle = layout.of_floats(lambda *args: row.oracle(*args, **case.keywords))
        shapes = jax.eval_shape(self.oracle, *self.floats)
        self.dy = tuple(jnp.asarray(rng.uniform(0.5, 2, s.shape), s.dtype) for s in shapes)

    def gradient(self, f):
        return jax.jit(lambda *floats: jax.vjp(f, *floats)[1](self.dy))(*self.floats)

    def scalar(self, f):
        """A scalar that bends: its second derivatives see the rule itself."""
        return lambda *floats: sum(jnp.sum(y * y * d) for y, d in zip(f(*floats), self.dy, strict=True))


def test_every_public_operator_has_a_row():
    # pytest rewrites the package of a plugin and leaves names of its own, such as @py_builtins.
    public = {
        name
        for name, value in vars(ops).items()
        if name.isidentifier() and not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == {row.name for row in CATALOGUE}
    assert all(row.op is getattr(ops, row.name) for row in CATALOGUE)


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_the_formula_stands_in_the_docstring(row):
    assert "d" in row.formula
    assert row.formula in " ".join(inspect.getdoc(row.op).split())


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no operator 'sigmoit'; the operators are linear, window_lookup"):
        operators(["sigmoid", "sigmoit"])


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize(("row", "case"), CASES)
def test_value_and_gradient_equal_autodiff_of_the_oracle(row, case, dtype):
    wide = Called(row, case, jnp.float64)
    call = Called(row, case, dtype)
    eps = float(jnp.finfo(dtype).eps)
    values = zip(call.op(*call.floats), wide.oracle(*wide.floats), strict=True)
    for i, (got, want) in enumerate(values):
        # The mean and the variance of a batch are for running averages, in float32 at least.
        assert got.dtype == (accumulator(dtype) if row.name == "batch_norm" and i > 0 else dtype)
        np.testing.assert_allclose(np.float64(got), want, rtol=8 * eps, atol=32 * eps)
    gradients = zip(call.gradient(call.op), wide.gradient(wide.oracle), call.floats, strict=True)
    for got, want, leaf in gradients:
        assert (got.dtype, got.shape) == (leaf.dtype, leaf.shape)
        np.testing.assert_allclose(np.float64(got), want, rtol=8 * eps, atol=64 * eps)


@pytest.mark.parametrize(("row", "case"), CASES)
def test_the_rule_is_ours_and_not_autodiff(row, case):
    call = Called(row, case, jnp.float32)
    if case.keywords.get("deterministic"):
        pytest.skip("the identity needs no rule")
    jaxpr = str(jax.make_jaxpr(call.op)(*call.floats))
    assert "custom_vjp_call" in jaxpr
    assert "custom_vjp_call" not in str(jax.make_jaxpr(call.oracle)(*call.floats))


class WithAndWithoutJit(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_gradient_under_both(self):
        for param in CASES:
            row, case = param.values
            call = Called(row, case, jnp.float64, seed=1)
            got = self.variant(lambda *floats, call=call: jax.vjp(call.op, *floats)[1](call.dy))(*call.floats)
            chex.assert_trees_all_close(got, call.gradient(call.oracle), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("row", "case"), CASES)
def test_vmap_equals_a_loop(row, case):
    calls = [Called(row, case, jnp.float64, seed) for seed in range(3)]
    first = calls[0]
    stacked = [jnp.stack(leaves) for leaves in zip(*(call.floats for call in calls), strict=True)]
    pull = jax.jit(lambda *floats: jax.vjp(first.op, *floats)[1](first.dy))
    got = jax.jit(jax.vmap(pull))(*stacked)
    for i, call in enumerate(calls):
        want = pull(*call.floats)
        chex.assert_trees_all_close(tuple(g[i] for g in got), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("row", "case"), CASES)
def test_second_order_equals_autodiff(row, case):
    call = Called(row, case, jnp.float64)
    argnums = tuple(range(len(call.floats)))
    got = jax.jit(jax.hessian(call.scalar(call.op), argnums))(*call.floats)
    want = jax.jit(jax.hessian(call.scalar(call.oracle), argnums))(*call.floats)
    chex.assert_trees_all_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("row", "case"), CASES)
def test_checkpoint_and_scan(row, case):
    call = Called(row, case, jnp.float64)
    argnums = tuple(range(len(call.floats)))
    want = jax.jit(jax.grad(call.scalar(call.oracle), argnums))(*call.floats)
    remat = jax.jit(jax.grad(jax.checkpoint(call.scalar(call.op)), argnums))
    chex.assert_trees_all_close(remat(*call.floats), want, rtol=1e-12, atol=1e-12)

    def twice(*floats):
        return jax.lax.scan(lambda s, _: (s + call.scalar(call.op)(*floats), None), 0.0, length=2)[0]

    doubled = jax.jit(jax.grad(twice, argnums))(*call.floats)
    chex.assert_trees_all_close(doubled, jax.tree.map(lambda g: 2 * g, want), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("row", [row for row in CATALOGUE if row.special], ids=lambda row: row.name)
def test_special_points_are_finite(row):
    for args in row.special:
        layout = Layout.of(cast(args, jnp.float32), hold_integers=True)
        y, pull = jax.vjp(layout.of_floats(row.op), *layout.floats_of(layout.leaves))
        chex.assert_tree_all_finite((y, pull(tuple(map(jnp.ones_like, y)))))


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_arrays_of_two_float_dtypes_raise(row):
    for case in row.cases:
        layout = Layout.of(cast(case.draw(np.random.default_rng(0)), jnp.float32))
        floats = layout.floats_of(layout.leaves)
        if len(floats) < 2:
            continue
        mixed = (floats[0].astype(jnp.float16), *floats[1:])
        with pytest.raises(TypeError, match="float16.*float32|float32.*float16"):
            row.op(*layout.put(mixed), **case.keywords)


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_integers_for_floats_raise_and_name_the_argument(row):
    if row.name == "l2":
        pytest.skip("integer leaves of a tree are no parameters")
    case = row.cases[0]
    layout = Layout.of(cast(case.draw(np.random.default_rng(0)), jnp.float32))
    first, *rest = layout.floats_of(layout.leaves)
    integers = (jnp.ones(first.shape, jnp.int32), *rest)
    with pytest.raises(
        TypeError, match="(x|W|table|logits|predictions|query) must be floating-point, got dtype int32"
    ):
        row.op(*layout.put(integers), **case.keywords)


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_a_cotangent_of_another_dtype_leaves_in_the_arguments_dtype(row):
    """JAX passes a rule's float32 cotangent for a bfloat16 value on in silence; we end that here."""

    @jax.custom_vjp
    def careless(y):
        return y

    careless.defvjp(lambda y: (y, None), lambda _, dy: (dy.astype(jnp.float32),))
    for case in row.cases:
        call = Called(row, case, jnp.bfloat16)
        pull = jax.vjp(lambda *floats, call=call: tuple(map(careless, call.op(*floats))), *call.floats)[1]
        assert {g.dtype for g in pull(call.dy)} <= {jnp.dtype(jnp.bfloat16)} | (
            {jnp.dtype(jnp.float32)} if case.keywords.get("deterministic") else set()
        )

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
from tests.parts import a_part

DTYPES = [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64]
EACH_ROW = pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
SOME_ROWS = pytest.mark.parametrize("row", a_part(CATALOGUE, 3, lambda row: row.name))


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

    def run(self, f, floats):
        """Value and gradient."""
        y, pull = jax.vjp(f, *floats)
        return y, pull(self.dy)

    def scalar(self, f):
        """A scalar that bends: its second derivatives see the rule itself."""
        return lambda *floats: sum(jnp.sum(y * y * d) for y, d in zip(f(*floats), self.dy, strict=True))

    def gradient(self, f, floats):
        """The gradient of a scalar."""
        return jax.grad(f, tuple(range(len(floats))))(*floats)


def together(what, calls):
    """What of each call and its leaves, computed by one program: compilation is what takes time."""
    together = jax.jit(
        lambda floats: [what(call, leaves) for call, leaves in zip(calls, floats, strict=True)]
    )
    return together([call.floats for call in calls])


def test_every_public_operator_has_a_row():
    # pytest rewrites the package of a plugin and leaves names of its own, such as @py_builtins.
    public = {
        name
        for name, value in vars(ops).items()
        if name.isidentifier() and not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == {row.name for row in CATALOGUE}
    assert all(row.op is getattr(ops, row.name) for row in CATALOGUE)


def test_every_row_says_its_gradient_in_a_phrase():
    for row in CATALOGUE:
        assert row.formula
        assert not row.formula.endswith(".")
        assert "\n" not in row.formula


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no operator 'sigmoit'; the operators are linear, window_lookup"):
        operators(["sigmoid", "sigmoit"])


@EACH_ROW
def test_value_and_gradient_equal_autodiff_of_the_oracle(row):
    calls = [
        (number, case, dtype, Called(row, case, dtype))
        for number, case in enumerate(row.cases)
        for dtype in DTYPES
    ]
    found = together(lambda call, floats: call.run(call.op, floats), [call for *_, call in calls])
    wide = [call for *_, dtype, call in calls if dtype == jnp.float64]
    truths = together(lambda call, floats: call.run(call.oracle, floats), wide)
    for (number, _, dtype, call), (values, gradients) in zip(calls, found, strict=True):
        told = f"case {number} in {np.dtype(dtype).name}"
        eps = float(jnp.finfo(dtype).eps)
        true_values, true_gradients = truths[number]
        for i, (got, want) in enumerate(zip(values, true_values, strict=True)):
            # The mean and the variance of a batch are for running averages, in float32 at least.
            assert got.dtype == (accumulator(dtype) if row.name == "batch_norm" and i > 0 else dtype), told
            np.testing.assert_allclose(np.float64(got), want, rtol=8 * eps, atol=32 * eps, err_msg=told)
        for got, want, leaf in zip(gradients, true_gradients, call.floats, strict=True):
            assert (got.dtype, got.shape) == (leaf.dtype, leaf.shape), told
            np.testing.assert_allclose(np.float64(got), want, rtol=8 * eps, atol=64 * eps, err_msg=told)


@EACH_ROW
def test_the_rule_is_ours_and_not_autodiff(row):
    for case in row.cases:
        if case.keywords.get("deterministic"):
            # The identity needs no rule.
            continue
        call = Called(row, case, jnp.float32)
        assert "custom_vjp_call" in str(jax.make_jaxpr(call.op)(*call.floats))
        assert "custom_vjp_call" not in str(jax.make_jaxpr(call.oracle)(*call.floats))


@SOME_ROWS
def test_gradient_without_jit(row):
    call = Called(row, row.cases[0], jnp.float64, seed=1)
    _, want = together(lambda call, floats: call.run(call.oracle, floats), [call])[0]
    chex.assert_trees_all_close(call.run(call.op, call.floats)[1], want, rtol=1e-12, atol=1e-12)


@SOME_ROWS
def test_vmap_equals_a_loop(row):
    def pulls(seeds):
        call = seeds[0]
        points = [each.floats for each in seeds]

        def pull(*floats):
            return call.run(call.op, floats)[1]

        stacked = [jnp.stack(leaves) for leaves in zip(*points, strict=True)]
        return jax.vmap(pull)(*stacked), [pull(*floats) for floats in points]

    cases = [[Called(row, case, jnp.float64, seed) for seed in range(2)] for case in row.cases]
    for stacked, one_by_one in jax.jit(lambda: [pulls(seeds) for seeds in cases])():
        for i, want in enumerate(one_by_one):
            chex.assert_trees_all_close(tuple(g[i] for g in stacked), want, rtol=1e-12, atol=1e-12)


@SOME_ROWS
def test_second_order_equals_autodiff(row):
    """Of the Hessian a row in a random direction; a wrong entry of it shows in one."""

    def bent(f, call, floats):
        rng = np.random.default_rng(2)
        direction = tuple(jnp.asarray(rng.uniform(0.5, 2, leaf.shape)) for leaf in floats)
        return jax.jvp(lambda *floats: call.gradient(call.scalar(f), floats), floats, direction)[1]

    calls = [Called(row, case, jnp.float64) for case in row.cases]
    found = together(
        lambda call, floats: (bent(call.op, call, floats), bent(call.oracle, call, floats)), calls
    )
    for got, want in found:
        chex.assert_trees_all_close(got, want, rtol=1e-9, atol=1e-9)


@SOME_ROWS
def test_checkpoint_and_scan(row):
    def three(call, floats):
        def twice(*floats):
            return jax.lax.scan(lambda s, _: (s + call.scalar(call.op)(*floats), None), 0.0, length=2)[0]

        of_oracle, again = call.scalar(call.oracle), jax.checkpoint(call.scalar(call.op))
        return [call.gradient(f, floats) for f in (of_oracle, again, twice)]

    calls = [Called(row, case, jnp.float64) for case in row.cases]
    for want, remat, doubled in together(three, calls):
        chex.assert_trees_all_close(remat, want, rtol=1e-12, atol=1e-12)
        chex.assert_trees_all_close(doubled, jax.tree.map(lambda g: 2 * g, want), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("row", [row for row in CATALOGUE if row.special], ids=lambda row: row.name)
def test_special_points_are_finite(row):
    layouts = [Layout.of(cast(args, jnp.float32), hold_integers=True) for args in row.special]
    points = [(layout.of_floats(row.op), layout.floats_of(layout.leaves)) for layout in layouts]

    def run(f, floats):
        y, pull = jax.vjp(f, *floats)
        return y, pull(tuple(map(jnp.ones_like, y)))

    functions = [f for f, _ in points]
    run_all = jax.jit(lambda all_floats: list(map(run, functions, all_floats)))
    chex.assert_tree_all_finite(run_all([floats for _, floats in points]))


@EACH_ROW
def test_arrays_of_two_float_dtypes_raise(row):
    for case in row.cases:
        layout = Layout.of(cast(case.draw(np.random.default_rng(0)), jnp.float32))
        floats = layout.floats_of(layout.leaves)
        if len(floats) < 2:
            continue
        mixed = (floats[0].astype(jnp.float16), *floats[1:])
        with pytest.raises(TypeError, match="float16.*float32|float32.*float16"):
            row.op(*layout.put(mixed), **case.keywords)


@EACH_ROW
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


@EACH_ROW
def test_a_cotangent_of_another_dtype_leaves_in_the_arguments_dtype(row):
    """JAX passes a rule's float32 cotangent for a bfloat16 value on in silence; we end that here."""

    @jax.custom_vjp
    def careless(y):
        return y

    careless.defvjp(lambda y: (y, None), lambda _, dy: (dy.astype(jnp.float32),))
    float32 = {jnp.dtype(jnp.float32)}
    for case in row.cases:
        call = Called(row, case, jnp.bfloat16)

        def run(*floats, call=call):
            return jax.vjp(lambda *floats: tuple(map(careless, call.op(*floats))), *floats)[1](call.dy)

        dtypes = {g.dtype for g in jax.eval_shape(run, *call.floats)}
        assert dtypes <= {jnp.dtype(jnp.bfloat16)} | (
            float32 if case.keywords.get("deterministic") else set()
        )

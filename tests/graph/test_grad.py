"""`graph.grad` in the place of `jax.grad`."""

import ast
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax.custom_derivatives import SymbolicZero

import jaxbackprop.graph
from jaxbackprop.graph import UnsupportedPrimitive, grad, trace, value_and_grad

X = jnp.array([0.5, -1.0, 2.0])


def assert_same(f, *args, argnums=0):
    want = jax.grad(f, argnums)(*args)
    for got in (grad(f, argnums)(*args), jax.jit(grad(f, argnums))(*args)):
        assert jax.tree.structure(got) == jax.tree.structure(want)
        for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


def test_it_stands_in_for_jax_grad():
    def f(x, y, *, scale):
        return jnp.sum(jnp.sin(x["a"]) * y) * scale

    x = {"a": X}
    for argnums in (0, 1, (0, 1), (1, 0), -1, (0,)):
        want = jax.grad(f, argnums)(x, 2 * X, scale=3.0)
        got = grad(f, argnums)(x, 2 * X, scale=3.0)
        assert jax.tree.structure(got) == jax.tree.structure(want)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, want)


def test_value_and_aux():
    def f(x):
        return jnp.sum(x * x), {"twice": 2 * x, "name": jnp.array(3)}

    (value, aux), gradient = value_and_grad(f, has_aux=True)(X)
    assert value == 5.25
    assert aux["name"] == 3
    np.testing.assert_allclose(gradient, 2 * X)
    gradient, aux = grad(f, has_aux=True)(X)
    np.testing.assert_allclose(aux["twice"], 2 * X)
    np.testing.assert_allclose(gradient, 2 * X)


def test_arguments_that_are_not_differentiated_may_be_anything():
    def f(x, how, table, pick):
        return jnp.sum(x * table[how]) * pick(2.0)

    table = {"b": jnp.array([1.0, 2.0, 3.0])}
    assert grad(f)(X, "b", table, lambda a: a + 1).tolist() == [3, 6, 9]


def test_python_numbers():
    assert grad(lambda x: x * x)(3.0) == 6
    assert jax.jit(grad(lambda x: x * x))(3.0) == 6


@pytest.mark.parametrize(
    ("f", "args", "argnums", "error", "match"),
    [
        (lambda x: x * x, (X,), 0, TypeError, r"one floating-point number, got float32\[3\]"),
        (lambda x: (x[0], x[1]), (X,), 0, TypeError, "one floating-point number, got tuple"),
        (lambda x: jnp.argmax(x), (X,), 0, TypeError, "one floating-point number, got int32"),
        (lambda x: jnp.sum(x), (jnp.arange(3),), 0, TypeError, "argument 0 must be floating-point .* int32"),
        (lambda x: jnp.sum(x["a"]), ({"a": "text"},), 0, TypeError, "argument 0 .* it holds str"),
        (lambda x: jnp.sum(x), (X,), 1, ValueError, "argnums holds 1, but 1 positional"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(f, args, argnums, error, match):
    with pytest.raises(error, match=match):
        grad(f, argnums)(*args)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="f must be a function, got str"):
        grad("f")
    with pytest.raises(TypeError, match="f must return a pair"):
        grad(lambda x: x, has_aux=True)(1.0)


def test_errors_of_the_function_come_out_as_they_are():
    with pytest.raises(ZeroDivisionError):
        grad(lambda x: x / (1 // 0))(1.0)


def test_gradients_of_gradients_and_batches():
    def f(x):
        return jnp.sum(jnp.sin(x) * x)

    want = jax.hessian(f)(X)
    np.testing.assert_allclose(jax.jacobian(grad(f))(X), want, rtol=1e-5, atol=1e-6)
    twice = grad(lambda x: jnp.sum(grad(f)(x) * X))(X)
    np.testing.assert_allclose(twice, want @ X, rtol=1e-5, atol=1e-6)
    xs = jnp.stack([X, 2 * X])
    np.testing.assert_allclose(jax.vmap(grad(f))(xs), jax.vmap(jax.grad(f))(xs), rtol=1e-6)


# ---- no autodiff behind it --------------------------------------------------------------------------------

ROOM = Path(jaxbackprop.graph.__file__).parent
FORBIDDEN = {
    "grad",
    "vjp",
    "jvp",
    "linearize",
    "linear_transpose",
    "value_and_grad",
    "jacrev",
    "jacfwd",
    "hessian",
}


def test_the_room_never_asks_jax_for_a_gradient():
    for path in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN:
                assert not (isinstance(node.value, ast.Name) and node.value.id in ("jax", "ad", "api")), path
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jax"):
                assert not FORBIDDEN & {alias.name for alias in node.names}, path
                assert "ad" not in {alias.name for alias in node.names}, path


def test_it_works_where_jax_has_no_gradient_left(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("autodiff was asked")

    def f(w, xs):
        def step(h, x):
            h = jax.nn.relu(jnp.tanh(h * w) + x)
            return h, jnp.where(h > 0, h, 0.1 * h)

        h, ys = jax.lax.scan(step, jnp.zeros(3), xs)
        return jnp.sum(jax.checkpoint(jnp.sin)(h)) + jnp.max(ys)

    xs = jnp.arange(12.0).reshape(4, 3) / 10
    want = jax.grad(f, (0, 1))(X, xs)
    jax.clear_caches()
    for name in FORBIDDEN:
        monkeypatch.setattr(jax, name, refuse)
    from jax._src.interpreters import ad

    for name in ("jvp", "vjp", "linearize", "backward_pass", "linearize_jaxpr", "jvp_jaxpr"):
        if hasattr(ad, name):
            monkeypatch.setattr(ad, name, refuse)
    got = grad(f, (0, 1))(X, xs)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


# ---- calls with rules of their own ------------------------------------------------------------------------


def test_relu_has_slope_zero_at_zero():
    x = jnp.array([-1.0, 0.0, 1.0])
    assert grad(lambda x: jnp.sum(jax.nn.relu(x)))(x).tolist() == [0, 0, 1]
    # Its plain body's is another: the two operands of a maximum that is a tie get half each.
    assert grad(lambda x: jnp.sum(jnp.maximum(x, 0)))(x).tolist() == [0, 0.5, 1]
    inside = trace(lambda x: jnp.sum(jax.nn.relu(x)), x).forward().backward().inside("relu")
    assert inside.grads[-1].tolist() == [0, 0, 1]


def test_a_custom_jvp_with_symbolic_zeros():
    @jax.custom_jvp
    def f(a, b):
        return a * b

    @partial(f.defjvp, symbolic_zeros=True)
    def _(primals, tangents):
        (a, b), (da, db) = primals, tangents
        slope = jnp.zeros_like(a)
        if not isinstance(da, SymbolicZero):
            slope = slope + 3 * da * b
        if not isinstance(db, SymbolicZero):
            slope = slope + 5 * db * a
        return a * b, slope

    def g(a, b):
        return jnp.sum(f(a, b))

    assert grad(g)(X, 2 * X).tolist() == (6 * X).tolist()
    assert grad(g, 1)(X, 2 * X).tolist() == (5 * X).tolist()


def test_a_custom_jvp_of_several_arguments_results_and_integers():
    @jax.custom_jvp
    def f(x, i, y):
        return x * y, i + 1, jnp.sin(x)

    @f.defjvp
    def _(primals, tangents):
        x, i, y = primals
        dx, di, dy = tangents
        return f(x, i, y), (7 * dx * y + dy, di, jnp.cos(x) * dx)

    def g(x, y):
        a, _, b = f(x, 3, y)
        return jnp.sum(a) + jnp.sum(b * b)

    assert_same(g, X, 2 * X, argnums=(0, 1))


def test_a_custom_vjp_with_settings_pytrees_and_none():
    @partial(jax.custom_vjp, nondiff_argnums=(1,))
    def f(x, power, pair):
        return {"y": x["a"] ** power, "z": pair[0] * pair[1]}

    def forward(x, power, pair):
        return f(x, power, pair), (x["a"], pair)

    def backward(power, residuals, dy):
        a, pair = residuals
        return {"a": 10.0 * dy["y"] * a}, (None, dy["z"] * pair[0])

    f.defvjp(forward, backward)

    def g(x, pair):
        out = f(x, 2, pair)
        return jnp.sum(out["y"]) + jnp.sum(out["z"])

    assert_same(g, {"a": X}, (X, 3 * X), argnums=(0, 1))


def test_a_custom_vjp_with_symbolic_zeros_and_closed_over_values():
    def outer(x, scale):
        @jax.custom_vjp
        def f(a, b):
            return a * b * scale, b

        def forward(a, b):
            return (a.value * b.value * scale, b.value), (a.value, b.value, a.perturbed, b.perturbed)

        def backward(residuals, dy):
            a, b, *_ = residuals
            first, second = dy
            assert isinstance(second, SymbolicZero)
            return first * b * scale, first * a * scale

        f.defvjp(forward, backward, symbolic_zeros=True)
        return jnp.sum(f(x, x + 1.0)[0])

    assert_same(partial(outer, scale=2.0), X)
    np.testing.assert_allclose(jax.jit(grad(outer))(X, 2.0), jax.grad(outer)(X, 2.0), rtol=1e-6)


# ---- loops, branches, checkpoints -------------------------------------------------------------------------


def nested(w, x):
    def inner(h, a):
        return jnp.tanh(h @ w + a), h * 2.0

    def outer(h, xs):
        return jax.lax.scan(jax.checkpoint(inner), h, xs)

    h, ys = jax.lax.scan(outer, jnp.zeros((2, 3)), x, reverse=True, unroll=2)
    return jnp.sum(h) + jnp.sum(jnp.sin(ys))


def test_nested_loops_with_checkpoints():
    w = jnp.arange(9.0).reshape(3, 3) / 10 - 0.4
    x = jnp.sin(jnp.arange(120.0)).reshape(4, 5, 2, 3)
    assert_same(nested, w, x, argnums=(0, 1))


def test_a_carry_that_begins_without_a_gradient_and_one_that_loses_it():
    def f(x):
        def step(carry, a):
            h, lost, count = carry
            return (h + a * h, jnp.zeros_like(lost), count + 1), (h, count)

        (h, lost, _), (along, counts) = jax.lax.scan(step, (jnp.ones(()), x[0], 0), x)
        return h + lost + jnp.sum(along * counts.astype(jnp.float32))

    assert_same(f, X)


def test_loops_whose_results_are_not_all_used_or_that_take_no_step():
    def unused(x):
        h, _ = jax.lax.scan(lambda h, a: (h * a, jnp.sin(h)), jnp.ones(()), x)
        return h

    def along_only(x):
        return jnp.sum(jax.lax.scan(lambda h, a: (h + 1.0, h * a), jnp.ones(()), x)[1])

    def no_step(x):
        return jax.lax.scan(lambda h, a: (h * a, h), x[0], x[:0])[0]

    for f in (unused, along_only, no_step):
        assert_same(f, X)


def test_a_loop_with_a_fixed_count_and_branches_in_it():
    def f(x):
        def step(i, h):
            return jax.lax.switch(
                i % 3, [lambda h: jnp.sin(h) * x, lambda h: h * h, lambda h: jnp.exp(-h) + x], h
            )

        return jnp.sum(jax.lax.fori_loop(0, 7, step, x))

    assert_same(f, X / 4)


def test_branches_of_which_one_has_no_gradient():
    def f(x, which):
        return jnp.sum(jax.lax.cond(which, lambda x: jnp.ones_like(x), lambda x: x * x * x, x))

    for which in (True, False):
        assert_same(partial(f, which=which), X)


@pytest.mark.parametrize(
    "policy", [None, jax.checkpoint_policies.dots_saveable, jax.checkpoint_policies.everything_saveable]
)
def test_a_checkpoint_computes_again_what_its_policy_does_not_save(policy):
    def f(x):
        return jnp.sum(jax.checkpoint(lambda x: jnp.sin(jnp.sin(x) @ x), policy=policy)(x))

    x = jnp.arange(9.0).reshape(3, 3) / 10
    assert_same(f, x)
    text = str(jax.make_jaxpr(grad(f))(x))
    sines, products = text.count("= sin "), text.count("dot_general[")
    # Forward: sin, product, sin; back: two products. Again, unless saved: the inner sin, the product.
    if policy is jax.checkpoint_policies.everything_saveable:
        assert (sines, products) == (2, 3)
    else:
        assert sines > 2
        assert products == (4 if policy is None else 3)


def test_saved_names():
    from jax.ad_checkpoint import checkpoint_name

    def f(x):
        policy = jax.checkpoint_policies.save_only_these_names("kept")
        return jnp.sum(
            jax.checkpoint(lambda x: jnp.exp(checkpoint_name(jnp.sin(x), "kept")), policy=policy)(x)
        )

    assert_same(f, X)


# ---- what has no rule -------------------------------------------------------------------------------------


def test_a_loop_without_a_fixed_count_has_no_way_back():
    def f(x):
        return jax.lax.while_loop(lambda c: c < 3.0, lambda c: c * x, x)

    assert trace(f, 1.5).forward().value == pytest.approx(3.375)
    with pytest.raises(UnsupportedPrimitive, match=r"'while' \(.*test_grad.py:\d+ .*fori_loop"):
        grad(f)(1.5)


def unsupported(x):
    return jnp.sum(jnp.linalg.eigh(x)[0])


def test_a_primitive_without_a_rule_is_named_with_its_line():
    x = jnp.eye(3)
    run = trace(unsupported, x).forward()
    assert run.value == 3
    with pytest.raises(
        UnsupportedPrimitive, match=r"'eigh' \(.*test_grad.py:\d+ .*register_rule\('eigh', rule\)"
    ) as e:
        run.backward()
    assert e.value.primitive == "eigh"
    assert e.value.source.function == "unsupported"


def test_a_primitive_without_a_rule_inside_a_loop_still_goes_forward():
    def f(x):
        return jax.lax.scan(lambda c, _: (c * unsupported(x), None), jnp.ones(()), length=2)[0]

    run = trace(f, jnp.eye(3)).forward()
    assert run.value == 9
    with pytest.raises(UnsupportedPrimitive, match="eigh"):
        run.backward()


def test_where_no_gradient_flows_no_rule_is_needed():
    assert grad(lambda x: jnp.sum(x) * unsupported(jnp.eye(3)))(X).tolist() == [3, 3, 3]
    assert (
        grad(lambda x: jnp.sum(x) * unsupported(jax.lax.stop_gradient(jnp.diag(x))))(X).tolist() == [1.5] * 3
    )


# ---- models -----------------------------------------------------------------------------------------------


def test_a_model_as_the_argument_and_as_its_state():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    x = jnp.stack([X, 2 * X])

    def loss(model, x):
        return jnp.mean(model(x) ** 2)

    with jax.numpy_rank_promotion("allow"):  # flax adds a bias of rank 1
        got, want = grad(loss)(model, x), jax.grad(loss)(model, x)
        graphdef, state = nnx.split(model)
        by_state = grad(lambda state: loss(nnx.merge(graphdef, state), x))(state)
    for tree in (got, by_state):
        for ours, theirs in zip(jax.tree.leaves(tree), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert isinstance(got, nnx.Linear)


# ---- any program ------------------------------------------------------------------------------------------

UNARY = (jnp.sin, jnp.tanh, lambda a: jnp.exp(-a * a), lambda a: a[::-1], jax.nn.softplus, jnp.cumsum)
BINARY = (jnp.multiply, jnp.add, jnp.subtract, jnp.maximum, lambda a, b: jnp.where(a > b, a, b * 0.5))


@given(st.lists(st.tuples(st.booleans(), *[st.integers(0, 99)] * 3), min_size=1, max_size=10), st.booleans())
def test_any_program_has_jax_grads_gradient(steps, looped):
    def body(x, y):
        made = [x, y]
        for unary, which, i, j in steps:
            a, b = made[i % len(made)], made[j % len(made)]
            made.append(UNARY[which % len(UNARY)](a) if unary else BINARY[which % len(BINARY)](a, b))
        return made[-1], made[-2]

    def f(x, y):
        if looped:
            (x, y), along = jax.lax.scan(lambda c, _: (body(*c), body(*c)[0]), (x, y), length=3)
            return jnp.sum(jnp.sin(x)) + jnp.sum(jnp.cos(y)) + jnp.sum(jnp.sin(along))
        x, y = body(x, y)
        return jnp.sum(jnp.sin(x)) + jnp.sum(jnp.cos(y))

    with jax.enable_x64(True):
        args = jnp.array([0.3, -0.8, 1.1]), jnp.array([0.7, 0.2, -0.5])
        for ours, theirs in zip(grad(f, (0, 1))(*args), jax.grad(f, (0, 1))(*args), strict=True):
            scale = float(jnp.max(jnp.abs(theirs)))
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * scale + 1e-300)


def test_the_winner_of_a_window_with_nan_is_that_of_jax_grad():
    random = np.random.default_rng(0)
    x = random.integers(-2, 3, (3, 6, 7, 2)).astype(np.float32)
    x[random.random(x.shape) < 0.15] = np.nan
    x[random.random(x.shape) < 0.1] = -np.inf
    w = random.standard_normal((3, 3, 4, 2), np.float32)

    def f(x):
        return jnp.sum(w * nnx.max_pool(x, (2, 2), (2, 2), "SAME"))

    np.testing.assert_array_equal(jax.jit(grad(f))(x), jax.grad(f)(x))

"""`graph.grad` in the place of `jax.grad`."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import jaxbackprop.graph
from jaxbackprop.graph import grad, value_and_grad
from tests.graph.compare import X


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

"""Both passes over a graph: every value, every gradient, and what is inside a node."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.graph import trace

X = jnp.array([0.5, -1.0, 2.0])


def gates(x, y, z):
    return (x + y) * jnp.maximum(y, z)


@pytest.fixture
def back():
    """The slides' small example: (1 + 2) · max(2, 0)."""
    return trace(gates, 1.0, 2.0, 0.0).forward().backward()


def test_the_forward_pass_has_every_value(back):
    run = back.run
    assert {name: float(run[name]) for name in ("x", "y", "z", "add", "max", "mul")} == {
        "x": 1,
        "y": 2,
        "z": 0,
        "add": 3,
        "max": 2,
        "mul": 6,
    }
    assert run.value == 6
    assert run.of("mul").operands == (3, 2)
    assert run.of("mul").value == 6


def test_the_backward_pass_multiplies_local_and_upstream_gradients(back):
    assert back.grads == (2, 5, 0)
    mul = back.of("mul")
    assert (mul.upstream, mul.downstream) == (1, (2, 3))
    assert mul.local.formula == "da = b dy, db = a dy"
    assert mul.local.residuals == {"a": 3, "b": 2}
    assert back.of("max").downstream == (3, 0)


def test_a_copy_adds_what_came_back(back):
    copy = back.of("copy")
    assert copy.upstream == (2, 3)
    assert copy.downstream == (5,)
    assert copy.local.formula == "dx = dy0 + dy1"


def test_an_argument_has_an_upstream_gradient_and_passes_nothing_on(back):
    y = back.of("y")
    assert (y.upstream, y.local, y.downstream) == (5, None, ())


def test_every_edge_has_its_value_and_its_gradient(back):
    graph = back.graph
    found = {
        (graph.nodes[e.source].name, graph.nodes[e.target].name): (
            float(back.run.edge(e)),
            float(back.edge(e)),
        )
        for e in graph.edges
    }
    assert found == {
        ("x", "add"): (1, 2),
        ("y", "copy"): (2, 5),
        ("copy", "add"): (2, 2),
        ("copy", "max"): (2, 3),
        ("z", "max"): (0, 0),
        ("add", "mul"): (3, 2),
        ("max", "mul"): (2, 3),
    }


def test_what_is_not_differentiable_gets_none():
    def f(x, i, params):
        return x[i] * params["w"] + params["count"].astype(jnp.float32)

    back = trace(f, X, 1, {"w": 3.0, "count": jnp.array(2)}).forward().backward()
    assert back.grads[0].tolist() == [0, 3, 0]
    assert back.grads[1] is None
    assert back.grads[2] == {"w": -1, "count": None}


def test_what_the_result_does_not_depend_on_gets_zeros():
    back = trace(lambda x, y: jnp.sum(x) + 0.0 * jnp.floor(y), X, 2.5).forward().backward()
    assert back.grads[1] == 0
    assert trace(lambda x, y: jnp.sum(x), X, X).forward().backward().grads[1].tolist() == [0, 0, 0]


def test_gradients_have_the_structure_of_the_arguments():
    params = {"W": jnp.ones((2, 3)), "b": (jnp.zeros(2), None)}
    back = trace(lambda p, x: jnp.sum(p["W"] @ x + p["b"][0]), params, X).forward().backward()
    assert jax.tree.structure(back.grads) == jax.tree.structure((params, X))


def test_an_upstream_gradient_of_ones_own():
    graph = trace(lambda x: {"square": x * x, "sum": jnp.sum(x), "count": jnp.argmax(x)}, X)
    run = graph.forward()
    dy = {"square": jnp.array([1.0, 0.0, 2.0]), "sum": 10.0, "count": None}
    np.testing.assert_allclose(run.backward(dy).grads[0], [11, 10, 18])
    assert run.backward({"square": None, "sum": 1.0, "count": None}).grads[0].tolist() == [1, 1, 1]


def test_without_one_number_for_a_result_the_upstream_gradient_must_be_given():
    run = trace(lambda x: x * x, X).forward()
    with pytest.raises(ValueError, match=r"dy must be given: .* but float32\[3\]"):
        run.backward()
    with pytest.raises(TypeError, match=r"dy has a leaf float32\[2\]"):
        run.backward(jnp.ones(2))
    with pytest.raises(TypeError, match="dy has the structure"):
        run.backward((X, X))
    with pytest.raises(ValueError, match="int32"):
        trace(lambda x: jnp.argmax(x), X).forward().backward()


def test_other_arguments_of_the_same_shapes():
    graph = trace(lambda x: jnp.sum(x * x), X)
    assert graph.forward(2 * X).value == 4 * graph.forward().value
    np.testing.assert_allclose(graph.forward(2 * X).backward().grads[0], 4 * X)
    for wrong in (X[:2], X.astype(jnp.int32), (X,)):
        with pytest.raises(TypeError):
            graph.forward(wrong)


def test_the_passes_run_under_jit_and_vmap():
    graph = trace(lambda x: jnp.sum(jnp.sin(x) * x), X)

    def gradient(x):
        return graph.forward(x).backward().grads[0]

    want = jnp.cos(X) * X + jnp.sin(X)
    np.testing.assert_allclose(jax.jit(gradient)(X), want, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(gradient)(jnp.stack([X, X]))[1], want, rtol=1e-6)


def test_results_that_are_arguments_or_constants():
    run = trace(lambda x, y: (x, y, jnp.ones(())), 2.0, 3.0).forward()
    assert run.backward((1.0, 5.0, 7.0)).grads == (1, 5)
    run = trace(lambda x: (x, x), 2.0).forward()
    assert run.backward((1.0, 5.0)).grads == (6,)


def recurrent(w, xs):
    def step(h, x):
        h = jnp.tanh(h * w + x)
        return h, h * h

    h, squares = jax.lax.scan(step, jnp.zeros(()), xs)
    return h + jnp.sum(squares)


@pytest.mark.parametrize("reverse", [False, True])
def test_inside_a_loop_step_by_step(reverse):
    xs = jnp.array([0.1, 0.2, 0.3, 0.4])

    def f(w, xs):
        def step(h, x):
            h = jnp.tanh(h * w + x)
            return h, h * h

        h, squares = jax.lax.scan(step, jnp.zeros(()), xs, reverse=reverse)
        return h + jnp.sum(squares)

    def unrolled(w, xs):
        h, total = jnp.zeros(()), 0.0
        for t in range(4)[:: -1 if reverse else 1]:
            h = jnp.tanh(h * w + xs[t])
            total += h * h
        return h + total

    graph = trace(f, 0.7, xs)
    back = graph.forward().backward()
    dw, dxs = jax.grad(unrolled, (0, 1))(0.7, xs)
    for t in range(4):
        inside = back.inside("scan", t)
        np.testing.assert_allclose(inside.grads[2], dxs[t], rtol=1e-5)
    total = sum(float(back.inside("scan", t).grads[0]) for t in range(4))
    assert total == pytest.approx(float(dw), rel=1e-5)
    h = np.tanh(0.4) if reverse else np.tanh(0.1)
    assert float(back.run.inside("scan", 3 if reverse else 0)["tanh"]) == pytest.approx(h, rel=1e-6)
    assert float(back.run.inside("scan", -1)["tanh"]) == float(back.run.inside("scan", 3)["tanh"])
    for wrong in (None, 4, -5):
        with pytest.raises(ValueError, match="step must be from 0 to 3"):
            back.inside("scan", wrong)


def test_inside_a_branch_and_a_checkpoint():
    def f(x):
        y = jax.lax.cond(x > 0, jnp.sin, lambda x: x * x, x)
        return jax.checkpoint(lambda y: jnp.cos(y) * 2.0)(y)

    for x, name in ((1.0, "sin"), (-1.0, "mul")):
        back = trace(f, x).forward().backward()
        assert name in {node.name for node in back.inside("cond").graph.nodes}
        assert back.inside("cond").grads == back.grads
        assert "cos" in {node.name for node in back.run.inside("checkpoint").graph.nodes}
        with pytest.raises(ValueError, match="step is for loops alone"):
            back.inside("cond", 1)


def test_there_is_nothing_inside_a_plain_operation(back):
    with pytest.raises(ValueError, match="nothing inside mul"):
        back.inside("mul")


def test_the_residuals_of_a_loop_are_what_its_backward_pass_reads():
    xs = jnp.linspace(0.1, 0.4, 4)
    back = trace(recurrent, 0.7, xs).forward().backward()
    residuals = back.of("scan").local.residuals
    # h before each step for dw, tanh's result for its slope and the square; w is shared and xs are there.
    assert {name: value.shape for name, value in residuals.items()} == {
        "x1 of every step": (4,),
        "kept 0 of every step": (4,),
    }

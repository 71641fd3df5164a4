"""The doctor on planted faults: the first finding names the ailment and the place."""

import inspect

import flax.nnx as nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxbackprop import ops
from jaxbackprop.doctor import health
from jaxbackprop.graph import UnsupportedPrimitive
from tests.doctor.models import batch, cross_entropy, descend, mlp, orthogonal, weights


def first(report):
    assert not report.healthy
    return report.findings[0]


def line_of(function, text):
    """The line of a function's source that holds a text."""
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if text in line)


def hand_written(x):
    return 1 / (1 + jnp.exp(-x))


@pytest.mark.parametrize("sigmoid", [jax.nn.sigmoid, ops.sigmoid, hand_written], ids=["jax", "ops", "hand"])
def test_twenty_sigmoid_layers_vanish(sigmoid):
    params, loss = mlp((20, *(32,) * 20, 5), sigmoid)
    found = first(health(loss, params, *batch()))
    assert found.kind == "vanishing"
    assert "20 sigmoid layers" in found.message
    assert found.node.label in ("logistic", "sigmoid", "div")
    assert found.node.name == found.node.label
    assert found.figure < 1e-8
    assert "relu" in found.remedy


def test_relu_dies_of_a_learning_rate_of_10():
    data = batch(features=10, classes=3)
    params, loss = mlp((10, 32, 32, 3), jax.nn.relu, gain=2.0)
    assert health(loss, params, *data).healthy
    report = health(loss, descend(loss, params, data, rate=10, steps=20), *data)
    found = first(report)
    assert found.kind == "dead"
    assert found.node.label == "relu"
    assert found.figure > 0.9
    assert found.figure == next(h.dead for h in report.nodes if h.node is found.node)
    assert "learning rate" in found.remedy


@pytest.mark.parametrize("per_example", [False, True])
def test_units_are_told_from_examples_where_weights_stand_on_the_left(per_example):
    W = weights(jax.random.key(0), 8, 16).T.at[:15].set(0)

    def layer(W, x):
        return jax.nn.relu(W @ x - 1e-3)

    def loss(params, x):
        h = jax.vmap(layer, (None, 1), 1)(params["W"], x) if per_example else layer(params["W"], x)
        return jnp.sum(h)

    found = first(health(loss, {"W": W}, jax.random.normal(jax.random.key(1), (8, 64))))
    assert (found.kind, found.figure) == ("dead", pytest.approx(15 / 16))


def scanned(params, h):
    return jnp.sum(jax.lax.scan(lambda h, _: (params["W"] @ h, None), h, None, length=50)[0] ** 2)


def written_out(params, h):
    for _ in range(50):
        h = params["W"] @ h
    return jnp.sum(h**2)


def every_state(params, h):
    return jnp.mean(jax.lax.scan(lambda h, _: (params["W"] @ h,) * 2, h, None, length=50)[1] ** 2)


def by_fori_loop(params, h):
    return jnp.sum(jax.lax.fori_loop(0, 50, lambda _, h: params["W"] @ h, h) ** 2)


@pytest.mark.parametrize("loss", [scanned, written_out, every_state, by_fori_loop], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("modulus", "kind"), [(1.4, "exploding"), (0.5, "vanishing")])
def test_the_gradient_along_a_sequence(loss, modulus, kind):
    h = jax.random.normal(jax.random.key(1), (16,))
    report = health(loss, {"W": orthogonal(16, modulus)}, h)
    found = first(report)
    assert found.kind == kind
    assert found.node.label == ("dot_general" if loss is written_out else "scan × 50")
    assert found.figure == pytest.approx(modulus, rel=1e-3)
    (sequence,) = report.sequences
    assert sequence.rate == pytest.approx(modulus, rel=1e-3)
    assert len(sequence.growth) == (49 if loss is written_out else 50)
    assert health(loss, {"W": orthogonal(16, 1.0)}, h).healthy


def test_the_recurrent_operators_are_looked_into():
    W = np.abs(orthogonal(16, 1.0))
    W = jnp.asarray(W / np.abs(np.linalg.eigvals(W)).max())

    def bare(params, h):
        return jnp.sum(ops.bare_rnn(params["W"], h, 50)[-1] ** 2)

    def tanh(params, x):
        return jnp.sum(ops.rnn(x, jnp.eye(16), params["W"])[-1])

    h = jnp.ones(16)
    for modulus, kind in ((1.4, "exploding"), (0.5, "vanishing")):
        found = first(health(bare, {"W": modulus * W}, h))
        assert (found.kind, found.node.name) == (kind, "bare_rnn")
        assert found.figure == pytest.approx(modulus, rel=0.05)
    assert health(bare, {"W": W}, h).healthy
    x = 0.01 * jax.random.normal(jax.random.key(0), (50, 16))
    found = first(health(tanh, {"W": orthogonal(16, 0.5)}, x))
    assert (found.kind, found.node.name) == ("vanishing", "rnn")


def test_the_log_of_zero():
    def loss(params, x):
        h = jax.nn.relu(x @ params["W"])
        return jnp.mean(jnp.log(h))  # here

    found = first(health(loss, {"W": weights(jax.random.key(0), 20, 8)}, batch()[0]))
    assert (found.kind, found.node.name) == ("nonfinite", "log")
    assert found.source.line == line_of(loss, "# here")
    assert "minus infinity" in found.message
    assert "of 0" in found.message
    assert "log_softmax" in found.remedy


def test_what_turns_the_infinity_into_nan_is_named_too():
    def loss(p):
        return jnp.sum(p["x"] * jnp.log(p["x"]))

    found = first(health(loss, {"x": jnp.array([0.0, 1.0])}))
    assert found.node.name == "log"
    assert "the first nan is made of it by mul" in found.message


def test_a_gradient_that_turns_nan_though_the_loss_does_not():
    def masked(p):
        return jnp.sum(jnp.where(p["x"] > 0, jnp.log(p["x"]), jnp.zeros_like(p["x"])))

    def root(p):
        return jnp.sqrt(jnp.sum(p["x"] ** 2))

    found = first(health(masked, {"x": jnp.array([0.0, 1.0])}))
    assert (found.kind, found.node.name) == ("nonfinite", "log")
    found = first(health(root, {"x": jnp.zeros(3)}))
    assert (found.kind, found.node.name) == ("nonfinite", "sqrt")


def test_a_nan_inside_a_loop_is_followed_into_the_loop_and_its_step():
    def loss(p, x):
        return jax.lax.scan(lambda h, x: (h * p["a"] + jnp.log(x), None), jnp.float32(0), x)[0]

    x = jnp.array([1.0, 2.0, 0.0, 3.0, 0.0])
    found = first(health(loss, {"a": jnp.float32(0.5)}, x))
    assert (found.kind, found.name) == ("nonfinite", "scan/log")
    assert "step 2 of scan" in found.message
    backwards = first(health(lambda p, x: loss(p, x[::-1]), {"a": jnp.float32(0.5)}, x))
    assert "step 0 of scan" in backwards.message


def test_numbers_that_come_in_as_nan_and_masks_of_infinity():
    def loss(p, x):
        return jnp.sum(jnp.tanh(x @ p["W"]))

    found = first(health(loss, {"W": jnp.full((3, 2), jnp.nan)}, jnp.ones((4, 3))))
    assert (found.kind, found.node.name) == ("nonfinite", "p['W']")

    def attention(p, x):
        scores = x @ p["W"] @ x.T
        seen = jnp.tri(4, dtype=bool)
        return jnp.sum(jax.nn.softmax(jnp.where(seen, scores, jnp.full_like(scores, -jnp.inf))) @ x)

    p = {"W": weights(jax.random.key(0), 3, 3)}
    x = jax.random.normal(jax.random.key(1), (4, 3))
    assert health(attention, p, x).healthy

    def all_masked(p, x):
        return jnp.sum(jax.nn.softmax(x @ p["W"] + jnp.full((4, 3), -jnp.inf)))

    assert first(health(all_masked, p, x)).node.name == "sub"


@pytest.mark.parametrize(
    ("activation", "kind", "label"),
    [
        (jnp.tanh, "saturated", "tanh"),
        (jax.nn.sigmoid, "saturated", "logistic"),
        (ops.hardtanh, "saturated", "hardtanh"),
        (jax.nn.hard_tanh, "saturated", "select_n"),
        (lambda x: jnp.clip(x, -1, 1), "saturated", "min"),
        (jax.nn.relu, "exploding", "dot_general"),
        (jax.nn.gelu, "exploding", "dot_general"),
        (jax.nn.silu, "exploding", "dot_general"),
    ],
)
def test_weights_100_times_too_large(activation, kind, label):
    params, loss = mlp((20, 64, 64, 5), activation)
    found = first(health(loss, jax.tree.map(lambda w: 100 * w, params), *batch()))
    assert (found.kind, found.node.label) == (kind, label)
    assert health(loss, params, *batch()).healthy


def test_a_deep_relu_network_whose_weights_are_too_large_explodes():
    params, loss = mlp((20, *(32,) * 12, 5), jax.nn.relu, gain=40.0)
    found = first(health(loss, params, *batch()))
    assert found.kind == "exploding"
    assert "12 layers" in found.message


def test_a_detached_branch():
    def loss(params, x, y):
        a = jnp.tanh(x @ params["encoder"]["W"] + params["encoder"]["b"])
        a = jax.lax.stop_gradient(a)  # here
        return jnp.mean((a @ params["out"] + jnp.tanh(x @ params["own"]) @ params["out"] - y) ** 2)

    keys = jax.random.split(jax.random.key(0), 3)
    params = {
        "encoder": {"W": weights(keys[0], 20, 8), "b": jnp.zeros((1, 8))},
        "own": weights(keys[1], 20, 8),
        "out": weights(keys[2], 8, 1),
    }
    found = first(health(loss, params, batch()[0], jnp.ones((64, 1))))
    assert (found.kind, found.node.name) == ("detached", "stop_gradient")
    assert found.source.line == line_of(loss, "# here")
    assert "params['encoder']['W']" in found.message
    assert "params['own']" not in found.message
    assert [node.name for node in found.nodes[1:]] == ["params['encoder']['W']", "params['encoder']['b']"]


def test_a_target_network_and_data_may_be_detached():
    def loss(params, target, x):
        return jnp.mean((x @ params["W"] - jax.lax.stop_gradient(x @ target["W"])) ** 2)

    p = {"W": weights(jax.random.key(0), 3, 2)}
    x = jax.random.normal(jax.random.key(1), (16, 3))
    assert health(loss, p, p, x).healthy
    assert first(health(loss, p, p, x, argnums=(0, 1))).kind == "detached"
    assert health(lambda p, x: jnp.mean(jax.lax.stop_gradient(x) @ p["W"]), p, x).healthy


def test_a_dead_embedding_row_is_no_fault():
    def loss(params, ids, labels):
        return cross_entropy(jnp.tanh(params["E"][ids].mean(1)) @ params["W"], labels)

    params = {
        "E": jax.random.normal(jax.random.key(0), (100, 16)).at[3].set(0),
        "W": weights(jax.random.key(1), 16, 5),
    }
    ids = jax.random.randint(jax.random.key(2), (32, 5), 5, 100)
    assert health(loss, params, ids, jnp.arange(32) % 5).healthy
    assert health(loss, params, ids, jnp.arange(32) % 5, optimizer=optax.adam(1e-3)).healthy


def test_updates_beside_weights():
    params, loss = mlp((20, 32, 5), jnp.tanh)
    small = health(loss, params, *batch(), optimizer=optax.sgd(1e-2))
    assert small.healthy
    slopes = jax.grad(loss)(params, *batch())
    by_name = {h.name: h.update_ratio for h in small.nodes if h.role == "parameter"}
    want = 1e-2 * np.linalg.norm(slopes[0]["W"]) / np.linalg.norm(params[0]["W"])
    assert by_name["params[0]['W']"] == pytest.approx(want, rel=1e-4)
    assert by_name["params[0]['b']"] is None
    found = first(health(loss, params, *batch(), optimizer=optax.sgd(1e3)))
    assert found.kind == "update"
    assert found.node.kind == "input"
    state = optax.adam(1e-3).init(params)
    assert health(loss, params, *batch(), optimizer=optax.adam(1e-3), opt_state=state).healthy


def test_modules_of_flax_are_examined_with_their_optimizer():
    model = nnx.Sequential(
        nnx.Linear(20, 32, rngs=nnx.Rngs(0)),
        nnx.BatchNorm(32, rngs=nnx.Rngs(0)),
        nnx.relu,
        nnx.Dropout(0.1, rngs=nnx.Rngs(1)),
        nnx.Linear(32, 5, rngs=nnx.Rngs(2)),
    )
    report = health(lambda m, x, y: cross_entropy(m(x), y), model, *batch(), optimizer=optax.adam(1e-3))
    assert report.healthy
    assert {h.name for h in report.nodes if h.update_ratio} == {
        "m.layers[0].kernel",
        "m.layers[1].scale",
        "m.layers[4].kernel",
    }


def test_a_layer_that_starts_at_0_is_noted_and_no_more():
    params, loss = mlp((20, 32, 32, 5), jnp.tanh)
    params[-1]["W"] = jnp.zeros_like(params[-1]["W"])
    report = health(loss, params, *batch())
    assert report.healthy
    assert "exactly 0" in report.notes[0]


def test_bad_arguments_are_refused():
    params, loss = mlp((20, 32, 5), jnp.tanh)
    data = batch()
    with pytest.raises(TypeError, match="f must be a function"):
        health(3, params)
    with pytest.raises(ValueError, match="argnums holds 3, but 3 arguments came"):
        health(loss, params, *data, argnums=3)
    with pytest.raises(TypeError, match="optimizer must be an optax transformation, got float"):
        health(loss, params, *data, optimizer=0.1)
    with pytest.raises(ValueError, match="opt_state is given"):
        health(loss, params, *data, opt_state=())
    with pytest.raises(ValueError, match="argnums must name the one argument"):
        health(lambda w, x: jnp.sum(x @ w), jnp.ones((3, 2)), jnp.ones((4, 3)), optimizer=optax.sgd(1.0))
    with pytest.raises(TypeError, match="without values"):
        health(loss, params, *jax.eval_shape(lambda: data))
    with pytest.raises(TypeError, match="no floating-point number"):
        health(lambda p: jnp.argmax(p), jnp.ones(3))
    with pytest.raises(ZeroDivisionError):
        health(lambda p: jnp.sum(p) * (1 / 0), jnp.ones(3))
    with pytest.raises(UnsupportedPrimitive):
        health(lambda p: jax.lax.while_loop(lambda h: h < 9, lambda h: h * 2, p), jnp.ones(()))


def test_the_loss_may_have_more_behind_it_and_a_function_need_be_no_loss():
    params, loss = mlp((20, 32, 5), jnp.tanh)
    report = health(lambda p, x, y: (loss(p, x, y), {"x": x}), params, *batch())
    assert report.value == pytest.approx(float(loss(params, *batch())))
    assert health(lambda p, x: jnp.tanh(x @ p["W"]), {"W": params[0]["W"]}, batch()[0]).value is None


def test_a_loop_over_layers_with_weights_of_their_own_is_a_deep_network():
    def loss(params, x):
        return jnp.mean(jax.lax.scan(lambda h, W: (jax.nn.sigmoid(h @ W), None), x, params["W"])[0] ** 2)

    keys = jax.random.split(jax.random.key(0), 12)
    params = {"W": jnp.stack([weights(key, 16, 16) for key in keys])}
    found = first(health(loss, params, batch(features=16)[0]))
    assert (found.kind, found.node.name) == ("vanishing", "scan")
    assert "through the layers of the loop" in found.message

"""Gradients that a dtype of 16 bits cannot hold, and updates that are lost in it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxbackprop import ops
from jaxbackprop.doctor import health
from tests.doctor.models import batch, cross_entropy, mlp

PARAMS, _ = mlp((20, 16, 5), jnp.tanh)
DATA = batch()


def examined(
    dtype, factor=1.0, *, params=PARAMS, linear=lambda x, layer: x @ layer["W"] + layer["b"], **more
):
    """The report of a classifier that computes in a dtype; its loss is multiplied by a factor in float32."""

    def loss(params, x, labels):
        *hidden, last = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        x = x.astype(dtype)
        for layer in hidden:
            x = jnp.tanh(linear(x, layer))
        return cross_entropy(linear(x, last).astype(jnp.float32), labels) * jnp.float32(factor)

    return health(loss, params, *DATA, argnums=0, **more)


def in_dtype(dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), PARAMS)


# Gradients


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_a_model_that_computes_in_16_bits_over_float32_parameters_is_healthy(dtype):
    report = examined(dtype, optimizer=optax.sgd(1e-3))
    assert (report.findings, report.notes) == ((), ())


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [(jnp.float16, 1e-6), (jnp.float16, 1e-15), (jnp.bfloat16, 1e-37)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_gradient_that_underflows_is_named_where_it_begins_and_the_remedy_cures(dtype, factor):
    (found,) = examined(dtype, factor).findings
    # The sum that makes the logits: the nearest to the loss.
    assert (found.kind, found.node.label, found.outer[0].shape) == ("underflow", "add", (64, 5))
    assert 0.1 < found.figure <= 1
    assert f"too small for {jnp.dtype(dtype).name}" in found.message
    assert "and with it that of params[" in found.message
    power = int(re.search(r"the loss times 2\^(\d+)", found.remedy)[1])
    assert ("bfloat16, which has float32's range" in found.remedy) == (dtype == jnp.float16)
    assert examined(dtype, factor * 2.0**power).healthy


@pytest.mark.parametrize("size", [3e-9, 1e-7, 1e-6])
def test_the_figure_is_the_share_of_the_gradients_norm_that_rounding_takes(size):
    # The gradient of x in float16 is the slope, rounded.
    slope = np.float32(size) * np.random.default_rng(0).normal(size=500).astype(np.float32)

    def loss(x):
        return jnp.sum(x.astype(jnp.float16).astype(jnp.float32) * slope)

    findings = health(loss, jnp.ones(500)).findings
    # NumPy's float16 has the subnormal numbers too.
    lost = slope - slope.astype(np.float16).astype(np.float32)
    want = np.linalg.norm(lost) / np.linalg.norm(slope)
    assert [found.kind for found in findings] == (["underflow"] if want > 0.1 else [])
    for found in findings:
        assert found.figure == pytest.approx(want, rel=0.05)


def test_a_gradient_that_is_0_has_not_underflowed():
    still = [*PARAMS[:-1], {"W": jnp.zeros((16, 5)), "b": jnp.zeros((1, 5))}]
    report = examined(jnp.float16, params=still)
    assert report.healthy
    assert "is exactly 0 here" in report.notes[0]


def test_weak_branches_and_gradients_that_are_0_but_for_rounding_have_not_underflowed():
    params = {
        "W": jax.random.normal(jax.random.key(0), (20, 5), jnp.float16),
        "branch": jax.random.normal(jax.random.key(1), (20, 5), jnp.float16),
        "of all classes": jnp.zeros((1, 1), jnp.float16),
    }

    def loss(params, x, labels):
        x = x.astype(jnp.float16)
        logits = x @ params["W"] + 3e-7 * (x @ params["branch"]) + params["of all classes"]
        return cross_entropy(logits.astype(jnp.float32), labels)

    assert health(loss, params, *DATA).healthy


def test_operators_and_loops_are_looked_into():
    def linear(x, layer):
        return ops.linear(x, layer["W"].T, layer["b"][0])

    (found,) = examined(jnp.float16, 1e-8, linear=linear).findings
    assert found.kind == "underflow"
    assert found.name.startswith("linear")

    def along(W, x):
        def step(h, now):
            return jnp.tanh(h @ W.astype(h.dtype) + now), None

        return jnp.mean(jax.lax.scan(step, jnp.zeros_like(x[0]), x)[0].astype(jnp.float32)) * 1e-7

    x = jax.random.normal(jax.random.key(2), (6, 8, 16)).astype(jnp.float16)
    findings = health(along, 0.3 * jax.random.normal(jax.random.key(3), (16, 16)), x, argnums=0).findings
    assert [found.kind for found in findings] == ["underflow"]
    assert any(node.label == "dot_general" for node in findings[0].nodes)


# Updates


def test_updates_that_parameters_in_bfloat16_lose():
    report = examined(jnp.bfloat16, params=in_dtype(jnp.bfloat16), optimizer=optax.adam(1e-5))
    (found,) = report.findings
    assert (found.kind, found.node.kind) == ("update", "input")
    assert re.fullmatch(r"params\[\d\]\['W'\]", found.name)
    assert found.figure > 0.95
    assert "bfloat16 loses an update below 0.002 of the weight" in found.message
    assert "float32 master weights" in found.remedy
    assert report.notes == ()
    assert found.figure == max(h.update_lost for h in report.nodes if h.update_lost is not None)
    # Ten times as large, they are lost no more; and in float32 they never were.
    assert examined(jnp.bfloat16, params=in_dtype(jnp.bfloat16), optimizer=optax.adam(1e-2)).healthy
    assert examined(jnp.bfloat16, optimizer=optax.adam(1e-5)).healthy


def test_the_share_of_lost_updates_is_counted_entry_by_entry():
    p = jnp.asarray([1.0, 1.0, 1.0, 1.0, 0.0, 256.0], jnp.bfloat16)
    slope = np.asarray([2.0**-10, 2.0**-5, 0.0, -(2.0**-10), 1e-6, 0.5], np.float32)
    report = health(lambda p: jnp.sum(p.astype(jnp.float32) * slope), p, optimizer=optax.sgd(1.0))
    (parameter,) = (h for h in report.nodes if h.role == "parameter")
    # Of five updates, three change nothing: 1 ± 2^-10, and 256 - 0.5.
    assert parameter.update_lost == pytest.approx(3 / 5)
    assert [found.kind for found in report.findings] == ["update"]


def test_biases_of_0_lose_nothing():
    biases = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf.astype(jnp.float16) if "b" in jax.tree_util.keystr(path) else leaf, PARAMS
    )
    report = examined(jnp.float16, params=biases, optimizer=optax.sgd(1e-4))
    assert report.healthy
    assert {h.update_lost for h in report.nodes if h.role == "parameter"} == {None, 0.0}


def test_without_an_optimizer_parameters_in_16_bits_are_noted():
    report = examined(jnp.bfloat16, params=in_dtype(jnp.bfloat16))
    assert report.healthy
    (note,) = report.notes
    assert note.startswith("of the parameters params[0]['W'], ")
    assert "bfloat16 loses an update below 0.002" in note
    assert "float32 master weights" in note

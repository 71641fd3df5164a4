"""The penalty: which leaves it counts, and 2λθ for those and zero for the rest."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxbackprop import ops

TREE = {
    "hidden": {"W": jnp.full((2, 3), 2.0), "b": jnp.full(2, 3.0)},
    "u": jnp.full(2, 1.0),
    "word_table": jnp.full((4, 2), 5.0),
}


@pytest.mark.parametrize(
    ("keywords", "want"),
    [
        ({}, 24 + 2),
        ({"biases": True}, 24 + 2 + 18),
        ({"tables": True}, 24 + 2 + 200),
        ({"biases": True, "tables": True}, 24 + 2 + 18 + 200),
    ],
)
def test_weights_by_default_the_rest_on_request(keywords, want):
    value, gradient = jax.value_and_grad(lambda tree: ops.l2(tree, 0.5, **keywords))(TREE)
    assert float(value) == 0.5 * want
    np.testing.assert_array_equal(gradient["hidden"]["W"], TREE["hidden"]["W"])
    np.testing.assert_array_equal(gradient["hidden"]["b"], 3.0 if keywords.get("biases") else 0.0)
    np.testing.assert_array_equal(gradient["word_table"], 5.0 if keywords.get("tables") else 0.0)


def test_strength_has_a_gradient():
    assert float(jax.grad(lambda s: ops.l2(TREE, s))(0.5)) == 26


class Layer(NamedTuple):
    kernel: jax.Array
    bias: jax.Array


@pytest.mark.parametrize(
    ("tree", "counted"),
    [
        (jnp.ones(5), 5),
        (jnp.ones(()), 1),
        ([jnp.ones((2, 2)), jnp.ones(2)], 4),
        (Layer(jnp.ones((2, 2)), jnp.ones(2)), 4),
        ({"W1": jnp.ones(3), "b1": jnp.ones((2, 2))}, 3),
        ({"layer_norm": {"scale": jnp.ones((2, 2)), "bias": jnp.ones(2)}}, 0),
        ({"out_w": jnp.ones(3), "out_b": jnp.ones(3)}, 3),
        ({"embedding": jnp.ones((3, 3)), "Embed_0": {"kernel": jnp.ones((2, 2))}}, 0),
        ({"W": jnp.ones((2, 2)), "step": jnp.asarray(3), "none": None}, 4),
        ({"w": {0: jnp.ones(3)}}, 3),
        ({}, 0),
    ],
)
def test_what_counts_as_a_weight(tree, counted):
    assert float(ops.l2(tree, 1.0)) == counted


def test_a_flax_state():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.embed = nnx.Embed(3, 2, rngs=rngs)
            self.out = nnx.Linear(2, 4, bias_init=jax.nn.initializers.ones, rngs=rngs)

    state = nnx.state(Model(nnx.Rngs(0)), nnx.Param)
    kernel = np.asarray(state["out"]["kernel"][...])
    np.testing.assert_allclose(ops.l2(state, 0.1), 0.1 * (kernel**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(ops.l2(state, 0.1, biases=True), 0.1 * ((kernel**2).sum() + 4), rtol=1e-6)


def test_half_precision_adds_in_float32():
    assert float(ops.l2(jnp.ones(4096, jnp.bfloat16), 1.0)) == 4096


def test_a_small_strength_survives_half_precision():
    weights = jnp.full(16, 100.0, jnp.float16)
    value, gradient = jax.value_and_grad(lambda w: ops.l2(w, 1e-8) * jnp.asarray(1e4, jnp.float16))(weights)
    np.testing.assert_allclose(np.float32(value), 1.6e-3 * 1e4, rtol=1e-2)
    np.testing.assert_allclose(np.float32(gradient), 2e-6 * 1e4, rtol=1e-2)


def test_nothing_to_penalise_is_zero_in_the_trees_dtype():
    value, gradient = jax.value_and_grad(lambda tree: ops.l2(tree, 0.1))({"b": jnp.ones(3, jnp.bfloat16)})
    assert (float(value), value.dtype) == (0, jnp.bfloat16)
    np.testing.assert_array_equal(np.float32(gradient["b"]), 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.l2(TREE, jnp.ones(2)), ValueError, r"strength must be a scalar, got shape \(2,\)"),
        (lambda: ops.l2(jnp.ones(2, jnp.complex64), 0.1), TypeError, "tree must be floating-point"),
        (
            lambda: ops.l2({"W": jnp.ones(2), "V": jnp.ones(2, jnp.float16)}, 0.1),
            TypeError,
            r"tree\['V'\] float16, tree\['W'\] float32",
        ),
    ],
)
def test_bad_input_names_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""What arguments are called."""

import jax.numpy as jnp
from flax import nnx

from jaxbackprop.graph import trace
from tests.graph.compare import X


def test_arguments_are_named_by_their_paths():
    def loss(params, *batch):
        return jnp.sum(params["W"] @ batch[0] + params["b"][0]) + batch[1]

    graph = trace(loss, {"W": jnp.ones((2, 3)), "b": [jnp.ones(2)]}, X, 1.0)
    assert [node.name for node in graph.inputs] == ["params['W']", "params['b'][0]", "batch[0]", "batch[1]"]


def test_a_models_parameters_are_named_by_their_attributes():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    graph = trace(lambda model, x: jnp.sum(model(x)), model, X)
    assert [node.name for node in graph.inputs] == ["model.bias", "model.kernel", "x"]

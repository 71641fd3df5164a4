"""The doctor on healthy models, fresh and trained: it finds nothing."""

import flax.nnx as nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import layers, models, ops
from jaxbackprop.doctor import health
from tests.doctor.models import batch, batch_norm, cross_entropy, descend, layer_norm, mlp, weights
from tests.parts import a_part


def classifier(sizes, activation, **settings):
    params, loss = mlp(sizes, activation, **settings)
    return loss, params, *batch(sizes[0], sizes[-1])


def convolutional():
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Conv(3, 8, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.second = nnx.Conv(8, 16, (3, 3), rngs=rngs)
            self.out = nnx.Linear(16, 5, rngs=rngs)

        def __call__(self, x):
            x = nnx.relu(self.norm(self.first(x)))
            return self.out(nnx.relu(self.second(x)).mean((1, 2)))

    x = jax.random.normal(jax.random.key(0), (16, 8, 8, 3))
    return lambda m, x, y: cross_entropy(m(x), y), Network(nnx.Rngs(0)), x, jnp.arange(16) % 5


def recurrent(cell, steps=20):
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.rnn = nnx.RNN(cell(6, 16, rngs=rngs))
            self.out = nnx.Linear(16, 5, rngs=rngs)

        def __call__(self, x):
            return self.out(self.rnn(x)[:, -1])

    x = jax.random.normal(jax.random.key(0), (16, steps, 6))
    return lambda m, x, y: cross_entropy(m(x), y), Network(nnx.Rngs(0)), x, jnp.arange(16) % 5


def plain_lstm():
    """Over 50 steps, with gates that start half open: they let the gradient vanish, and can learn not to."""
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"x": weights(keys[0], 6, 64), "h": weights(keys[1], 16, 64), "out": weights(keys[2], 16, 5)}

    def loss(params, x, y):
        def step(state, x):
            h, c = state
            i, f, o, g = jnp.split(x @ params["x"] + h @ params["h"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), None

        zeros = jnp.zeros((x.shape[1], 16))
        return cross_entropy(jax.lax.scan(step, (zeros, zeros), x)[0][0] @ params["out"], y)

    return loss, params, jax.random.normal(keys[0], (50, 16, 6)), jnp.arange(16) % 5


def own_tagger():
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.rnn = layers.RNN(layers.SimpleCell(6, 32, rngs=rngs))
            self.out = layers.Linear(32, 5, rngs=rngs)

        def __call__(self, x):
            return self.out(self.rnn(x))

    x = jax.random.normal(jax.random.key(0), (16, 50, 6))
    labels = jnp.broadcast_to(jnp.arange(16)[:, None] % 5, (16, 50))
    return lambda m, x, y: ops.softmax_cross_entropy(m(x), y).mean(), Network(nnx.Rngs(0)), x, labels


def attention():
    class Block(nnx.Module):
        def __init__(self, rngs):
            self.norms = nnx.List([nnx.LayerNorm(16, rngs=rngs) for _ in range(2)])
            self.attention = nnx.MultiHeadAttention(2, 16, decode=False, rngs=rngs)
            self.wide = nnx.Linear(16, 64, rngs=rngs)
            self.narrow = nnx.Linear(64, 16, rngs=rngs)

        def __call__(self, x):
            x = x + self.attention(self.norms[0](x))
            return x + self.narrow(nnx.gelu(self.wide(self.norms[1](x))))

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.embedding = nnx.Embed(30, 16, rngs=rngs)
            self.blocks = nnx.List([Block(rngs) for _ in range(2)])
            self.out = nnx.Linear(16, 30, rngs=rngs)

        def __call__(self, ids):
            x = self.embedding(ids)
            for block in self.blocks:
                x = nnx.remat(lambda block, x: block(x))(block, x)
            return self.out(x)

    ids = jax.random.randint(jax.random.key(0), (4, 12), 0, 30)
    return lambda m, ids: cross_entropy(m(ids)[:, :-1], ids[:, 1:]), Network(nnx.Rngs(0)), ids


def window(activation):
    names = ("words", "shapes", "prefixes", "suffixes")
    sizes = {f"num_{name}": 20 for name in names}
    model = models.WindowNER(
        **sizes, word_dim=10, num_tags=5, hidden=32, activation=activation, rngs=nnx.Rngs(0)
    )
    ids = jax.random.randint(jax.random.key(0), (64, 5), -1, 20)
    data = {name: ids for name in names} | {"labels": jnp.arange(64) % 5}
    return lambda m, data: models.window_ner_loss(m, data, 1e-5), model, data


def small_branches():
    """Residual branches that start at a millionth, as deep transformers' do."""
    keys = jax.random.split(jax.random.key(0), 5)
    params = {
        "in": weights(keys[0], 20, 16),
        "blocks": [(weights(k, 16, 16), weights(k, 16, 16)) for k in keys[1:4]],
        "out": weights(keys[4], 16, 5),
    }

    def loss(params, x, y):
        x = x @ params["in"]
        for first, second in params["blocks"]:
            x = x + 1e-6 * (jnp.tanh(x @ first) @ second)
        return cross_entropy(x @ params["out"], y)

    return loss, params, *batch()


HEALTHY = {
    "tanh": lambda: classifier((20, 32, 32, 5), jnp.tanh),
    "deep relu": lambda: classifier((20, *(32,) * 12, 5), jax.nn.relu, gain=2.0),
    "gelu": lambda: classifier((20, 64, 64, 5), jax.nn.gelu),
    "relu, layer norm": lambda: classifier((20, 64, 64, 64, 5), jax.nn.relu, norm=layer_norm),
    "tanh, batch norm": lambda: classifier((20, 64, 64, 64, 5), jnp.tanh, norm=batch_norm, gain=4.0),
    "our hardtanh": lambda: classifier((20, 32, 5), ops.hardtanh),
    "two sigmoids": lambda: classifier((20, 32, 32, 5), ops.sigmoid),
    "convolutions": convolutional,
    "LSTM": lambda: recurrent(nnx.OptimizedLSTMCell),
    "GRU": lambda: recurrent(nnx.GRUCell),
    "tanh RNN": lambda: recurrent(nnx.SimpleCell, steps=30),
    "plain LSTM": plain_lstm,
    "our RNN": own_tagger,
    "attention": attention,
    "our window, tanh": lambda: window("tanh"),
    "our window, relu": lambda: window("relu"),
    "small branches": small_branches,
}


@pytest.mark.parametrize("name", a_part(HEALTHY, 2, str))
def test_a_healthy_model_has_no_finding(name):
    loss, *arguments = HEALTHY[name]()
    report = health(loss, *arguments)
    assert report.healthy, str(report)
    assert np.isfinite(report.value)


@pytest.mark.parametrize("name", ["tanh", "deep relu", "gelu", "relu, layer norm", "plain LSTM"])
def test_a_trained_model_has_no_finding(name):
    loss, params, *data = HEALTHY[name]()
    before = float(loss(params, *data))
    params = descend(loss, params, data, rate=0.1, steps=100)
    report = health(loss, params, *data)
    assert report.value < before
    assert report.healthy, str(report)


@pytest.mark.parametrize("examples", [1, 2, 8])
def test_too_few_examples_call_no_unit_dead(examples):
    params, loss = mlp((20, 64, 64, 5), jax.nn.relu, gain=2.0)
    report = health(loss, params, *batch(examples=examples))
    assert report.healthy
    assert all((h.dead is None) == (examples < 8) for h in report.nodes if h.kind == "relu")

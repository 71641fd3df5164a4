"""A model, a loss and data of one's own, with all that a forward pass may change and a stream may be."""

import jax
import numpy as np
import optax
from flax import nnx

from jaxbackprop import layers
from jaxbackprop.train import fit

COUNT, SIZE = 48, 8


class Model(nnx.Module):
    """Everything that a forward pass may change: batch statistics, a dropout stream, a list of layers."""

    def __init__(self, rngs, dtype=None):
        self.first = nnx.Linear(3, 8, dtype=dtype, rngs=rngs)
        self.norm = nnx.BatchNorm(8, dtype=dtype, rngs=rngs)
        self.ours = layers.BatchNorm(8, dtype=dtype, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.more = nnx.List([nnx.Linear(8, 8, dtype=dtype, rngs=rngs)])
        self.last = nnx.Linear(8, 2, dtype=dtype, rngs=rngs)

    def __call__(self, x):
        h = self.dropout(self.ours(self.norm(self.first(x))))
        return self.last(nnx.relu(self.more[0](h)))


def loss(model, batch, key):
    logits = model(batch["x"] + 0.01 * jax.random.normal(key, batch["x"].shape))
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(np.float32), batch["y"])
    return losses.mean(), {"accuracy": (logits.argmax(-1) == batch["y"]).mean(), "logits": logits}


def examples(count=COUNT):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    return {"x": x, "y": (x[:, 0] > 0).astype(np.int32)}


def accuracy(model):
    model.eval()
    data = examples()
    return {"dev": float((model(data["x"]).argmax(-1) == data["y"]).mean())}


def train(data=None, model=None, **changes):
    options = {"optimizer": optax.adam(1e-2), "epochs": 4, "batch_size": SIZE, **changes}
    return fit(model or Model(nnx.Rngs(0)), loss, data or examples(), **options)


def arrays(model):
    leaves = jax.tree.leaves(nnx.state(model))
    return [np.asarray(jax.random.key_data(a) if a.dtype == jax.random.key(0).dtype else a) for a in leaves]


def assert_same(one, other):
    for a, b in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)


class Again:
    """Batches that can be iterated over again."""

    def __iter__(self):
        data = examples()
        return iter(
            [{name: rows[at : at + SIZE] for name, rows in data.items()} for at in range(0, COUNT, SIZE)]
        )


class Indexed:
    """Examples by their numbers, as of a file that memory does not hold."""

    def __init__(self, count=COUNT):
        self.data, self.count, self.asked = examples(count), count, []

    def rows(self, indices):
        self.asked.append(indices)
        return {name: rows[indices] for name, rows in self.data.items()}


class Stateful(Again):
    """As grain's: an iterator that says where it is and can be set there."""

    def __init__(self, state=bytes):
        self.state = state

    def __iter__(self):
        return StatefulIterator(list(super().__iter__()), self.state)


class StatefulIterator:
    def __init__(self, batches, state):
        self.batches, self.at, self.state = batches, 0, state

    def __iter__(self):
        return self

    def __next__(self):
        if self.at == len(self.batches):
            raise StopIteration
        self.at += 1
        return self.batches[self.at - 1]

    def get_state(self):
        return bytes([self.at]) if self.state is bytes else {"at": self.at}

    def set_state(self, state):
        self.at = state[0] if self.state is bytes else state["at"]


class Plain(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x):
        return self.linear(x)


def plain_loss(model, batch, key):
    return optax.softmax_cross_entropy_with_integer_labels(model(batch["x"]), batch["y"]).mean()

"""A word-vector classifier trained by rows, by optax on the dense gradient, and by torch's sparse one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxbackprop import ops
from jaxbackprop.optim import rows, value_and_row_grad

from ._torch import to_its_end

COLUMNS, WINDOW, HIDDEN, CLASSES = 100, 5, 100, 9
OPTIMIZERS = ("sgd", "adagrad", "adam")
_Made = dict[str, Callable[[float], optax.GradientTransformation]]
# The optimizer of the other parameters, and for the table the one that reads and writes touched rows.
_DENSE: _Made = {
    "sgd": optax.sgd,
    "adagrad": optax.adagrad,
    "adam": optax.adam,
}
_BY_ROWS: _Made = {"sgd": rows.sgd, "adagrad": rows.adagrad, "adam": rows.lazy_adam}
_RATE = 0.01
_BATCHES = 16

# Parameters, table and the optimizer's state.
Carry = tuple[dict[str, jax.Array], jax.Array, optax.OptState]
# (carry, ids, labels) -> (carry, loss).
Step = jax.stages.Wrapped


def batches(size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of ids with the frequencies of words, 1 / rank, scattered over the table, and labels.

    Args:
        size: rows of the table.
        batch: windows a batch.

    Returns:
        int32 of shapes (batches, batch, WINDOW) and (batches, batch).
    """
    rng = np.random.default_rng(0)
    frequencies = 1 / np.arange(1.0, size + 1)
    ranks = rng.choice(size, (_BATCHES, batch, WINDOW), p=frequencies / frequencies.sum())
    labels = rng.integers(0, CLASSES, (_BATCHES, batch))
    return rng.permutation(size)[ranks].astype(np.int32), labels.astype(np.int32)


def parameters() -> dict[str, jax.Array]:
    """Of the classifier, without the table."""
    rng = np.random.default_rng(1)

    def weight(inputs: int, outputs: int) -> jax.Array:
        return jnp.asarray(rng.normal(0, inputs**-0.5, (inputs, outputs)), jnp.float32)

    return {
        "W": weight(WINDOW * COLUMNS, HIDDEN),
        "b": jnp.zeros((1, HIDDEN)),
        "U": weight(HIDDEN, CLASSES),
        "c": jnp.zeros((1, CLASSES)),
    }


@partial(jax.jit, static_argnums=0)
def table(size: int) -> jax.Array:
    """Word vectors that differ, (size, COLUMNS), written without a second array of that size."""
    row, column = (jax.lax.broadcasted_iota(jnp.float32, (size, COLUMNS), axis) for axis in (0, 1))
    return 0.1 * jnp.sin(row * 0.37 + column * (1.0 + row * 1e-3))


def loss(params: dict[str, jax.Array], vectors: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross-entropy of a hidden layer of tanh over the concatenated window."""
    hidden = jnp.tanh(vectors.reshape(len(labels), -1) @ params["W"] + params["b"])
    return jnp.mean(ops.softmax_cross_entropy(hidden @ params["U"] + params["c"], labels))


def by_rows(name: str) -> tuple[optax.GradientTransformation, Step]:
    """Our optimizer, and a step that donates parameters, table and state."""
    optimizer = optax.multi_transform(
        {"dense": _DENSE[name](_RATE), "rows": _BY_ROWS[name](_RATE)}, ("dense", "rows")
    )

    def step(carry: Carry, ids: jax.Array, labels: jax.Array) -> tuple[Carry, jax.Array]:
        params, words, state = carry
        value, grads = value_and_row_grad(loss)(params, words, ids, labels)
        updates, state = optimizer.update(grads, state, (params, words))
        return (*optax.apply_updates((params, words), updates), state), value

    return optimizer, jax.jit(step, donate_argnums=0)


def dense(name: str) -> tuple[optax.GradientTransformation, Step]:
    """The optimizer of optax, on the gradient of the whole table; it donates too."""
    optimizer = _DENSE[name](_RATE)

    def step(carry: Carry, ids: jax.Array, labels: jax.Array) -> tuple[Carry, jax.Array]:
        params, words, state = carry
        value, grads = jax.value_and_grad(
            lambda params, words: loss(params, words[ids], labels), argnums=(0, 1)
        )(params, words)
        updates, state = optimizer.update(grads, state, (params, words))
        return (*optax.apply_updates((params, words), updates), state), value

    return optimizer, jax.jit(step, donate_argnums=0)


def start(optimizer: optax.GradientTransformation, size: int) -> Carry:
    """Parameters, table and the optimizer's state."""
    params, words = parameters(), table(size)
    return params, words, jax.jit(optimizer.init)((params, words))


def abstract(
    optimizer: optax.GradientTransformation, size: int, batch: int
) -> tuple[Carry, jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """The shapes of a step's arguments, for looking at its program without running it."""
    carry = jax.eval_shape(partial(start, optimizer, size))
    ids = jax.ShapeDtypeStruct((batch, WINDOW), jnp.int32)
    return carry, ids, jax.ShapeDtypeStruct((batch,), jnp.int32)


def training(made: tuple[optax.GradientTransformation, Step], size: int, batch: int) -> Callable[[], float]:
    """Steps one after the other, over the batches again and again: each call is one, and gives its loss."""
    optimizer, step = made
    ids, labels = (jnp.asarray(array) for array in batches(size, batch))
    pairs = [jax.block_until_ready((ids[i], labels[i])) for i in range(_BATCHES)]
    carry, at = start(optimizer, size), 0

    def call() -> float:
        nonlocal carry, at
        carry, value = step(carry, *pairs[at % _BATCHES])
        at += 1
        # All of the step, not only the loss, which is known before the table is updated.
        jax.block_until_ready(carry)
        return float(value)

    call()
    return call


def training_in_torch(name: str, size: int, batch: int, device: str) -> Callable[[], float]:
    """The same model and batches in torch, with its sparse gradients."""
    import torch
    from torch.nn import functional

    # It is the default; said aloud, torch does not warn of it.
    torch.sparse.check_sparse_tensor_invariants.disable()
    ids, labels = (torch.from_numpy(array).long().to(device) for array in batches(size, batch))
    embedding = torch.nn.Embedding(size, COLUMNS, sparse=True, _weight=torch.from_numpy(_numpy(table(size))))
    params = {key: torch.from_numpy(_numpy(value)).to(device) for key, value in parameters().items()}
    words = embedding.to(device).weight
    others = [param.requires_grad_() for param in params.values()]
    optimizers: list[Any]
    if name == "adam":
        optimizers = [torch.optim.SparseAdam([words], lr=_RATE), torch.optim.Adam(others, lr=_RATE)]
    elif name == "adagrad":
        # optax's initial sum of squares and ε, so that both train alike.
        optimizers = [
            torch.optim.Adagrad([words, *others], lr=_RATE, initial_accumulator_value=0.1, eps=1e-7)
        ]
    else:
        optimizers = [torch.optim.SGD([words, *others], lr=_RATE)]
    at = 0

    def call() -> float:
        nonlocal at
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        vectors = embedding(ids[at % _BATCHES]).view(batch, -1)
        hidden = torch.tanh(torch.addmm(params["b"], vectors, params["W"]))
        scores = torch.addmm(params["c"], hidden, params["U"])
        value = functional.cross_entropy(scores, labels[at % _BATCHES])
        value.backward()
        for optimizer in optimizers:
            optimizer.step()
        at += 1
        return float(value.detach())

    return to_its_end(call, device)


def _numpy(array: jax.Array) -> np.ndarray:
    """A copy that may be written to."""
    return np.array(array)


def train_large(size: str, steps: str) -> None:
    """Trains a table of so many rows by Adagrad: the function whose peak memory is measured.

    Raises:
        FloatingPointError: the loss is no number, or does not fall.
    """
    call = training(by_rows("adagrad"), int(size), 1024)
    losses = [call() for _ in range(int(steps))]
    if not losses[-1] < losses[0]:
        raise FloatingPointError(f"the loss went from {losses[0]} to {losses[-1]}")

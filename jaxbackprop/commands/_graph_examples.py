"""The example pages: the lecture's scorer, the window classifier's loss, a recurrent network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.console import Console

from jaxbackprop._output import write_text
from jaxbackprop.graph import Graph, trace
from jaxbackprop.graph.render import page
from jaxbackprop.models import WindowNER, window_ner_loss

_STEPS = 4


def write_examples(folder: str, console: Console) -> None:
    """Writes the example pages into a folder, which is made where it is missing.

    Args:
        folder: where to.
        console: where to say what was written.

    Raises:
        OSError: where it cannot be written.
    """
    if Path(folder).exists() and not Path(folder).is_dir():
        raise NotADirectoryError(f"--examples {folder}: it is no folder")
    pages = {"scorer": scorer_graph(), "window_ner": window_ner_graph(), "rnn": rnn_graph()}
    texts = {name: page(graph) for name, graph in pages.items()}
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = str(Path(folder) / f"{name}.html")
        write_text(path, text, "--examples")
        console.print(f"wrote {path}: {len(pages[name].nodes):,} nodes", soft_wrap=True)


def scorer_graph() -> Graph:
    """The lecture's s = u · tanh(W x + b), with four inputs and two hidden units."""

    def scorer(x: jax.Array, W: jax.Array, b: jax.Array, u: jax.Array) -> jax.Array:
        z = W @ x + b
        h = jnp.tanh(z)
        return u @ h

    x = jnp.array([1.0, -0.5, 2.0, 0.25])
    W = jnp.array([[0.5, -1.0, 0.25, 1.5], [-0.75, 0.5, 1.0, -0.25]])
    return trace(scorer, x, W, jnp.array([0.1, -0.2]), jnp.array([1.5, -0.5]))


def window_ner_graph() -> Graph:
    """The loss of a small window classifier for named entities on a batch of three windows."""
    model = WindowNER(
        num_words=10,
        word_dim=4,
        num_shapes=3,
        num_prefixes=5,
        num_suffixes=5,
        num_tags=3,
        shape_dim=2,
        affix_dim=2,
        window=1,
        hidden=6,
        rngs=nnx.Rngs(0),
    )
    batch = {
        "words": jnp.array([[-1, 2, 7], [2, 7, 4], [7, 4, -1]]),
        "shapes": jnp.array([[-1, 1, 0], [1, 0, 2], [0, 2, -1]]),
        "prefixes": jnp.array([[-1, 3, 1], [3, 1, 4], [1, 4, -1]]),
        "suffixes": jnp.array([[-1, 0, 2], [0, 2, 1], [2, 1, -1]]),
        "labels": jnp.array([1, 0, 2]),
    }
    graphdef, params = nnx.split(model)

    def window_ner(params: Any, batch: Mapping[str, jax.Array]) -> jax.Array:
        return window_ner_loss(nnx.merge(graphdef, params), batch, 1e-3)

    return trace(window_ner, params, batch)


def rnn_graph() -> Graph:
    """A simple recurrent network over four steps, and the distance of its last state from a target."""
    draw = np.random.default_rng(4).normal
    shapes = {"W_h": (3, 3), "W_x": (3, 2), "b": (3,), "x": (_STEPS, 2), "target": (3,)}
    drawn = {name: jnp.asarray(draw(size=shape), jnp.float32) for name, shape in shapes.items()}

    def rnn(W_h: jax.Array, W_x: jax.Array, b: jax.Array, x: jax.Array, target: jax.Array) -> jax.Array:
        h = jnp.zeros(3)
        for t in range(_STEPS):
            with jax.named_scope(f"step {t + 1}"):
                h = jnp.tanh(W_h @ h + W_x @ x[t] + b)
        with jax.named_scope("loss"):
            return jnp.sum((h - target) ** 2)

    return trace(rnn, *drawn.values())

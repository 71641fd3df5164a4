"""The page of a model's loss at the first batch, before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
from rich.console import Console

from jaxbackprop._output import refuse_unwritable, write_text
from jaxbackprop.graph import Graph, trace
from jaxbackprop.graph.render import page

from ._training_loss import Loss, training_loss_of


def page_of_loss(path: str, console: Console) -> Callable[[Any, Loss, Mapping[str, Any], jax.Array], None]:
    """What training calls before it begins: it writes the page of the loss.

    Args:
        path: the file.
        console: where to say so.

    Returns:
        A function of the model, its loss, the first batch and the key of its randomness, which raises OSError
        where the file cannot be written.

    Raises:
        OSError: where it is plain beforehand that it cannot.
    """
    refuse_unwritable(path, "--graph")

    def write(model: Any, loss: Loss, batch: Mapping[str, Any], key: jax.Array) -> None:
        graph = graph_of_loss(model, loss, batch, key)
        write_text(path, page(graph), "--graph")
        console.print(f"wrote {path}: {len(graph.nodes):,} nodes", soft_wrap=True)

    return write


def graph_of_loss(model: Any, loss: Loss, batch: Mapping[str, Any], key: jax.Array) -> Graph:
    """The graph of a model's loss as a function of its parameters and a batch."""
    params, training_loss = training_loss_of(model, loss, key)
    return trace(training_loss, params, batch)

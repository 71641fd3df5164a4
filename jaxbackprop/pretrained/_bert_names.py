"""Where a tensor of Hugging Face's BERT stands in ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ._bert_config import BertConfig

POOLER = "pooler."


class Place(NamedTuple):
    """Where a tensor goes.

    Attributes:
        path: of our parameter, in the state of `Bert`.
        shape: of the tensor in the file.
        convert: from the tensor to our parameter.
    """

    path: tuple[Any, ...]
    shape: tuple[int, ...]
    convert: Callable[[np.ndarray], np.ndarray]


def places(config: BertConfig) -> dict[str, Place]:
    """The place of every tensor, by its name without the prefix ``bert.``."""
    return dict(_all(config))


def _all(config: BertConfig) -> Iterator[tuple[str, Place]]:
    size, wide = config.hidden_size, config.intermediate_size
    heads = (config.num_attention_heads, size // config.num_attention_heads)
    for theirs, ours, rows in (
        ("word", "words", config.vocab_size),
        ("position", "positions", config.max_position_embeddings),
        ("token_type", "types", config.type_vocab_size),
    ):
        yield f"embeddings.{theirs}_embeddings.weight", Place((ours, "embedding"), (rows, size), _same)
    yield from _norm("embeddings.LayerNorm", ("norm",), size)
    for n in range(config.num_hidden_layers):
        theirs, at = f"encoder.layer.{n}", ("layers", n)
        for name in ("query", "key", "value"):
            yield from _linear(
                f"{theirs}.attention.self.{name}", (*at, "attention", name), size, size, (), heads
            )
        yield from _linear(
            f"{theirs}.attention.output.dense", (*at, "attention", "out"), size, size, heads, ()
        )
        yield from _norm(f"{theirs}.attention.output.LayerNorm", (*at, "attention_norm"), size)
        yield from _linear(f"{theirs}.intermediate.dense", (*at, "up"), size, wide)
        yield from _linear(f"{theirs}.output.dense", (*at, "down"), wide, size)
        yield from _norm(f"{theirs}.output.LayerNorm", (*at, "norm"), size)
    yield from _linear(f"{POOLER}dense", ("pooler",), size, size)


def _norm(theirs: str, ours: tuple[Any, ...], size: int) -> Iterator[tuple[str, Place]]:
    yield f"{theirs}.weight", Place((*ours, "scale"), (size,), _same)
    yield f"{theirs}.bias", Place((*ours, "bias"), (size,), _same)


def _linear(
    theirs: str,
    ours: tuple[Any, ...],
    inputs: int,
    outputs: int,
    input_axes: tuple[int, ...] = (),
    output_axes: tuple[int, ...] = (),
) -> Iterator[tuple[str, Place]]:
    """Theirs is outputs by inputs; ours inputs by outputs, either of which may be axes of heads."""
    kernel, bias = (*(input_axes or (inputs,)), *(output_axes or (outputs,))), output_axes or (outputs,)
    yield f"{theirs}.weight", Place((*ours, "kernel"), (outputs, inputs), lambda W: W.T.reshape(kernel))
    yield f"{theirs}.bias", Place((*ours, "bias"), (outputs,), lambda b: b.reshape(bias))


def _same(tensor: np.ndarray) -> np.ndarray:
    return tensor

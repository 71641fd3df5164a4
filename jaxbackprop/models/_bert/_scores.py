"""Logits of many sequences, in few shapes, so that XLA compiles a handful of programs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from ._heads import NO_WORD, BertClassifier, BertTagger

INPUTS = ("input_ids", "token_type_ids", "attention_mask")
FIRST = "first_pieces"
_ROWS = 64
_STEPS = 16


def class_logits(
    model: BertClassifier, encoded: Mapping[str, Int[np.ndarray, "N T"]]
) -> Float[np.ndarray, "N C"]:
    """The logits of every sequence; nothing is dropped.

    Args:
        model: the classifier.
        encoded: ``input_ids``, ``token_type_ids`` and ``attention_mask``; other entries are ignored.

    Returns:
        float32.
    """
    return _in_chunks(model, {name: encoded[name] for name in INPUTS}, (model.classifier.out_features,))


def word_logits(
    model: BertTagger, encoded: Mapping[str, Int[np.ndarray, "N T"]]
) -> Float[np.ndarray, "N T C"]:
    """The logits of every word; nothing is dropped.

    Args:
        model: the tagger.
        encoded: as for `class_logits`, and ``first_pieces``, -1 where there is no word.

    Returns:
        float32.
    """
    inputs = {name: encoded[name] for name in (*INPUTS, FIRST)}
    return _in_chunks(model, inputs, (encoded[FIRST].shape[1], model.classifier.out_features))


def _in_chunks(
    model: BertClassifier | BertTagger, encoded: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    graphdef, state = nnx.split(model)
    longest = model.bert.config.max_position_embeddings
    rows, steps = encoded["input_ids"].shape
    padded = max(steps, min(longest, -(-steps // _STEPS) * _STEPS))
    pieces = []
    for begin in range(0, rows, _ROWS):
        chunk = {name: encoded[name][begin : begin + _ROWS] for name in encoded}
        count = len(chunk["input_ids"])
        # The padding's sequences attend to their first place, and are cut off again.
        fill = {
            name: np.pad(
                ids,
                ((0, _ROWS - count), (0, padded - steps)),
                constant_values=NO_WORD if name == FIRST else 0,
            )
            for name, ids in chunk.items()
        }
        logits = np.asarray(_logits(graphdef, state, fill))[:count]
        pieces.append(logits if len(shape) == 1 else logits[:, : shape[0]])
    return np.concatenate(pieces) if pieces else np.zeros((0, *shape), np.float32)


@partial(jax.jit, static_argnums=0)
def _logits(graphdef: nnx.GraphDef[Any], state: nnx.State, inputs: dict[str, Array]) -> Array:
    return nnx.merge(graphdef, state)(**inputs).astype(jnp.float32)

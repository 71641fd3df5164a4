"""Tags for many sentences at once, in few shapes, so that XLA compiles a handful of programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from ._decode import greedy, transitions, viterbi
from ._window_ner import PADDING_ID, WindowNER

_CHUNK = 4096  # words scored, or places decoded, by one call
_SHORTEST = 32  # words in the shortest of the lengths that sentences are padded to, each four times the last


def tag_ids(
    model: WindowNER,
    windows: Mapping[str, Int[np.ndarray, "words width"]],
    lengths: Sequence[int] | Int[np.ndarray, " sentences"],
    tags: Sequence[str],
    *,
    decode: str = "valid",
) -> Int[np.ndarray, " words"]:
    """The tag of every word.

    Args:
        model: the classifier; no unit is dropped.
        windows: the model's input for all N words, sentence after sentence: ids of shape (N, 2m + 1).
        lengths: words in each sentence; they add up to N.
        tags: the C tags in the order of the logits.
        decode: ``valid``, the best valid BIO sequence a sentence, or ``greedy``, the best tag a word.

    Returns:
        int32 tag ids of shape (N,).

    Raises:
        ValueError: an unknown ``decode``, or lengths that do not add up to N.
        FloatingPointError: logits that are not finite: the model is broken, and no sequence is its best.
    """
    _refuse(decode, lengths, len(windows["words"]), "windows")
    if not len(windows["words"]):
        return np.zeros(0, np.int32)
    return decode_logits(_score(model, windows), lengths, tags, decode=decode)


def decode_logits(
    logits: Float[np.ndarray, "words tags"],
    lengths: Sequence[int] | Int[np.ndarray, " sentences"],
    tags: Sequence[str],
    *,
    decode: str = "valid",
) -> Int[np.ndarray, " words"]:
    """The tag of every word, from the logits of all N words, sentence after sentence; see `tag_ids`."""
    _refuse(decode, lengths, len(logits), "logits")
    lengths = np.asarray(lengths, dtype=np.int64)
    if not len(logits):
        return np.zeros(0, np.int32)
    if not np.isfinite(logits).all():
        raise FloatingPointError("the model's logits are not finite")
    if decode == "greedy":
        return np.asarray(greedy(jnp.asarray(logits)))
    return _decode(logits, lengths, tags)


def _refuse(decode: str, lengths: Any, words: int, name: str) -> None:
    if decode not in ("valid", "greedy"):
        raise ValueError(f"decode must be valid or greedy, not {decode!r}")
    if (total := int(np.sum(np.asarray(lengths, dtype=np.int64)))) != words:
        raise ValueError(f"lengths add up to {total} but {name} has {words} rows")


@partial(jax.jit, static_argnums=0)
def _logits(graphdef: nnx.GraphDef[WindowNER], state: nnx.State, batch: dict[str, Array]) -> Array:
    return nnx.merge(graphdef, state)(batch)


def _score(model: WindowNER, windows: Mapping[str, np.ndarray]) -> Float[np.ndarray, "words tags"]:
    graphdef, state = nnx.split(model)
    inputs = {name: windows[name] for name in ("words", "shapes", "prefixes", "suffixes")}
    pieces = []
    for begin in range(0, len(inputs["words"]), _CHUNK):
        batch = {name: ids[begin : begin + _CHUNK] for name, ids in inputs.items()}
        rows = len(batch["words"])
        # Text of more than a chunk is scored by one program, less by the program for its size.
        fill = min(_CHUNK, _padded(len(inputs["words"]))) - rows
        padded = {
            name: np.pad(ids, ((0, fill), (0, 0)), constant_values=PADDING_ID) for name, ids in batch.items()
        }
        pieces.append(np.asarray(_logits(graphdef, state, padded))[:rows])
    return np.concatenate(pieces).astype(np.float32)


_viterbi = jax.jit(jax.vmap(viterbi, in_axes=(0, 0, None, None)))


def _decode(
    logits: Float[np.ndarray, "words tags"], lengths: Int[np.ndarray, " sentences"], tags: Sequence[str]
) -> Int[np.ndarray, " words"]:
    allowed, start = (jnp.asarray(array) for array in transitions(tags))
    begins = np.cumsum(lengths) - lengths
    padded_lengths = np.array([_padded(length) for length in lengths])
    result = np.zeros(len(logits), np.int32)
    for time in np.unique(padded_lengths):
        members = np.flatnonzero((padded_lengths == time) & (lengths > 0))
        rows = max(1, _CHUNK // int(time))
        for at in range(0, len(members), rows):
            chosen = members[at : at + rows]
            # `places` holds the index of each word of the chosen sentences; the padding repeats word 0.
            steps = np.arange(time)
            mask = np.zeros((rows, int(time)), bool)
            mask[: len(chosen)] = steps < lengths[chosen, None]
            places = np.zeros((rows, int(time)), np.int64)
            places[: len(chosen)] = begins[chosen, None] + steps
            places[~mask] = 0
            result[places[mask]] = np.asarray(_viterbi(logits[places], mask, allowed, start))[mask]
    return result


def _padded(length: int) -> int:
    """The first of the lengths we compile for that is long enough."""
    padded = _SHORTEST
    while padded < length:
        padded *= 4
    return padded

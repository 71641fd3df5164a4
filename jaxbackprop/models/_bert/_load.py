"""A BERT out of a Hugging Face folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from jaxbackprop.pretrained import (
    FLOATS,
    BertConfig,
    DataError,
    Entry,
    TensorFile,
    as_float32,
    has_tokenizer,
    load_tokenizer,
    read_config,
)

from ._encoder import Bert
from ._names import POOLER, Place, places

_WEIGHTS = "model.safetensors"
_PREFIX = "bert."
# What a folder may hold beside the encoder: buffers of older versions, and the heads of its own task.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_HEADS = ("cls.", "classifier.", "qa_outputs.", "dropout.")
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_LISTED = 8


def load_bert(
    folder: str | os.PathLike[str],
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike = jnp.float32,
    warn: Callable[[str], None] = warnings.warn,
) -> Bert:
    """Reads a Hugging Face folder: config.json and model.safetensors.

    Names may begin with ``bert.``; ``gamma`` and ``beta`` of old files are scale and bias of layer norms;
    heads of the folder's own task and old buffers (``position_ids``) are passed over. Where the pooler is
    missing, its weights are drawn, always the same, and `warn` is told: the pooled vector then says nothing
    before it is trained. A tokenizer in the folder is looked at, too, for it has to fit.

    The files are taken for a stranger's: header, sizes and names are looked at before anything is allocated.

    Args:
        folder: holds the files.
        dtype: of the computation; None takes the parameters'.
        param_dtype: of the parameters, whatever the file's is: F32, F16 or BF16.
        warn: told, in one line, of a pooler that is missing.

    Returns:
        The encoder.

    Raises:
        DataError: a file is missing or not what it should be; shapes and names that do not fit are listed.
        MissingExtra: safetensors is not installed; or tokenizers, where the folder holds a tokenizer.
    """
    path = Path(folder)
    config = read_config(path)
    file = TensorFile(path / _WEIGHTS)
    wanted = places(config)
    found, without_pooler = _match(file.path, file.entries, wanted)
    if has_tokenizer(path):
        tokenizer = load_tokenizer(path)
        if tokenizer.size > config.vocab_size:
            raise DataError(
                f"{path}: the tokenizer gives ids up to {tokenizer.size - 1:,}, "
                f"but the model has {config.vocab_size:,} pieces"
            )
    if without_pooler:
        warn(f"{file.path} has no pooler: its weights are drawn, and the pooled vector says nothing so far")
    return _filled(config, file, wanted, found, dtype, param_dtype)


def _match(
    path: Path, entries: Mapping[str, Entry], wanted: Mapping[str, Place]
) -> tuple[dict[str, str], bool]:
    """Our name of every tensor that is needed -> the file's name; and whether the pooler is missing.

    Raises:
        DataError: something is missing, or has another shape or dtype, or has no place.
    """
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in entries) else ""
    found: dict[str, str] = {}
    wrong: list[str] = []
    for theirs, entry in entries.items():
        name = theirs.removeprefix(prefix)
        for old, new in _OLD_NAMES.items():
            name = name.replace(old, new)
        if name in _BUFFERS or (not theirs.startswith(prefix)) or name.startswith(_HEADS):
            continue
        if name not in wanted:
            wrong.append(f"{theirs!r:.100} has no place")
        elif name in found:
            wrong.append(f"{theirs} is there twice")
        elif entry.shape != wanted[name].shape:
            wrong.append(f"{theirs} has shape {entry.shape}, not {wanted[name].shape}")
        elif entry.dtype not in FLOATS:
            wrong.append(f"{theirs} has dtype {entry.dtype}, not one of {', '.join(FLOATS)}")
        else:
            found[name] = theirs
            continue
        found.setdefault(name, theirs)
    missing = [name for name in wanted if name not in found]
    without_pooler = bool(missing) and all(name.startswith(POOLER) for name in missing) and len(missing) == 2
    if not without_pooler:
        wrong += [f"{name} is missing" for name in missing]
    if wrong:
        more = f"; and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise DataError(f"{path} does not fit its config.json: {'; '.join(wrong[:_LISTED])}{more}")
    return found, without_pooler


def _filled(
    config: BertConfig,
    file: TensorFile,
    wanted: Mapping[str, Place],
    found: Mapping[str, str],
    dtype: DTypeLike | None,
    param_dtype: DTypeLike,
) -> Bert:
    """The encoder with the file's tensors; what is missing is drawn with seed 0."""
    graphdef, state = nnx.split(
        nnx.eval_shape(lambda: Bert(config, dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0)))
    )
    parameters: dict[tuple[Any, ...], jax.Array] = {}
    with file.opened() as tensors:
        for name, theirs in found.items():
            array = wanted[name].convert(as_float32(tensors.get_tensor(theirs)))
            parameters[wanted[name].path] = jnp.asarray(array, param_dtype)
    drawn = np.random.default_rng(0)
    for name, place in wanted.items():
        if name not in found:
            weights = drawn.normal(0.0, config.initializer_range, place.shape)
            values = np.zeros(place.shape) if name.endswith("bias") else weights
            parameters[place.path] = jnp.asarray(place.convert(values), param_dtype)
    flat = dict(nnx.to_flat_state(state))
    for path, variable in flat.items():
        flat[path] = variable.replace(parameters[path])
    return nnx.merge(graphdef, nnx.from_flat_state(flat))

"""A BERT out of a Hugging Face folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from jaxbackprop.pretrained import BertFolder, as_float32, look_at_bert

from ._encoder import Bert


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
    found = look_at_bert(folder)
    if found.without_pooler:
        drawn = "its weights are drawn, and the pooled vector says nothing so far"
        warn(f"{found.file.path} has no pooler: {drawn}")
    return _filled(found, dtype, param_dtype)


def _filled(found: BertFolder, dtype: DTypeLike | None, param_dtype: DTypeLike) -> Bert:
    """The encoder with the file's tensors; what is missing is drawn with seed 0."""
    config, wanted = found.config, found.places
    graphdef, state = nnx.split(
        nnx.eval_shape(lambda: Bert(config, dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0)))
    )
    parameters: dict[tuple[Any, ...], jax.Array] = {}
    with found.file.opened() as tensors:
        for name, theirs in found.names.items():
            array = wanted[name].convert(as_float32(tensors.get_tensor(theirs)))
            parameters[wanted[name].path] = jnp.asarray(array, param_dtype)
    drawn = np.random.default_rng(0)
    for name, place in wanted.items():
        if name not in found.names:
            weights = drawn.normal(0.0, config.initializer_range, place.shape)
            values = np.zeros(place.shape) if name.endswith("bias") else weights
            parameters[place.path] = jnp.asarray(place.convert(values), param_dtype)
    flat = dict(nnx.to_flat_state(state))
    for path, variable in flat.items():
        flat[path] = variable.replace(parameters[path])
    return nnx.merge(graphdef, nnx.from_flat_state(flat))

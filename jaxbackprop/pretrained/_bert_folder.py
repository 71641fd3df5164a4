"""A folder of a BERT, looked at before anything is allocated for it: does all that is in it fit?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jaxbackprop.data import DataError

from ._bert_config import BertConfig, read_config
from ._bert_names import POOLER, Place, places
from ._tensors import FLOATS, Entry, TensorFile
from ._tokenizer import load_tokenizer
from ._tokenizer_files import has_tokenizer

_WEIGHTS = "model.safetensors"
_PREFIX = "bert."
# What a folder may hold beside the encoder: buffers of older versions, and the heads of its own task.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_HEADS = ("cls.", "classifier.", "qa_outputs.", "dropout.")
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_LISTED = 8


class BertFolder(NamedTuple):
    """What a folder holds.

    Attributes:
        config: the sizes.
        file: the tensors.
        places: of every tensor, by its name without a prefix.
        names: in the file, of those that are there, by the same names.
        without_pooler: whether the pooler's are missing.
    """

    config: BertConfig
    file: TensorFile
    places: Mapping[str, Place]
    names: Mapping[str, str]
    without_pooler: bool


def look_at_bert(folder: str | os.PathLike[str]) -> BertFolder:
    """Looks at a folder's files; see `jaxbackprop.models.load_bert`, which takes as much time as its tensors.

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
    return BertFolder(config, file, wanted, found, without_pooler)


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

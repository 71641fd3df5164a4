"""Tensors in a safetensors file, whose header is looked at before anything is allocated for it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from jaxbackprop.data import DataError, MissingExtra

from ._json_file import parse_object

# A BERT of 24 layers has 400 tensors, and a header of 50 kB.
_MOST_HEADER_BYTES = 2 << 20
_MOST_TENSORS = 20_000
_MOST_AXES = 8
# Sizes of an entry. Numbers of the first three are parameters; the others are buffers that nobody reads.
FLOATS = ("F32", "F16", "BF16")
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class Entry:
    """What a header says of a tensor.

    Attributes:
        dtype: as safetensors names it.
        shape: of the tensor.
    """

    dtype: str
    shape: tuple[int, ...]


class TensorFile:
    """A safetensors file whose header has been looked at.

    Attributes:
        path: of the file.
        entries: what it holds, by name.
    """

    def __init__(self, path: Path) -> None:
        """Reads the header.

        Raises:
            DataError: the file is not what it should be.
            MissingExtra: safetensors is not installed.
        """
        self._library = _safetensors()
        self.path, self.entries = path, read_header(path)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Something whose `get_tensor(name)` reads a tensor.

        Raises:
            DataError: the library refuses the file.
        """
        try:
            with self._library.safe_open(self.path, framework="numpy") as file:
                yield file
        except self._library.SafetensorError as error:
            raise DataError(f"{self.path}: expected tensors, got: {_one_line(error)}") from None


def read_header(path: Path) -> dict[str, Entry]:
    """The tensors that a safetensors file holds, by name, after a look at all that its header claims.

    Raises:
        DataError: it cannot be read; or it is not what the format wants: sizes, offsets, dtypes and names.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise DataError(
                    f"{path}: expected a safetensors header within {size:,} bytes, got {length:,}"
                )
            if length > _MOST_HEADER_BYTES:
                raise DataError(
                    f"{path}: expected a header of at most {_MOST_HEADER_BYTES:,} bytes, got {length:,}"
                )
            text = file.read(length)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if text[:1] != b"{":
        raise DataError(f"{path}: expected a safetensors header, which begins with a brace")
    # Every tensor says its dtype: more of them are not even parsed.
    if text.count(b'"dtype"') > _MOST_TENSORS or text.count(b":") > 10 * _MOST_TENSORS:
        raise DataError(f"{path}: expected at most {_MOST_TENSORS:,} tensors, got more")
    header = parse_object(text, f"{path}: header")
    header.pop("__metadata__", None)
    room = size - 8 - length
    spans, entries = [], {}
    for name, value in header.items():
        entry, begin, end = _entry(path, name, value, room)
        entries[name] = entry
        spans.append((begin, end))
    spans.sort()
    at = 0
    for begin, end in spans:
        if begin != at:
            raise DataError(
                f"{path}: expected tensors one after another, got one at byte {begin:,}, not {at:,}"
            )
        at = end
    if at != room:
        raise DataError(f"{path}: expected {at:,} bytes of tensors, got {room:,}")
    return entries


def _entry(path: Path, name: str, value: Any, room: int) -> tuple[Entry, int, int]:
    def refuse(what: str) -> DataError:
        return DataError(f"{path}: tensor {name!r:.100}: {what}")

    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise refuse("expected dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise refuse(f"expected a dtype out of {', '.join(_BYTES)}, got {dtype!r:.40}")
    if not _naturals(shape) or len(shape) > _MOST_AXES:
        raise refuse(f"expected a shape of at most {_MOST_AXES} lengths, got {shape!r:.60}")
    if not _naturals(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= room:
        raise refuse(f"expected offsets within {room:,} bytes, got {offsets!r:.60}")
    wanted, got = math.prod(shape) * _BYTES[dtype], offsets[1] - offsets[0]
    if wanted != got:
        raise refuse(f"{dtype} of shape {tuple(shape)!r:.60} needs {wanted:.20g} bytes, got {got:,}")
    return Entry(dtype, tuple(shape)), offsets[0], offsets[1]


def _naturals(values: Any) -> bool:
    # Beyond 2^53 no file reaches, and a product of such numbers would be long in the making.
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 53 for value in values)


def as_float32(tensor: np.ndarray) -> np.ndarray:
    """A tensor of one of `FLOATS` in float32, which holds all of them exactly."""
    return np.asarray(tensor, dtype=np.float32)


def _safetensors() -> ModuleType:
    try:
        import safetensors
    except ModuleNotFoundError:
        raise MissingExtra("safetensors", "reading a pretrained model", "bert") from None
    return safetensors


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]

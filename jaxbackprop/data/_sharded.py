"""The shards of a text, tokenized once into the user's cache and put together there."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxbackprop._user_cache import user_cache

from ._columns import Columns
from ._entry import find_entry, make_entry
from ._errors import DataError
from ._tokens import Tokens, TokenWriter, counted, state_of, tokenize

# Of what the entries hold: those of another format are made again.
_FORMAT = 1
# Words that are in memory while shards are put together.
_CHUNK = 1 << 20


def tokens_of_shards(
    paths: Sequence[str],
    *,
    columns: str | None,
    task: str,
    say: Callable[[str], None],
    index: int = 0,
    count: int = 1,
) -> Tokens:
    """The words of some files, one after another.

    What has been tokenized before is taken from the cache, unless a file has another size or time. Several
    processes with one cache share the work: each begins with its own files, then makes those that are still
    lacking, from the last on. None waits for another, so that none waits in vain.

    Args:
        paths: of the files.
        columns: see `read_conll`.
        task: see `read_conll`.
        say: told, in one line, that files are being tokenized.
        index: of this process.
        count: processes that share the work.

    Returns:
        The words. In the facts ``shards`` has what `tokenize` says of each file, and how many ``words`` and
        ``sentences`` it has.

    Raises:
        DataError: see `read_conll`; columns that differ between files; or the cache cannot be written.
    """
    said = None if columns is None else Columns.parse(columns)
    folder = _folder()
    reading = [_FORMAT, str(said), task]
    slots = [json.dumps([*reading, os.path.abspath(path)]) for path in paths]
    states = [state_of(path) for path in paths]
    whole, state = json.dumps(["shards", *slots]), json.dumps(states)
    found = find_entry(folder, whole, state)
    if found is None:
        shards = _tokenized(folder, paths, slots, states, said, task, say, index, count)
        if said is None:
            _refuse_other_columns(paths, shards)
        found = make_entry(folder, whole, state, partial(_put_together, shards))
    return Tokens.of(found)


def _tokenized(
    folder: Path,
    paths: Sequence[str],
    slots: Sequence[str],
    states: Sequence[str],
    columns: Columns | None,
    task: str,
    say: Callable[[str], None],
    index: int,
    count: int,
) -> list[Tokens]:
    own = range(index, len(paths), count)
    others = [at for at in reversed(range(len(paths))) if at not in own]
    found: dict[int, Tokens] = {}
    told = False
    for at in (*own, *others):
        entry = find_entry(folder, slots[at], states[at])
        if entry is None:
            if not told:
                say(f"tokenizing into {folder}")
                told = True
            entry = make_entry(folder, slots[at], states[at], partial(tokenize, paths[at], columns, task))
        found[at] = Tokens.of(entry)
    return [found[at] for at in range(len(paths))]


def _refuse_other_columns(paths: Sequence[str], shards: Sequence[Tokens]) -> None:
    def shape(tokens: Tokens) -> str:
        return f"{tokens.facts['width']} columns, read as {Columns(**tokens.facts['columns'])}"

    for path, tokens in zip(paths, shards, strict=True):
        if shape(tokens) != shape(shards[0]):
            raise DataError(
                f"{path}: expected {shape(shards[0])}, as in {paths[0]}, got {shape(tokens)}:"
                " --columns word=1,tag=2 says which columns to read in all files"
            )


def _put_together(shards: Sequence[Tokens], folder: Path) -> dict[str, Any]:
    numbers: dict[str, int] = {}
    tag_numbers: dict[str, int] = {}
    with TokenWriter(folder) as writer:
        for tokens in shards:
            word_of = _renumbered(tokens.vocabulary(), numbers)
            tag_of = _renumbered(tokens.tag_names, tag_numbers)
            for begin in range(0, len(tokens.words), _CHUNK):
                part = slice(begin, begin + _CHUNK)
                words = tokens.words[part]
                writer.write(2 * word_of[words >> 1] + (words & 1), tag_of[tokens.tags[part]])
        counts = writer.end(numbers)
    return {
        "tags": counted(tag_numbers, counts),
        "shards": [
            {**tokens.facts, "words": len(tokens.words), "sentences": len(tokens.starts)} for tokens in shards
        ],
    }


def _renumbered(names: Sequence[str], numbers: dict[str, int]) -> np.ndarray:
    found = [numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(found, np.uint32)


def _folder() -> Path:
    try:
        return user_cache(os.environ, sys.platform) / "tokens"
    except RuntimeError as error:
        raise DataError(
            f"no cache for tokenized text: {error} (the variable XDG_CACHE_HOME says one)"
        ) from None

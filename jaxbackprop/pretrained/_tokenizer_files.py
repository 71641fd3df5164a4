"""A folder's tokenizer: tokenizer.json, or vocab.txt cut as BERT cuts."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from jaxbackprop.data import DataError, MissingExtra

from ._json_file import read_bounded, read_object

TOKENIZER, VOCABULARY = "tokenizer.json", "vocab.txt"
SETTINGS = ("tokenizer_config.json", "config.json")
_MOST_BYTES = 16 << 20
_MOST_PIECES = 1 << 20
_LONGEST_WAIT = 20  # seconds, of which the process may compute one
_SPECIAL = ("[UNK]", "[CLS]", "[SEP]", "[PAD]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
# Each thread of the libraries would set memory of its own aside, on machines with many cores too much.
_ONE_THREAD = {"RAYON_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
# Of the files that have been tried: a command reads the same one several times.
_works: set[bytes] = set()
_TRIAL = Path(__file__).with_name("_tokenizer_trial.py")


def has_tokenizer(folder: Path) -> bool:
    """Whether one of the files is there."""
    return (folder / TOKENIZER).is_file() or (folder / VOCABULARY).is_file()


def read_tokenizer(folder: Path) -> Any:
    """The `tokenizers.Tokenizer` of a folder, without padding and truncation.

    Raises:
        DataError: there is none, or it is not what it should be.
        MissingExtra: tokenizers is not installed.
    """
    _need_library()
    if (folder / TOKENIZER).is_file():
        return _from_json(folder / TOKENIZER, str(folder / TOKENIZER))
    if (folder / VOCABULARY).is_file():
        return _from_vocabulary(folder)
    raise DataError(f"{folder} holds no tokenizer: expected {TOKENIZER} or {VOCABULARY}")


def read_text(text: str, name: str) -> Any:
    """As `read_tokenizer`, of the text of a tokenizer.json; errors call it by the name."""
    _need_library()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TOKENIZER
        path.write_text(text, encoding="utf-8")
        return _from_json(path, name)


def _need_library() -> None:
    try:
        import tokenizers  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtra("tokenizers", "cutting text into pieces", "bert") from None


def _from_json(path: Path, name: str) -> Any:
    from tokenizers import Tokenizer

    digest = hashlib.sha256(read_bounded(path, _MOST_BYTES)).digest()
    if digest not in _works:
        _try_elsewhere(path, name)
        _works.add(digest)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise DataError(f"{name}: expected a tokenizer, got: {' '.join(str(error).split())[:200]}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _try_elsewhere(path: Path, name: str) -> None:
    """Loads the file in another process first, which may die of it."""
    try:
        tried = subprocess.run(
            [sys.executable, "-P", str(_TRIAL), str(path)],
            env=os.environ | _ONE_THREAD,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_LONGEST_WAIT,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{name}: expected a tokenizer, got a file that takes too long to load") from None
    if tried.returncode == 0:
        return
    if tried.returncode < 0:
        why = "takes too much memory or time, or makes the library crash"
        raise DataError(f"{name}: expected a tokenizer, got a file that {why}")
    said = tried.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
    raise DataError(f"{name}: expected a tokenizer, got: {said[-1]}")


def _from_vocabulary(folder: Path) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    path = folder / VOCABULARY
    try:
        text = read_bounded(path, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8") from None
    pieces = text.split("\n")
    if pieces[-1] == "":
        pieces.pop()
    pieces = [piece.removesuffix("\r") for piece in pieces]
    if len(pieces) > _MOST_PIECES:
        raise DataError(f"{path}: expected at most {_MOST_PIECES:,} pieces, got {len(pieces):,}")
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    if missing := [piece for piece in _SPECIAL if piece not in vocabulary]:
        raise DataError(f"{path}: expected the pieces {', '.join(_SPECIAL)}, got no {', '.join(missing)}")
    settings = _settings(folder)
    if settings["strip_accents"] is None and _HANGUL.search(text):
        # Accents are stripped from letters taken apart, and a syllable taken apart is no piece any more.
        settings["strip_accents"] = False
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=settings["do_lower_case"],
        strip_accents=settings["strip_accents"],
        handle_chinese_chars=settings["tokenize_chinese_chars"],
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([piece for piece in (*_SPECIAL, "[MASK]") if piece in vocabulary])
    return tokenizer


def _settings(folder: Path) -> dict[str, Any]:
    """How text is cleaned; the tokenizer's own file wins over the model's."""
    found: dict[str, Any] = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}
    for name in reversed(SETTINGS):
        if not (folder / name).is_file():
            continue
        values = read_object(folder / name)
        for setting in found:
            value = values.get(setting, found[setting])
            if not isinstance(value, bool) and not (value is None and setting == "strip_accents"):
                raise DataError(f"{folder / name}: {setting} must be true or false, not {value!r:.40}")
            found[setting] = value
    return found

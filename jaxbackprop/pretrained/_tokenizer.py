"""Text to what a BERT reads: ids of pieces, segments, and where the padding is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxbackprop.data import DataError

from ._tokenizer_files import TOKENIZER, VOCABULARY, read_text, read_tokenizer

NO_WORD = -1


class Encoded(NamedTuple):
    """Sequences of T pieces, each an int32 array of shape (B, T).

    Attributes:
        input_ids: the pieces.
        token_type_ids: 0, and 1 in the second sentence of a pair.
        attention_mask: 1, and 0 in the padding.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    attention_mask: np.ndarray


class EncodedWords(NamedTuple):
    """As `Encoded`, with the place of each word's first piece.

    Attributes:
        input_ids: the pieces, (B, T).
        token_type_ids: 0, (B, T).
        attention_mask: 1, and 0 in the padding, (B, T).
        first_pieces: places in [0, T), (B, W); -1 behind the sentence's last word, and for words that were
            cut off or have no piece.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    attention_mask: np.ndarray
    first_pieces: np.ndarray


class BertTokenizer:
    """Cuts text into the pieces that a BERT knows.

    Attributes:
        size: one more than the largest id that it gives.
        pad_id: the id of what fills the places behind a sentence.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        """Wraps a `tokenizers.Tokenizer`.

        Args:
            tokenizer: without padding and truncation.
            name: what errors call it.

        Raises:
            DataError: it has no [PAD], or puts nothing around a sentence.
        """
        self._tokenizer, self._name = tokenizer, name
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        if not vocabulary:
            raise DataError(f"{name} holds no pieces")
        self.size = max(vocabulary.values()) + 1
        if "[PAD]" not in vocabulary:
            raise DataError(f"{name} holds no piece [PAD]")
        self.pad_id: int = vocabulary["[PAD]"]
        self._around = tokenizer.num_special_tokens_to_add(is_pair=False)
        if self._around < 1:
            raise DataError(f"{name} puts no [CLS] before a sentence")

    def to_text(self) -> str:
        """The tokenizer as JSON, which `tokenizer_from_text` reads."""
        self._tokenizer.no_truncation()
        text: str = self._tokenizer.to_str()
        return text

    def encode(
        self,
        sentences: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        max_length: int = 128,
        pad_to: int | None = None,
    ) -> Encoded:
        """Encodes sentences, or pairs of them.

        Args:
            sentences: B of them.
            pairs: the second sentence of each, if there is one.
            max_length: pieces in a sequence at most, [CLS] and [SEP] included; longer ones lose their end
                (the longer sentence of a pair first).
            pad_to: pieces in every sequence; None takes those of the longest.

        Returns:
            The arrays.

        Raises:
            DataError: a sentence is no text, or the tokenizer fails.
            ValueError: lengths do not fit.
        """
        if pairs is not None and len(pairs) != len(sentences):
            raise ValueError(f"pairs has {len(pairs)} sentences for {len(sentences)}")
        given = list(sentences) if pairs is None else list(zip(sentences, pairs, strict=True))
        found = self._run(given, max_length, words=False)
        return Encoded(*self._arrays(found, max_length, pad_to))

    def encode_words(
        self, sentences: Sequence[Sequence[str]], *, max_length: int = 128, pad_to: int | None = None
    ) -> EncodedWords:
        """Encodes sentences that are cut into words already; see `encode`.

        Returns:
            The arrays, with the place of each word's first piece.
        """
        found = self._run([list(words) for words in sentences], max_length, words=True)
        width = max(map(len, sentences), default=0)
        first = np.full((len(sentences), width), NO_WORD, np.int32)
        for row, encoding in enumerate(found):
            # From the back, so that the first of a word's pieces is what stays.
            for place in range(len(encoding.word_ids) - 1, -1, -1):
                word = encoding.word_ids[place]
                if word is not None:
                    first[row, word] = place
        return EncodedWords(*self._arrays(found, max_length, pad_to), first)

    def _run(self, given: list[Any], max_length: int, *, words: bool) -> list[Any]:
        if max_length <= self._around + 1:
            raise ValueError(f"max_length must be above {self._around + 1}, not {max_length}")
        self._tokenizer.enable_truncation(max_length)
        try:
            encodings: list[Any] = self._tokenizer.encode_batch(given, is_pretokenized=words)
        except BaseException as error:
            # A panic of the library is no Exception.
            if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
                raise
            raise DataError(f"{self._name} cannot encode: {' '.join(str(error).split())[:200]}") from None
        return encodings

    def _arrays(
        self, encodings: list[Any], max_length: int, pad_to: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        longest = max((len(encoding.ids) for encoding in encodings), default=0)
        steps = longest if pad_to is None else pad_to
        if steps < longest:
            raise ValueError(f"pad_to must be at least {longest}, the longest sequence, not {steps}")
        shape = (len(encodings), steps)
        ids, types = np.full(shape, self.pad_id, np.int32), np.zeros(shape, np.int32)
        mask = np.zeros(shape, np.int32)
        for row, encoding in enumerate(encodings):
            count = len(encoding.ids)
            ids[row, :count], types[row, :count] = encoding.ids, encoding.type_ids
            mask[row, :count] = encoding.attention_mask
        return ids, types, mask


def load_tokenizer(folder: str | os.PathLike[str]) -> BertTokenizer:
    """The tokenizer of a Hugging Face folder: its tokenizer.json, or else its vocab.txt.

    A tokenizer.json is loaded by another process first, with limits of memory and time, for it can make the
    library crash. A vocab.txt is cut as BERT cuts, by do_lower_case, strip_accents and tokenize_chinese_chars
    of tokenizer_config.json, or else of config.json; a vocabulary of Hangul syllables keeps them whole unless
    strip_accents says otherwise.

    Args:
        folder: holds it.

    Raises:
        DataError: there is none, or it is not what it should be.
        MissingExtra: tokenizers is not installed.
    """
    path = Path(folder)
    tokenizer = read_tokenizer(path)
    name = TOKENIZER if (path / TOKENIZER).is_file() else VOCABULARY
    return BertTokenizer(tokenizer, str(path / name))


def tokenizer_from_text(text: str, name: str) -> BertTokenizer:
    """The tokenizer that `BertTokenizer.to_text` wrote, with the same care as that of a folder.

    Args:
        text: JSON.
        name: what errors call it.

    Raises:
        DataError: it is not what it should be.
        MissingExtra: tokenizers is not installed.
    """
    return BertTokenizer(read_text(text, name), name)

"""Text to pieces, Hangul among it, and tokenizer files that make the library fail."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxbackprop.pretrained import DataError, load_tokenizer
from tests.models.bert.folders import PIECES

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tokenizer")
    (made / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


def pieces(ids):
    return [PIECES[n] for n in ids]


def test_sentences_become_pieces_segments_and_masks(tokenizer):
    found = tokenizer.encode(["The movie is goodly", "영화 좋다!"])
    assert pieces(found.input_ids[0]) == ["[CLS]", "the", "movie", "is", "good", "##ly", "[SEP]"]
    assert pieces(found.input_ids[1]) == ["[CLS]", "영화", "좋", "##다", "!", "[SEP]", "[PAD]"]
    np.testing.assert_array_equal(found.attention_mask, [[1] * 7, [1] * 6 + [0]])
    np.testing.assert_array_equal(found.token_type_ids, np.zeros((2, 7)))
    assert {array.dtype for array in found} == {np.dtype("int32")}


def test_pairs_and_the_longest_length(tokenizer):
    found = tokenizer.encode(["the movie is good"], ["bad"], max_length=6, pad_to=9)
    assert pieces(found.input_ids[0])[:6] == ["[CLS]", "the", "movie", "[SEP]", "bad", "[SEP]"]
    np.testing.assert_array_equal(found.token_type_ids, [[0, 0, 0, 0, 1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(found.attention_mask, [[1] * 6 + [0] * 3])
    with pytest.raises(ValueError, match="pairs has 2 sentences for 1"):
        tokenizer.encode(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="pad_to must be at least 3"):
        tokenizer.encode(["a"], pad_to=2)
    with pytest.raises(ValueError, match="max_length must be above 3"):
        tokenizer.encode(["a"], max_length=3)


def test_words_and_their_first_pieces(tokenizer):
    found = tokenizer.encode_words([["goodly", "movies", "!"], ["나쁘는", "", "b"], []], max_length=7)
    assert pieces(found.input_ids[0]) == ["[CLS]", "good", "##ly", "movie", "##s", "!", "[SEP]"]
    np.testing.assert_array_equal(found.first_pieces, [[1, 3, 5], [1, -1, 3], [-1, -1, -1]])
    cut = tokenizer.encode_words([["goodly", "movies", "!"]], max_length=5)
    # Of the second word there is a piece, of the third none.
    np.testing.assert_array_equal(cut.first_pieces, [[1, 3, -1]])


@pytest.mark.parametrize("name", ["tokenizer_config.json", "config.json"])
def test_capitals_are_kept_where_the_folder_says_so(tmp_path, folder, name):
    text = (folder / "vocab.txt").read_text(encoding="utf-8")
    (tmp_path / "vocab.txt").write_text(text + "The\n", encoding="utf-8")
    (tmp_path / name).write_text(json.dumps({"do_lower_case": False}))
    assert load_tokenizer(tmp_path).encode(["The"]).input_ids[0, 1] == len(PIECES)
    (tmp_path / name).write_text(json.dumps({"do_lower_case": "no"}))
    with pytest.raises(DataError, match="do_lower_case must be true or false, not 'no'"):
        load_tokenizer(tmp_path)


def test_a_json_file_wins_and_its_own_padding_is_dropped(tmp_path, tokenizer):
    inner = tokenizer._tokenizer
    inner.enable_padding(length=40)
    inner.enable_truncation(4)
    inner.save(str(tmp_path / "tokenizer.json"))
    inner.no_padding()
    (tmp_path / "vocab.txt").write_text("nothing")
    found = load_tokenizer(tmp_path).encode(["the movie is good"])
    assert pieces(found.input_ids[0]) == ["[CLS]", "the", "movie", "is", "good", "[SEP]"]


def whole(**change):
    """A tokenizer.json, with changes."""
    parts = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "[PAD]": 1, "a": 2}, "unk_token": "[UNK]"},
    }
    return json.dumps(parts | change)


PANICS = whole(
    post_processor={
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[NONE]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {},
    }
)
LARGE = whole(model={"type": "Unigram", "unk_id": 0, "vocab": [[str(n), 0.0] for n in range(800_000)]})
REFUSED = {
    "no json": ("{", "expected a tokenizer"),
    "another json": ('{"a": 1}', "expected a tokenizer"),
    "deep": ("[" * 1_000_000, "expected a tokenizer"),
    "nothing around a sentence": (whole(), r"puts no \[CLS\]"),
    "panic": (PANICS, "expected a tokenizer"),
    "no padding": (
        whole(model={"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}),
        r"no piece \[PAD\]",
    ),
    "memory": (LARGE, "too much memory or time"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_makes_the_library_fail_is_refused(tmp_path, name):
    text, said = REFUSED[name]
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    began = time.process_time()
    with pytest.raises(DataError, match=said) as caught:
        load_tokenizer(tmp_path)
    assert time.process_time() - began < 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "is not UTF-8"),
        (b"[UNK]\n[CLS]\n", r"got no \[SEP\], \[PAD\]"),
        (b"\n" * (1 << 21), "at most 1,048,576 pieces"),
        (b"a" * (17 << 20), "at most 16,777,216 bytes"),
    ],
)
def test_a_vocabulary_that_is_none(tmp_path, content, said):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        load_tokenizer(tmp_path)


def test_a_folder_without_tokenizer(tmp_path):
    with pytest.raises(DataError, match=r"expected tokenizer\.json or vocab\.txt"):
        load_tokenizer(tmp_path)


def test_what_is_not_installed_is_named(folder):
    code = (
        "import sys; sys.modules['tokenizers'] = None; from jaxbackprop.pretrained import load_tokenizer\n"
        f"load_tokenizer({os.fspath(folder)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "tokenizers: pip install 'jaxbackprop[bert]'" in done.stderr

"""Text that stays on disk gives what the same text in memory gives."""

import gzip
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import DataError, Encoder, is_pattern, read_corpus, stream_corpus, tag_set
from jaxbackprop.data import _lines as lines
from jaxbackprop.data import _sharded as sharded
from jaxbackprop.data import _tokens as tokens


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "jaxbackprop" / "tokens"


@contextmanager
def small_parts():
    """A few lines and words at a time, so that short texts have the seams of long ones."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lines.read_blocks, "__defaults__", (40,))
        patched.setattr(tokens, "_CHUNK", 3)
        patched.setattr(sharded, "_CHUNK", 4)
        yield


def entity_words(tags):
    return st.tuples(st.sampled_from(["Ab", "x", "A1", "ab", "Zed", "é"]), st.sampled_from(tags))


TAGS = {
    "spans": ["O", "B-a", "I-a", "B-b", "I-b"],
    "ends": ["O", "B-a", "I-a", "E-a", "S-b", "B-b", "E-b"],
    "types": ["O", "loc", "per"],
    "tags": ["N", "V", "DET", "B-x"],
}


@st.composite
def shards(draw, kind):
    sentence = st.lists(entity_words(TAGS[kind]), min_size=1, max_size=5)
    return draw(st.lists(st.lists(sentence, min_size=1, max_size=5), min_size=1, max_size=4))


def write(folder, shards, dev):
    for number, sentences in enumerate(shards):
        text = "".join("".join(f"{word}\t{tag}\n" for word, tag in words) + "\n" for words in sentences)
        if number % 2:
            (folder / f"{number}.conll.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{number}.conll").write_text(text, encoding="utf-8")
    (folder / "dev").write_text("".join(f"w\t{tag}\n" for tag in dev * 3))
    return f"{folder}/*.conll*", f"{folder}/dev"


@pytest.mark.parametrize("kind", TAGS)
@given(st.data())
def test_windows_and_vocabulary_are_those_of_text_in_memory(kind, data):
    task = "tags" if kind == "tags" else "spans"
    with tempfile.TemporaryDirectory() as folder, small_parts():
        files = write(Path(folder), data.draw(shards(kind)), TAGS[kind])
        whole = read_corpus(*files, task=task)
        streamed = stream_corpus(*files, task=task)
        assert streamed.dev == whole.dev
        tags = tag_set(whole.train, task)
        assert (streamed.train.tags, len(streamed.train)) == (tags, len(whole.train))
        options = {"tags": tags, "window": data.draw(st.integers(0, 3)), "min_count": 2}
        encoder = Encoder.build(whole.train, **options)
        assert Encoder.of_counts(streamed.train.counts(), **options) == encoder
        expected = encoder.encode(whole.train)
        source = streamed.train.windows(encoder)
        assert source.count == streamed.train.words == len(expected.labels)
        indices = np.array(data.draw(st.permutations(range(source.count))))
        for name, rows in source.rows(indices).items():
            wanted = getattr(expected, name)
            assert rows.dtype == wanted.dtype
            np.testing.assert_array_equal(rows, wanted[indices], err_msg=name)


@pytest.fixture
def corpus(tmp_path):
    """Three files: two sentences of two words and one; one of three; two of one."""
    texts = ["a\tB-x\nb\tI-x\n\nc\tO\n", "d\tO\ne\tB-y\nf\tO\n", "g\tO\n\nh\tB-x\n"]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.conll").write_text(text)
    (tmp_path / "dev").write_text("a\tB-x\n")
    return f"{tmp_path}/*.conll", f"{tmp_path}/dev"


def test_a_word_is_placed_by_file_and_sentence(corpus, tmp_path):
    text = stream_corpus(*corpus).train
    files = [f"{tmp_path}/{number}.conll" for number in range(3)]
    assert text.places(np.array([0, 1, 2])) == [f"1 of {files[0]}", f"2 of {files[0]}"]
    assert text.places(np.array([7, 5, 3])) == [f"1 of {files[1]}", f"2 of {files[2]}"]


@pytest.fixture
def tokenized(monkeypatch):
    """The names of the files that are tokenized."""
    found = []
    original = sharded.tokenize

    def tokenize(path, *rest):
        found.append(os.path.basename(path))
        return original(path, *rest)

    monkeypatch.setattr(sharded, "tokenize", tokenize)
    return found


def test_what_has_been_tokenized_is_taken_from_the_cache(corpus, tmp_path, cache, tokenized):
    said = []
    first = stream_corpus(*corpus, say=said.append).train
    assert tokenized == ["0.conll", "1.conll", "2.conll"]
    assert said == [f"tokenizing into {cache}"]
    tokenized.clear()
    assert stream_corpus(*corpus, say=said.append).train.sha256 == first.sha256
    assert (tokenized, len(said)) == ([], 1)
    # Another vocabulary, scheme or dev file needs the same numbers; another task reads otherwise.
    stream_corpus(*corpus, scheme="BIO")
    assert tokenized == []
    stream_corpus(*corpus, task="tags")
    assert tokenized == ["0.conll", "1.conll", "2.conll"]
    tokenized.clear()
    # A file that has changed, one more, one less.
    (tmp_path / "1.conll").write_text("d\tO\nE\tB-y\nf\tO\n")
    os.utime(tmp_path / "1.conll", ns=(1, 1))
    changed = stream_corpus(*corpus).train
    assert (tokenized, changed.sha256 == first.sha256) == (["1.conll"], False)
    assert "E" in changed.counts()
    (tmp_path / "3.conll").write_text("i\tO\n")
    assert stream_corpus(*corpus).train.words == 9
    (tmp_path / "0.conll").unlink()
    assert stream_corpus(*corpus).train.words == 6
    assert tokenized == ["1.conll", "3.conll"]


@pytest.mark.parametrize("file", ["words", "tags", "starts", "vocabulary", "counts", "entry.json"])
def test_a_damaged_cache_is_made_again(corpus, cache, file):
    first = stream_corpus(*corpus).train
    expected = first.counts(), first.sha256
    for path in cache.glob(f"*/{file}"):
        path.write_bytes(path.read_bytes()[:-1])
    again = stream_corpus(*corpus).train
    assert (again.counts(), again.sha256) == expected


def test_processes_share_the_work_and_none_waits(corpus, tokenized):
    stream_corpus(*corpus, index=1, count=2)
    # Its own; then, since nobody else is there, those of the other, from the last on.
    assert tokenized == ["1.conll", "2.conll", "0.conll"]
    stream_corpus(*corpus, index=0, count=2)
    assert len(tokenized) == 3


BAD = {
    "no file": ({}, r"--train .*\*\.conll\*: no file matches this pattern"),
    "no dev file": ({"0.conll": "a\tO\n"}, r"--dev .*no\*: no file matches this pattern"),
    "damaged gzip": (
        {"0.conll": "a\tB-x\n", "1.conll.gz": b"a\tO\n"},
        r"1\.conll\.gz: cannot be decompressed",
    ),
    "no UTF-8": ({"0.conll": "a\tB-x\n", "1.conll": b"a\tO\n\xff\tO\n"}, r"1\.conll:2: expected UTF-8"),
    "a bad line": (
        {"0.conll": "a\tB-x\n", "1.conll": "a\tO\n\nb\n"},
        r"1\.conll:3: expected a word and a tag",
    ),
    "a bad line behind the first block": (
        {"0.conll": "a\tB-x\n", "1.conll": "a\tO\n\n" * 30 + "b\n"},
        r"1\.conll:61: expected a word and a tag",
    ),
    "a bad tag behind the first block": (
        {"0.conll": "a\tB-x\n", "1.conll": "a\tO\n\n" * 30 + "a\tX-y\n\na\tX-y"},
        r"1\.conll:61: .*got 'X-y'",
    ),
    "no sentence": ({"0.conll": "a\tB-x\n", "1.conll": "\n"}, r"1\.conll: expected sentences"),
    "a bad tag": ({"0.conll": "a\tB-x\n", "1.conll": "a\tO\n\nb\tX-y\n"}, r"1\.conll:3: .*got 'X-y'"),
    "other columns": (
        {"0.conll": "a\tB-x\n", "1.conll": "a\tN\tB-x\n"},
        r"1\.conll: expected 2 columns, .* as in .*0\.conll, got 3 columns, read as .*: --columns",
    ),
    "a header in one": (
        {"0.conll": "word\tner\tpos\na\tB-x\tN\n", "1.conll": "a\tB-x\tN\n"},
        r"1\.conll: expected 3 columns, read as word=1,tag=2, as in .*: --columns word=1,tag=2 says",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_file_is_named(tmp_path, case):
    contents, message = BAD[case]
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "dev").write_text("a\tB-x\n")
    dev = f"{tmp_path}/no*" if case == "no dev file" else f"{tmp_path}/dev"
    with small_parts(), pytest.raises(DataError, match=message):
        stream_corpus(f"{tmp_path}/*.conll*", dev)


@pytest.mark.parametrize("part", ["dev", "test"])
def test_what_is_not_there_is_said_before_anything_is_tokenized(corpus, tokenized, part):
    files = {"dev": corpus[1], part: "nowhere.conll"}
    with pytest.raises(DataError, match=r"nowhere\.conll: cannot be read: No such file"):
        stream_corpus(corpus[0], **files)
    assert tokenized == []


def test_columns_that_are_said_hold_for_all_files(tmp_path):
    (tmp_path / "0.conll").write_text("a\tB-x\n")
    (tmp_path / "1.conll").write_text("a\tO\tN\n")
    (tmp_path / "dev").write_text("a\tB-x\n")
    text = stream_corpus(f"{tmp_path}/*.conll", f"{tmp_path}/dev", columns="word=1,tag=2").train
    assert text.tags == ("O", "B-x", "I-x")


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    (tmp_path / "a[1].conll").write_text("a\tB-x\n")
    assert not is_pattern(tmp_path / "a[1].conll")
    assert is_pattern(tmp_path / "a[2].conll")
    assert not is_pattern(tmp_path / "a.conll")


def test_a_cache_that_cannot_be_written_is_named(corpus, cache):
    cache.parent.parent.write_text("a file")
    with pytest.raises(DataError, match=r"cannot write the cache of tokenized text in .*XDG_CACHE_HOME"):
        stream_corpus(*corpus)


def test_a_file_that_changes_meanwhile_is_refused(corpus, monkeypatch):
    states = iter(range(100))
    monkeypatch.setattr(tokens, "state_of", lambda path: next(states))
    with pytest.raises(DataError, match=r"0\.conll: has changed while it was read"):
        stream_corpus(*corpus)

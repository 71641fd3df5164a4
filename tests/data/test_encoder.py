"""From words to ids."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import (
    PADDING,
    SHAPES,
    UNKNOWN,
    DataError,
    Encoder,
    Sentence,
    WordVectors,
    shape,
    tag_set,
)

TAGS = ("O", "B-x", "I-x")


def sentences_of(*texts):
    return [Sentence(tuple(text.split()), ("O",) * len(text.split())) for text in texts]


def vectors_of(*words, dim=4):
    matrix = np.random.default_rng(len(words)).normal(size=(len(words), dim)).astype(np.float32)
    return WordVectors("test", None, {word: row for row, word in enumerate(words)}, matrix)


VECTORS = vectors_of("the", "cat", "dog", "nfl", "sat", "unused")
TRAIN = sentences_of("The cat sat", "the #NFL blorp blorp", "@ann Zork http://a.bc/d")


def test_words_with_vectors_are_listed_in_the_form_of_the_vector():
    encoder = Encoder.build(TRAIN, tags=TAGS, vectors=VECTORS)
    assert encoder.words == ("the", "cat", "sat", "nfl", "blorp", "<user>", "zork", "<url>")
    assert encoder.num_words == 9
    rows = encoder.encode_words([["The", "THE", "the", "#nfl", "NFL", "@bob", "ZORK", "http://e.fg", "dog"]])
    listed = ["the"] * 3 + ["nfl"] * 2 + ["<user>", "zork", "<url>"]
    expected = [encoder.words.index(word) + 1 for word in listed] + [UNKNOWN]
    assert rows.words[:, 2].tolist() == expected


def test_words_without_vectors_are_listed_from_a_count_on():
    encoder = Encoder.build(TRAIN, tags=TAGS, vectors=VECTORS, min_count=2)
    assert encoder.words == ("the", "cat", "sat", "nfl", "blorp")
    assert encoder.unknown_words(TRAIN) == ("@ann", "Zork", "http://a.bc/d")
    # The forms are counted together: @a and @b make <user> twice.
    twice = Encoder.build(sentences_of("@a @b Zork zork x"), tags=TAGS, min_count=2)
    assert twice.words == ("<user>", "zork")


def test_digits_tell_words_apart_where_each_is_frequent_enough():
    text = sentences_of("B2B B3B b2b r1 r2 q7")
    encoder = Encoder.build(text, tags=TAGS, min_count=2)
    assert encoder.words == ("b2b", "r0")
    assert encoder.unknown_words(text) == ("B3B", "q7")
    assert Encoder.build(text, tags=TAGS, min_count=1).words == ("b2b", "b3b", "r1", "r2", "q7")


def test_development_words_are_listed_only_with_a_vector():
    dev = sentences_of("Dog grault the")
    encoder = Encoder.build(TRAIN, dev=dev, tags=TAGS, vectors=VECTORS)
    assert encoder.words == ("the", "cat", "sat", "nfl", "dog", "blorp", "<user>", "zork", "<url>")
    assert encoder.unknown_words(dev) == ("grault",)
    assert Encoder.build(TRAIN, dev=dev, tags=TAGS) == Encoder.build(TRAIN, tags=TAGS)


def test_affixes_are_listed_that_occur_twice():
    encoder = Encoder.build(sentences_of("walking Walks talking ox ox it"), tags=TAGS)
    assert encoder.prefixes == ("wal", "ox")
    assert encoder.suffixes == ("ing", "ox")
    assert (encoder.num_prefixes, encoder.num_suffixes) == (3, 3)
    windows = dataclasses.replace(encoder, window=0).encode_words([["WALLET", "sing", "ox", "it"]])
    assert windows.prefixes[:, 0].tolist() == [1, 0, 2, 0]
    assert windows.suffixes[:, 0].tolist() == [0, 1, 2, 0]


def test_windows_of_two_sentences():
    encoder = Encoder(("O", "B-x"), 1, ("a", "b"), ("a",), ("b",))
    windows = encoder.encode([Sentence(("a", "B", "c"), ("O", "B-x", "O")), Sentence(("b",), ("B-x",))])
    lower, one = SHAPES.index("no capitals"), SHAPES.index("one capital")
    assert windows.words.tolist() == [[-1, 1, 2], [1, 2, 0], [2, 0, -1], [-1, 2, -1]]
    assert windows.prefixes.tolist() == [[-1, 1, 0], [1, 0, 0], [0, 0, -1], [-1, 0, -1]]
    assert windows.suffixes.tolist() == [[-1, 0, 1], [0, 1, 0], [1, 0, -1], [-1, 1, -1]]
    assert windows.shapes.tolist() == [
        [-1, lower, one],
        [lower, one, lower],
        [one, lower, -1],
        [-1, lower, -1],
    ]
    assert windows.labels.tolist() == [0, 1, 0, 1]
    assert windows.lengths.tolist() == [3, 1]
    assert {array.dtype for array in vars(windows).values()} == {np.dtype(np.int32)}


WORD = st.sampled_from("The the cat CAT #nfl Blorp @ann 12 34 http://a.bc/x ... ! dog -".split())


@given(st.lists(st.lists(WORD, max_size=6), max_size=5), st.integers(0, 3))
def test_encoding_word_by_word_gives_the_same(texts, m):
    encoder = Encoder.build(TRAIN, tags=TAGS, vectors=VECTORS, window=m)
    windows = encoder.encode_words(texts)
    words = [word for text in texts for word in text]
    assert windows.words.shape == windows.shapes.shape == (len(words), 2 * m + 1)
    assert windows.lengths.tolist() == [len(text) for text in texts]
    for index, word in enumerate(words):
        alone = encoder.encode_words([[word]])
        for name in ("words", "shapes", "prefixes", "suffixes"):
            assert getattr(windows, name)[index, m] == getattr(alone, name)[0, m]
        assert SHAPES[windows.shapes[index, m]] == shape(word)
    assert ((windows.words == PADDING) == (windows.suffixes == PADDING)).all()
    assert windows.words.max(initial=0) < encoder.num_words


def test_no_sentences_make_no_windows():
    windows = Encoder.build(TRAIN, tags=TAGS, window=2).encode([])
    assert windows.words.shape == (0, 5)
    assert windows.labels.shape == windows.lengths.shape == (0,)
    assert windows.labels.dtype == np.int32


def test_labels_are_indices_of_tags_and_can_be_left_out():
    sentences = [Sentence(("a", "b", "c"), ("B-x", "I-x", "O"))]
    encoder = Encoder.build(sentences, tags=tag_set(sentences))
    assert encoder.encode(sentences).labels.tolist() == [1, 2, 0]
    foreign = [Sentence(("a", "b"), ("O", "B-y"))]
    assert encoder.encode(foreign, labels=False).labels.tolist() == [0, 0]
    with pytest.raises(DataError, match=r"^expected one of the tags O, B-x, I-x, got 'B-y'$"):
        encoder.encode(foreign)


def test_the_initial_table_holds_the_vectors():
    encoder = Encoder.build(TRAIN, tags=TAGS, vectors=VECTORS)
    table = encoder.initial_table(VECTORS, np.random.default_rng(0))
    assert table.shape == (encoder.num_words, VECTORS.dim)
    assert table.dtype == np.float32
    known = VECTORS.rows(["the", "cat", "sat", "nfl"])
    np.testing.assert_array_equal(table[1:5], known)
    np.testing.assert_allclose(table[UNKNOWN], known.mean(axis=0), rtol=1e-6)
    drawn = table[5:]
    assert np.abs(drawn).max() <= np.sqrt(3 / 4)
    assert len(np.unique(drawn)) == drawn.size
    np.testing.assert_array_equal(table, encoder.initial_table(VECTORS, np.random.default_rng(0)))
    assert (table[5:] != encoder.initial_table(VECTORS, np.random.default_rng(1))[5:]).all()


def test_the_initial_table_without_vectors_is_drawn():
    encoder = Encoder.build(sentences_of(" ".join(f"w{chr(97 + i)}" for i in range(26))), tags=TAGS)
    table = encoder.initial_table(None, np.random.default_rng(0), dim=100)
    assert table.shape == (27, 100)
    assert abs((table.astype(np.float64) ** 2).sum(axis=1).mean() - 1) < 0.1
    assert len(np.unique(table[UNKNOWN])) > 1


@pytest.mark.parametrize(("vectors", "dim"), [(None, None), (VECTORS, 4), (None, 0)])
def test_the_length_of_a_row_is_said_once(vectors, dim):
    with pytest.raises(ValueError, match=r"^dim must be"):
        Encoder.build(TRAIN, tags=TAGS).initial_table(vectors, np.random.default_rng(0), dim=dim)


def test_extending_appends_rows_and_changes_nothing_else():
    vectors = vectors_of("the", "cat", "Dog", "dog", "nfl", "sat", "bird")
    encoder = Encoder.build(TRAIN, tags=TAGS, vectors=vectors)
    table = encoder.initial_table(vectors, np.random.default_rng(0))
    text = [["Dog", "the", "BIRD", "grault"], ["bird", "Dog", "dog"]]
    longer, rows = encoder.extend(text, vectors)
    assert longer.words == (*encoder.words, "Dog", "bird", "dog")
    np.testing.assert_array_equal(rows, vectors.rows(["Dog", "bird", "dog"]))
    assert rows.dtype == np.float32
    table = np.concatenate([table, rows])
    ids = longer.encode_words(text).words[:, 2]
    np.testing.assert_array_equal(
        table[ids[[0, 1, 2, 4, 5, 6]]], vectors.rows("Dog the bird bird Dog dog".split())
    )
    assert ids[3] == UNKNOWN
    assert encoder.encode_words(text).words[:, 2].tolist() == [
        0,
        encoder.words.index("the") + 1,
        0,
        0,
        0,
        0,
        0,
    ]
    assert longer.unknown_words(text) == ("grault",)
    np.testing.assert_array_equal(encoder.encode(TRAIN).words, longer.encode(TRAIN).words)


def test_extending_by_nothing_new():
    encoder = Encoder.build(TRAIN, tags=TAGS, vectors=VECTORS)
    same, rows = encoder.extend(sentences_of("the grault"), VECTORS)
    assert same == encoder
    assert rows.shape == (0, 4)
    assert rows.dtype == np.float32


def test_json_and_back():
    encoder = Encoder.build(
        TRAIN, dev=sentences_of("dog 한국어 \u2028"), tags=TAGS, window=3, vectors=VECTORS
    )
    assert Encoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": None}, "expected a list of strings as an encoder's 'words', got None"),
        ({"tags": ["O", 1]}, "expected a list of strings as an encoder's 'tags', got ['O', 1]"),
        ({"window": "2"}, "expected a whole number as an encoder's 'window', got '2'"),
        ({"window": True}, "expected a whole number as an encoder's 'window', got True"),
        ({"window": -1}, "expected the fields of an encoder, but its window must be at least 0, got -1"),
        ({"tags": []}, "expected the fields of an encoder, but its tags must name one tag or more, got none"),
        ({"words": ["a", "b", "a"]}, "its words must differ from one another, got 'a' twice"),
        ({"shapes": ["big", "small"]}, "got big, small"),
    ],
)
def test_fields_that_are_not_an_encoder_raise(change, message):
    fields = Encoder.build(TRAIN, tags=TAGS).to_dict() | change
    with pytest.raises(DataError) as caught:
        Encoder.from_dict(fields)
    assert message in str(caught.value)


def test_missing_fields_raise():
    with pytest.raises(DataError, match="expected a list of strings as an encoder's 'tags', got None"):
        Encoder.from_dict({})
    with pytest.raises(DataError, match=r"expected the fields of an encoder, got \[\]"):
        Encoder.from_dict([])


@pytest.mark.parametrize("change", [{"window": -1}, {"tags": ()}, {"tags": ("O", "O")}, {"min_count": 0}])
def test_a_bad_argument_is_named(change):
    with pytest.raises(ValueError, match=f"^{next(iter(change))} must"):
        Encoder.build(TRAIN, **{"tags": TAGS} | change)


def test_most_words_of_the_default_corpus_are_found():
    from jaxbackprop.data import default_corpus, load_vectors

    corpus, vectors = default_corpus(), load_vectors("glove")
    counts = Counter(word for sentence in corpus.train for word in sentence.words)
    found = sum(count for word, count in counts.items() if vectors.lookup(word) >= 0)
    assert found / counts.total() > 0.9
    encoder = Encoder.build(corpus.train, dev=corpus.dev, tags=tag_set(corpus.train), vectors=vectors)
    longer, rows = encoder.extend(corpus.test, vectors)
    before, after = (encoder.encode(corpus.test), longer.encode(corpus.test))
    assert (before.words == UNKNOWN).mean() > 0.1
    assert (after.words == UNKNOWN).mean() < 0.03
    assert longer.num_words == encoder.num_words + len(rows)
    np.testing.assert_array_equal(before.labels, after.labels)

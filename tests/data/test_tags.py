"""Tagging schemes: what they are recognised by, and the way to BIO."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import DataError, Sentence, detect_scheme, tag_set, to_bio

# A sentence as spans: (type or None for outside, length).
SPANS = st.lists(st.tuples(st.sampled_from([None, "per", "loc", "geo-loc"]), st.integers(1, 4)), max_size=8)


def bio_of(spans):
    tags = []
    for entity_type, length in spans:
        if entity_type is None:
            tags += ["O"] * length
        else:
            tags += ["B-" + entity_type] + ["I-" + entity_type] * (length - 1)
    return tuple(tags)


def bioes_of(spans, single="S", end="E"):
    tags = []
    for entity_type, length in spans:
        if entity_type is None:
            tags += ["O"] * length
        elif length == 1:
            tags.append(f"{single}-{entity_type}")
        else:
            tags += [f"B-{entity_type}", *[f"I-{entity_type}"] * (length - 2), f"{end}-{entity_type}"]
    return tuple(tags)


def iob1_of(spans):
    tags = []
    before = None
    for entity_type, length in spans:
        if entity_type is None:
            tags += ["O"] * length
        else:
            first = "B-" if before == entity_type else "I-"
            tags += [first + entity_type] + ["I-" + entity_type] * (length - 1)
        before = entity_type
    return tuple(tags)


@given(st.lists(SPANS, max_size=4))
def test_every_scheme_comes_back_as_the_same_bio(sentences):
    bio = [bio_of(spans) for spans in sentences]
    assert to_bio(bio, "IOB2") == bio
    assert to_bio([iob1_of(spans) for spans in sentences], "IOB1") == bio
    assert to_bio([bioes_of(spans) for spans in sentences], "BIOES") == bio
    assert to_bio([bioes_of(spans, single="U", end="L") for spans in sentences], "BIOES") == bio


@given(st.lists(SPANS, max_size=4))
def test_the_scheme_need_not_be_named(sentences):
    bio = [bio_of(spans) for spans in sentences]
    for written in (bio_of, iob1_of, bioes_of):
        assert to_bio([written(spans) for spans in sentences]) == bio


@given(st.lists(SPANS, min_size=1, max_size=4))
def test_detection_on_each_scheme(sentences):
    entities = [span for spans in sentences for span in spans if span[0] is not None]
    detected = {
        f.__name__: detect_scheme([f(spans) for spans in sentences]) for f in (bio_of, iob1_of, bioes_of)
    }
    assert detected["bio_of"] == "IOB2"
    # Without an entity all schemes look alike.
    assert detected["iob1_of"] == ("IOB1" if entities else "IOB2")
    assert detected["bioes_of"] == ("BIOES" if entities else "IOB2")


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["I-a", "O", "I-b"], "IOB1"),
        (["I-a", "B-a", "I-a"], "IOB1"),
        (["I-a", "I-b"], "IOB1"),
        (["O", "B-a", "O", "I-b"], "IOB2"),  # a stray I-b, but B-a follows no a: not IOB1
        (["I-b", "B-a"], "IOB2"),
        (["B-a", "B-a"], "IOB2"),
        (["O", "O"], "IOB2"),
        ([], "IOB2"),
        (["B-a", "L-a"], "BIOES"),
        (["I-a", "O", "U-a"], "BIOES"),
    ],
)
def test_detection_at_the_borders(tags, scheme):
    assert detect_scheme([tags]) == scheme


def test_evidence_is_gathered_over_all_sentences():
    assert detect_scheme([["I-a", "O"], ["O", "B-a"]]) == "IOB2"
    assert detect_scheme([["I-a"], ["B-a"]]) == "IOB2"  # the end of a sentence is not an entity of type a


@pytest.mark.parametrize(
    ("tags", "bio"),
    [
        (["O", "I-a", "I-a"], ("O", "B-a", "I-a")),
        (["B-a", "I-b"], ("B-a", "B-b")),
        (["E-a", "I-a"], ("B-a", "B-a")),
        (["S-a", "E-a", "E-a"], ("B-a", "B-a", "B-a")),
        (["B-a", "O", "E-a"], ("B-a", "O", "B-a")),
        (["B-a", "U-a", "I-a"], ("B-a", "B-a", "B-a")),
        (["B-a", "I-a", "S-a"], ("B-a", "I-a", "B-a")),
    ],
)
def test_an_entity_without_its_beginning_is_given_one(tags, bio):
    assert to_bio([tags]) == [bio]


@given(
    st.lists(
        st.lists(st.sampled_from(["O"] + [p + "-" + t for p in "BIESLU" for t in "ab"]), max_size=8),
        max_size=4,
    )
)
def test_any_tags_become_valid_bio_once_and_for_all(sequences):
    bio = to_bio(sequences)
    assert [len(tags) for tags in bio] == [len(tags) for tags in sequences]
    for tags, before in zip(bio, sequences, strict=True):
        assert [tag[1:] for tag in tags] == [tag[1:] for tag in before]
        for previous, tag in zip(("O", *tags), tags, strict=False):
            assert tag == "O" or tag[0] == "B" or previous[2:] == tag[2:]
    assert to_bio(bio, "IOB2") == bio


@pytest.mark.parametrize("tag", ["", "B-", "B", "b-a", "o", "X-a", "B_a", "B- a", "-DOCSTART-"])
def test_what_is_no_tag_raises(tag):
    with pytest.raises(DataError, match=r"^sequence 1: expected O or a type after"):
        to_bio([["O"], ["O", tag]])
    with pytest.raises(DataError, match=r"^sequence 0:"):
        detect_scheme([[tag]])


def test_a_tag_of_another_scheme_than_the_named_one_raises():
    with pytest.raises(DataError, match="expected O or a type after B-, I-, got 'E-a'"):
        to_bio([["B-a", "E-a"]], "IOB2")


def test_an_unknown_scheme_raises():
    with pytest.raises(ValueError, match="scheme must be one of IOB1, IOB2, BIOES or None, got 'BIO'"):
        to_bio([["O"]], "BIO")


def test_tag_set_has_both_tags_of_each_type_in_order():
    sentences = [Sentence(("x", "y"), ("B-person", "O")), Sentence(("z",), ("I-geo-loc",))]
    assert tag_set(sentences) == ("O", "B-geo-loc", "I-geo-loc", "B-person", "I-person")
    assert tag_set([]) == ("O",)


def test_tag_set_of_words_is_what_occurs():
    sentences = [Sentence(("x", "y"), ("VB", "NN")), Sentence(("z",), ("B-x",))]
    assert tag_set(sentences, "tags") == ("B-x", "NN", "VB")

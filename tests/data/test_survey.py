"""What files hold: counts, shared sentences, words without a vector, impossible sequences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import WordVectors, survey, to_bio
from jaxbackprop.data._tags import impossible_tags

TAGS = st.lists(st.sampled_from(["O"] + [p + "-" + t for p in "BIES" for t in "ab"]), max_size=6)


@pytest.fixture
def write(tmp_path):
    def write(name, *lines):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path / name

    return write


def test_counts_of_each_file(write):
    paths = [write("a", "Ada B-p", "Lee I-p", "ran O", "", "Bob B-p"), write("b", "# x", "Rome B-l")]
    found = survey(paths)
    assert found.scheme == "IOB2"
    assert [(file.sentences, file.words, file.tags) for file in found.files] == [
        (2, 4, {"p": 2}),
        (1, 1, {"l": 1}),
    ]
    assert [file.columns for file in found.files] == ["word=1,tag=last"] * 2
    assert (found.shared, found.files[0].without_vector) == ([], None)


def test_sentences_of_several_files_are_found_by_their_words(write):
    a = write("a", "x O", "", "Ada B-p", "ran O", "", "x O")
    b = write("b", "# id", "Ada O", "ran O", "", "y O", "", "x B-p", "", "x O")
    found = survey([a, b, a])
    assert [(shared.first, shared.second, shared.lines) for shared in found.shared] == [
        (0, 1, [(3, 2), (1, 7), (1, 9)]),
        (0, 2, [(1, 1), (3, 3), (1, 6)]),
        (1, 2, [(7, 1), (2, 3), (7, 6)]),
    ]


def test_words_without_a_vector_are_a_share_of_all_words(write):
    vectors = WordVectors("v", None, {"x": 0, "y": 1}, np.zeros((2, 3), np.float32))
    (file,) = survey([write("a", "X O", "y O", "q O", "q O", "q O")], vectors=vectors).files
    assert file.without_vector == 3 / 5


def test_tags_of_words_are_counted_as_they_stand(write):
    found = survey([write("a", "x NN", "y VB", "z NN")], task="tags")
    assert (found.scheme, found.files[0].tags, found.files[0].impossible) == (None, {"NN": 2, "VB": 1}, [])


def test_impossible_sequences_have_lines_and_the_tags_of_the_file(write):
    (file,) = survey([write("a", "# x", "x O", "y I_a", "", "z I_b", "w B_a")]).files
    assert file.impossible == [(3, "I_a after O"), (5, "I_b at the start")]
    (file,) = survey([write("a", "x s-a", "y b-a", "z o", "w m-a", "v e-a", "", "u b-a")]).files
    assert file.impossible == [(3, "o after b-a"), (4, "m-a after o"), (7, "b-a at the end")]


@pytest.mark.parametrize(
    ("scheme", "tags", "places"),
    [
        ("IOB2", ["B-a", "I-a", "I-b", "O", "I-a"], [2, 4]),
        ("IOB1", ["I-a", "B-a", "I-b", "B-a", "O", "B-b"], [3, 5]),
        ("BIOES", ["B-a", "I-a", "E-a", "S-a", "B-b", "E-b"], []),
        ("BIOES", ["B-a", "B-a", "E-b", "I-a", "O"], [1, 2, 3, 4]),
        ("BILOU", ["U-a", "L-a", "B-a", "L-a"], [1]),
        ("IOE", ["E-a", "I-b", "E-a"], []),
        ("IO", ["I-b", "O", "I-a"], []),
    ],
)
def test_what_each_scheme_forbids(scheme, tags, places):
    assert impossible_tags(tags, scheme) == places


@given(TAGS)
def test_bio_has_nothing_impossible(tags):
    assert impossible_tags(to_bio([tags])[0], "IOB2") == []

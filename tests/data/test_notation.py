"""How tags are written: every notation comes to the same BIO, and what is none is refused with its line."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import DataError, read_conll
from jaxbackprop.data._notation import PREFIXES, read_notation
from jaxbackprop.data._tagged import read_tagged

# B-PER I-PER I-PER O B-LOC O B-LOC I-LOC in each notation, and the scheme it is said to be in.
BIO = ["B-PER", "I-PER", "I-PER", "O", "B-LOC", "O", "B-LOC", "I-LOC"]
BIOES = ["B-PER", "I-PER", "E-PER", "O", "S-LOC", "O", "B-LOC", "E-LOC"]
WRITTEN = {
    "underscore": ("IOB2", [tag.replace("-", "_") for tag in BIO]),
    "lower case": ("IOB2", [tag[0].lower() + tag[1:] for tag in BIO]),
    "behind": ("IOB2", ["_".join(tag.split("-")[::-1]) for tag in BIO]),
    "IO": ("IO", [tag.split("-")[-1] for tag in BIO]),
    "IOB1": ("IOB1", [tag.replace("B", "I") for tag in BIO]),
    "BIOES": ("BIOES", BIOES),
    "bioes": ("BIOES", [tag[0].lower() + tag[1:] for tag in BIOES]),
    "BILOU": ("BILOU", [tag.replace("E-", "L-").replace("S-", "U-") for tag in BIOES]),
    "BMES": ("BMES", [tag.replace("I-", "M-") for tag in BIOES]),
    "IOE": ("IOE", [tag.replace("B-", "I-").replace("S-", "E-") for tag in BIOES]),
}


@pytest.fixture
def write(tmp_path):
    def write(*sentences):
        text = "\n".join("".join(f"w\t{tag}\n" for tag in tags) for tags in sentences)
        (tmp_path / "file").write_text(text)
        return tmp_path / "file"

    return write


@pytest.mark.parametrize(("scheme", "tags"), WRITTEN.values(), ids=WRITTEN)
def test_every_notation_comes_to_the_same_bio(write, scheme, tags):
    found = read_tagged([write(tags)])
    assert [tag.upper() for tag in found.sentences[0][0].tags] == BIO
    assert found.scheme == scheme


@pytest.mark.parametrize(("scheme", "tags"), WRITTEN.values(), ids=WRITTEN)
def test_a_scheme_that_is_said_reads_as_the_detected_one(write, scheme, tags):
    path = write(tags)
    assert read_conll(path, scheme=scheme) == read_conll(path)


def test_tags_without_types_are_entities(write):
    (sentence,) = read_conll(write(["B", "I", "O", "B"]))
    assert sentence.tags == ("B-entity", "I-entity", "O", "B-entity")
    (sentence,) = read_conll(write(["b", "e", "o", "s"]))
    assert sentence.tags == ("B-entity", "I-entity", "O", "B-entity")


@pytest.mark.parametrize(
    ("tags", "line"),
    [
        (["B-a", "I-a", "B", "O"], 3),
        (["B-a", "I-a", "B_a", "O"], 3),
        (["B-a", "I-a", "b-a", "O"], 3),
        (["B-a", "I-a", "o", "O", "O"], 3),
        (["B-a", "I-a", "a", "O"], 3),
        (["B-a", "I-a", "M-a", "O"], 3),
        (["B-a", "Bx"], 2),
        (["B-a", "O", "PER"], 3),
        (["B-a", "O", "-"], 3),
        (["O", "O", "B-"], 3),
        (["PER", "O", "0"], 1),
        (["NNP", "VBD"], 1),
        (["N", "O", ",", "^"], 1),
        (["O", "BPER", "IPER"], 2),
        (["O", "B:PER", "I:PER"], 2),
        (["O", "PER", "B-PER", "LOC"], 3),
        (["O", *(f"word{'x' * n}" for n in range(30))], 2),
    ],
)
def test_a_tag_that_the_notation_lacks_is_refused_with_its_line(write, tags, line):
    with pytest.raises(DataError, match=rf"file:{line}: expected a tag in the last column, "):
        read_conll(write(tags))


@pytest.mark.parametrize(
    "tags", [["NNP", "VBD"], ["O", "B:PER", "I:PER"], ["PER", "LOC"], ["O", "PER", "E-mail", "LOC"]]
)
def test_a_scheme_that_cannot_be_told_names_its_flags(write, tags):
    with pytest.raises(DataError, match=r"--scheme says how entities are tagged.* --task tags"):
        read_conll(write(tags))


def test_io_that_is_said_reads_types_that_look_like_prefixes(write):
    (sentence,) = read_conll(write(["O", "PER", "E-mail", "E-mail"]), scheme="IO")
    assert sentence.tags == ("O", "B-PER", "B-E-mail", "I-E-mail")
    (sentence,) = read_conll(write(["O", "I-PER", "I-PER"]), scheme="IO")
    assert sentence.tags == ("O", "B-PER", "I-PER")


def test_tags_beside_the_scheme_that_is_said_are_refused(write):
    with pytest.raises(
        DataError, match=r"file:2: .*, O or a type after B- or I- \(--scheme BIO\), got 'E-a'$"
    ):
        read_conll(write(["B-a", "E-a"]), scheme="BIO")
    with pytest.raises(DataError, match=r"file:2: .*, O or a type \(--scheme IO\), got '-'$"):
        read_conll(write(["a", "-"]), scheme="IO")


def test_another_column_of_tags_is_suggested(tmp_path):
    (tmp_path / "file").write_text("John\tB-PER\tNNP\nran\tO\tVBD\n")
    with pytest.raises(DataError, match=r"file:1: .*--columns word=1,tag=2 reads other columns"):
        read_conll(tmp_path / "file")


def test_unknown_schemes_and_tasks_raise(write):
    path = write(["O"])
    with pytest.raises(ValueError, match="scheme must be one of IO, BIO, .* or None, not 'BIE'"):
        read_conll(path, scheme="BIE")
    with pytest.raises(ValueError, match="scheme must be None with task tags, not 'BIO'"):
        read_conll(path, scheme="BIO", task="tags")
    with pytest.raises(ValueError, match="task must be spans or tags, not 'pos'"):
        read_conll(path, task="pos")


def test_with_task_tags_they_are_as_they_stand(write):
    (sentence,) = read_conll(write(["NNP", "B-x", ",", "o"]), task="tags")
    assert sentence.tags == ("NNP", "B-x", ",", "o")


@given(
    st.dictionaries(st.text(min_size=1, max_size=6), st.integers(1, 9), max_size=6),
    st.sampled_from([None, *PREFIXES]),
)
def test_readings_are_spelled_in_one_way(counts, scheme):
    notation = read_notation(Counter(counts), scheme)
    for tag, reading in notation.readings.items():
        assert reading == "O" or (reading[0] in "BIESLU" and reading[1] == "-" and len(reading) > 2)
        assert tag in counts or tag == "O"

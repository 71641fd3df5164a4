"""Reading CoNLL-style files, whole and broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import DataError, Sentence, read_conll


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "file.conll"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_conll(path)

    return read


@pytest.fixture
def error_of(tmp_path):
    """The message without the path of the file."""

    def error_of(content):
        path = tmp_path / "file.conll"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(DataError) as caught:
            read_conll(path)
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(str(path))
        return message.removeprefix(str(path))

    return error_of


EU = [
    Sentence(("EU", "rejects", "German", "call"), ("B-ORG", "O", "B-MISC", "O")),
    Sentence(("Peter", "Blackburn"), ("B-PER", "I-PER")),
]


@pytest.mark.parametrize(
    "content",
    [
        "EU\tB-ORG\nrejects\tO\nGerman\tB-MISC\ncall\tO\n\nPeter\tB-PER\nBlackburn\tI-PER\n\n",
        "EU B-ORG\nrejects O\nGerman B-MISC\ncall O\n\nPeter B-PER\nBlackburn I-PER",
        "EU   B-ORG \n rejects  O\nGerman B-MISC\ncall O\n\nPeter B-PER\nBlackburn I-PER\n",
        "\ufeffEU\tB-ORG\r\nrejects\tO\r\nGerman\tB-MISC\r\ncall\tO\r\n\r\nPeter\tB-PER\r\nBlackburn\tI-PER\r\n",
        "\n\n \nEU\tB-ORG\nrejects\tO\nGerman\tB-MISC\ncall\tO\n\t\n\t\nPeter\tB-PER\nBlackburn\tI-PER\n\t\n",
        "-DOCSTART- -X- -X- O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\nGerman JJ I-NP I-MISC\ncall NN I-NP O"
        "\n\nPeter NNP I-NP I-PER\nBlackburn NNP I-NP I-PER\n",
        "-DOCSTART-\tO\nEU\tS-ORG\nrejects\tO\nGerman\tU-MISC\ncall\tO\n-DOCSTART-\nPeter\tB-PER\nBlackburn\tL-PER",
    ],
    ids=["tabs", "spaces", "runs of spaces", "crlf and bom", "blank lines", "conll 2003", "docstart between"],
)
def test_forms_of_the_same_file(read, content):
    assert read(content) == EU


def test_only_ascii_separates_lines_and_columns(read):
    odd = ["a\u00a0b", "\u0085", "\u2028", "x\x1cy", "\u3000", "\x0cz"]
    content = "".join(f"{word}\tO\n" for word in odd)
    assert read(content) == [Sentence(tuple(odd), ("O",) * len(odd))]
    assert read("a\u00a0b O\n\u0085\u2028 B-x\n") == [Sentence(("a\u00a0b", "\u0085\u2028"), ("O", "B-x"))]


def test_a_tabbed_word_may_contain_spaces(read):
    assert read("New York \t B-loc\n") == [Sentence(("New York",), ("B-loc",))]


WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n\v\f"), min_size=1, max_size=8
)
TAGGED = st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-a", "B-b-c"])), min_size=1, max_size=6)


@given(st.lists(TAGGED, min_size=1, max_size=4), st.sampled_from(["{}\t{}", "{} {}", "{}\t_\t_\t{}"]))
def test_what_is_written_is_read(tmp_path_factory, sentences, line):
    # A first sentence that shows how the lines are made; words that start with # are words too. It is long:
    # words that are mostly numbers are refused.
    sentences = [[("first", "O"), ("second", "O")] * 12, *sentences]
    path = tmp_path_factory.mktemp("conll") / "file"
    text = "\n\n".join("\n".join(line.format(*token) for token in sentence) for sentence in sentences)
    path.write_bytes(text.encode())
    expected = [
        Sentence(tuple(word for word, _ in sentence), tuple(tag for _, tag in sentence))
        for sentence in sentences
    ]
    assert read_conll(path) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("# newdoc\n# text = an O\nEU\tB-x\n", "EU"),  # ends in a tag, but has no tab
        ("# id 4f2\tdomain=en\nEU\t_\t_\tB-x\n", "EU"),
        ("# id 4f2 domain=en\nEU _ _ B-x\n", "EU"),
        ("#begin document (a); part 000\nEU B-x\n#\tO\n\n#end document\n", "EU #"),
        ("#\nEU B-x\n", "EU"),
        ("#\tO\nEU\tB-x\n", "# EU"),
        ("# O\nEU B-x\n", "# EU"),
        ("#NFL\tO\n#\tB-x\n\nEU\tB-x\n", "#NFL # EU"),
        ("EU B-x\n#NFL B-x\n", "EU #NFL"),
        ("# _ _ O\n#NFL _ _ B-x\n\n# text = a\nEU _ _ B-x\n", "# #NFL EU"),
        ("#only\tO\n#hashes\tB-x\n", "#only #hashes"),
        ("# a comment\n#only\tO\n", "#only"),
    ],
)
def test_comments_and_words_that_start_with_a_hash(read, content, words):
    assert [word for sentence in read(content) for word in sentence.words] == words.split()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("EU\tB-x\nrejects\n", ":2: expected a word and a tag, got one column, 'rejects'"),
        ("EU B-x\n\n\nEU\n", ":4: expected a word and a tag, got one column, 'EU'"),
        ("EU\tB-x\n\u3000\n", ":2: expected a word and a tag, got one column"),
        ("EU\tB-x\n\tO\n", ":2: expected a word in the first column, got '\\tO'"),
        ("EU\tB-x\nrejects\t\n", ":2: expected a word and a tag, got one column, 'rejects'"),
        ("EU\tB-x\nNFL\tBx\n", ":2: expected a tag in the last column, O or a type after B-, I-,"),
        ("EU\tB-x\n\n#NFL\tBx\n", ":3: expected a tag in the last column"),  # made like a word
        ("EU\tB-x\n# not here\n", ":2: expected a tag in the last column"),
        ("EU\tB-x\n#\n", ":2: expected a word and a tag, got one column, '#'"),
        ("EU\tB-\n", ":1: expected a tag"),
        ("", ": expected sentences, a word and its tag a line, got none"),
        ("\n\n# text\n-DOCSTART- O\n", ": expected sentences"),
        (b"EU\tB-x\n\xc3\xa9\tO\nal\xe9\tO\n", ":3: expected UTF-8, got the byte 0xe9"),
        ("EU\tO\n".encode("utf-16"), ":1: expected UTF-8, got the byte 0xff"),
        (b"\xef\xbb\xbfEU\tO\nEU\n", ":2: expected a word and a tag"),
    ],
)
def test_a_malformed_file_raises_with_its_line(error_of, content, message):
    assert error_of(content).startswith(message)


def test_an_odd_tag_stays_on_one_line_of_the_message(error_of):
    assert r"got 'x\u2028\x1b[31m'" in error_of("EU\tx\u2028\x1b[31m\n")


def test_a_missing_file_and_a_folder_raise(tmp_path):
    with pytest.raises(DataError, match=r"none\.conll: cannot be read: No such file or directory$"):
        read_conll(tmp_path / "none.conll")
    with pytest.raises(DataError, match=r": cannot be read: Is a directory$"):
        read_conll(str(tmp_path))


def test_a_sentence_has_a_tag_for_each_word():
    with pytest.raises(ValueError, match="tags has 1 entries but words has 2"):
        Sentence(("a", "b"), ("O",))

"""Which columns are read: said, named by the file, or refused with the flag that says them."""

import pytest

from jaxbackprop.data import DataError, Sentence, read_conll
from jaxbackprop.data._columns import Columns

GERMEVAL = "#\thttp://de [2009]\n1\tJohn\tB-PER\tO\n2\tlives\tO\tO\n\n1\tMary\tB-PER\tO\n2\tsings\tO\tO\n"
UNER = "# sent_id = 1\n# text = John ran\n1\tJohn\tB-PER\t-\t-\n2\tran\tO\t-\t-\n"
CONLLU = (
    "# text = don't\n1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_\n"
    "2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_\n2.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_\n"
)


@pytest.fixture
def read(tmp_path):
    def read(content, **options):
        (tmp_path / "file").write_text(content)
        return read_conll(tmp_path / "file", **options)

    return read


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("word=2,tag=3", Columns(2, 3)),
        ("tag=3, word=2", Columns(2, 3)),
        ("word=2", Columns(2, None)),
        ("tag=4", Columns(1, 4)),
    ],
)
def test_columns_are_said(text, columns):
    assert Columns.parse(text) == columns


@pytest.mark.parametrize(
    "text",
    ["", "2,3", "word=0", "word=-1", "word=2,word=3", "word=2,tag=2", "tag=1", "lemma=3", "word=2;tag=3"],
)
def test_other_columns_raise(text):
    with pytest.raises(DataError, match="^--columns must "):
        Columns.parse(text)


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        (GERMEVAL, "--columns word=2,tag=3"),
        (UNER, "--columns word=2,tag=3"),
        (CONLLU, "--task tags --columns word=2,tag=4"),
        ("1\tO\n2\tO\n", "--columns word=1,tag=2"),
        ("1 B-PER John\n2 O ran\n", "--columns word=3,tag=2"),
        ("1 O John B-PER\n2 O ran O\n", "--columns word=3,tag=4"),
        ("1 John NNP B-NP B-PER\n2 ran VBD O O\n", "--columns word=2,tag=5"),
        ("1 John B\n2 ran O\n", "--columns word=2,tag=3"),
    ],
    ids=[
        "GermEval",
        "UniversalNER",
        "CoNLL-U",
        "two columns",
        "tag before word",
        "tags on both sides",
        "chunks",
        "no types",
    ],
)
def test_words_that_are_mostly_numbers_are_refused_with_flags_that_read_the_file(read, content, flags):
    with pytest.raises(DataError, match=rf"file:\d: expected words in the first column, .* such as {flags}$"):
        read(content)
    options = dict(zip(*[iter(flags.replace("--", "").split())] * 2, strict=True))
    assert read(content, **options)


def test_names_of_sentences_are_no_words(read):
    content = "s1\tJohn\tNN\tB-x\ns1\tran\tVB\tO\ns1\tto\tTO\tO\n\ns2\tx\tNN\tO\n"
    with pytest.raises(DataError, match=r"file:1: .*, got 's1' in all of a sentence: .* word=2,tag=4$"):
        read(content)
    assert read(content, columns="word=2")[0].words == ("John", "ran", "to")
    assert read("ha\t_\tO\nha\t_\tO\nha\t_\tO\n\nso\t_\tO\nit\t_\tO\nis\t_\tO\n")


def test_tags_that_differ_like_words_are_refused(read):
    content = "".join(f"NN\tword{n}\n" for n in range(60))
    with pytest.raises(DataError, match=r"expected tags that recur, got 60 different ones .* --columns"):
        read(content, task="tags")
    assert read(content, task="tags", columns="word=2,tag=1")


def test_numbers_among_words_are_words(read):
    assert read("10\tO\n000\tO\nmen\tO\nran\tO\n")[0].words == ("10", "000", "men", "ran")
    assert read("10\tO\n000\tO\nmen\tO\n", columns="word=1")[0].words == ("10", "000", "men")


def test_columns_that_are_said_are_read(read):
    expected = [Sentence(("John", "lives"), ("B-PER", "O")), Sentence(("Mary", "sings"), ("B-PER", "O"))]
    assert read(GERMEVAL, columns="word=2,tag=3") == expected
    assert read(UNER, columns="tag=3,word=2") == [Sentence(("John", "ran"), ("B-PER", "O"))]


def test_beside_numbers_all_that_starts_with_a_hash_is_a_comment(read):
    content = "1\tJohn\tB-PER\n# he\tdid\tO\n2\tran\tO\n\n#\tof\tO\n1\t#\tO\n2\t#x\tO\n"
    assert [s.words for s in read(content, columns="word=2")] == [("John", "ran"), ("#", "#x")]


def test_ranges_and_empty_nodes_are_skipped(read):
    sentences = read(CONLLU, columns="word=2,tag=4", task="tags")
    assert sentences == [Sentence(("do", "n't"), ("AUX", "PART"))]


@pytest.mark.parametrize(
    ("line", "task", "tags"),
    [
        ("# global.columns = ID FORM UPOS X:NER MISC", "spans", ("B-PER", "O")),
        ("#global.columns=ID FORM UPOS NE MISC", "spans", ("B-PER", "O")),
        ("# global.columns = ID FORM UPOS X:NER MISC", "tags", ("PROPN", "VERB")),
    ],
)
def test_global_columns_tell(read, line, task, tags):
    content = f"{line}\n# text = John ran\n1\tJohn\tPROPN\tB-PER\t_\n2\tran\tVERB\tO\t_\n"
    assert read(content, task=task) == [Sentence(("John", "ran"), tags)]


def test_global_columns_without_tags_are_refused(read):
    with pytest.raises(DataError, match=r"file:1: .* such as --columns word=2,tag=3$"):
        read("# global.columns = ID FORM LEMMA\n1\tJohn\tO\n")


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("word\tpos\tne", "{}\tNN\t{}"),
        ("Word\tTag", "{}\t{}"),
        ("#CHAR\tNE_TAG", "{}\t{}"),
        ("word pos ne", "{} NN {}"),
        ("id\ttoken\tner\tlemma", "7\t{}\t{}\tx"),
        ("Token Tag", "{} _ {}"),
    ],
)
def test_a_header_is_no_sentence_and_tells_the_columns(read, header, line):
    lines = [header, line.format("John", "B-PER"), line.format("ran", "O"), "", line.format("x", "O")]
    assert read("\n".join(lines)) == [Sentence(("John", "ran"), ("B-PER", "O")), Sentence(("x",), ("O",))]


def test_a_comment_with_names_of_columns_in_it_is_a_comment(read):
    content = "# text = the word tag\n# word = x y tag\n1 John _ _ NN B-x\n2 ran _ _ VB O\n"
    with pytest.raises(DataError, match="--columns word=2,tag=6"):
        read(content)
    assert read(content, columns="word=2")[0].words == ("John", "ran")


def test_a_header_is_no_word_where_any_tag_will_do(read):
    assert read("word\tpos\tne\nJohn\tNNP\tB-PER\n", task="tags") == [Sentence(("John",), ("NNP",))]


def test_a_column_of_sentences_parts_them(read):
    content = (
        "Sentence #\tWord\tPOS\tTag\nSentence: 1\tJohn\tNNP\tB-per\n\tran\tVBD\tO\nSentence: 2\tx\tNN\tO\n"
    )
    assert read(content) == [Sentence(("John", "ran"), ("B-per", "O")), Sentence(("x",), ("O",))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GERMEVAL + "3\tlate\n", r"7: expected 3 columns or more \(word=2,tag=3\), got 2"),
        (GERMEVAL + "3\t\tO\tO\n", "7: expected a word in column 2, got"),
        (GERMEVAL + "3\tlate\t\tO\n", "7: expected a tag in column 3, got"),
        (GERMEVAL + "3\tlate\t-\tO\n", "7: expected a tag in column 3, O or a type after .*, got '-'"),
    ],
)
def test_a_line_without_its_columns_raises(read, content, message):
    with pytest.raises(DataError, match=f"file:{message}"):
        read(content, columns="word=2,tag=3")

"""Text to words and words to marked text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.ner import marked, split_at_spaces, tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's the view from where I'm living.", "It 's the view from where I 'm living ."),
        ("Empire State Building = ESB. (Really?!)", "Empire State Building = ESB . ( Really ? ! )"),
        ('He said "Go, now"...', 'He said " Go , now " ...'),
        ("don't can't they've @paul's", "do n't ca n't they 've @paul 's"),
        ("It’s", "It ’s"),
        ("U.S. and Mr. Smith, etc.", "U.S. and Mr. Smith , etc."),
        ("@user: #tag! http://t.co/a.b, <3 :) ;-)", "@user : #tag ! http://t.co/a.b , <3 :) ;-)"),
        ("3.5% of $3,000.", "3.5% of $3,000 ."),
        ("rock 'n' roll - - !!! --", "rock ' n ' roll - - !!! --"),
        ("(:-)) a:))).", "(:-)) a : ) ) ) ."),
        ("8).. x))a)) 8o", "8) .. x))a ) ) 8o"),
        ("<url>. <url> <<3b>> (<33)", "< url > . <url> < < 3b > > ( < 33 )"),
        ("U.S.. U.S.) Mr.. (etc.)!", "U.S .. U.S. ) Mr .. ( etc. ) !"),
        ("..a.. a...b... (a....).", "..a .. a...b ... ( a .... ) ."),
        (
            "((can't)) 'don't'. $5's 's a'S n't xn't'll",
            "( ( ca n't ) ) ' do n't ' . $5 's ' s a 'S n't xn't 'll",
        ),
        ("  \t\n ", ""),
    ],
)
def test_words_are_split_as_the_corpora_split_them(text, words):
    assert tokenize(text) == words.split()


@given(st.text(alphabet="ab.'’\"()[]!?:;n t\nsD,@#<3…", max_size=30))
def test_nothing_is_lost_and_nothing_is_empty(text):
    words = tokenize(text)
    assert "".join(words) == "".join(text.split())
    assert all(words)
    # Joined by blanks the words are split no further than into the same words again, or finer marks.
    assert "".join(tokenize(" ".join(words))) == "".join(words)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 30_000 + "a",
        "a" + "'" * 30_000,
        "." * 30_000 + "a" + "." * 30_000,
        "<" * 30_000 + "a",
        ".," * 15_000,
        "a" + ".," * 15_000,
        "a." * 15_000 + ",",
        "8" + ")" * 15_000 + "a" + ")" * 15_000,
        "8" * 30_000,
        "<" + "a" * 15_000 + ")" * 15_000,
        "a" * 30_000 + "'",
        "n't" * 10_000,
    ],
    ids=lambda text: f"{text[:4]}...{text[-2:]}",
)
def test_a_page_of_marks_takes_no_time(text):
    began = time.perf_counter()
    words = tokenize(text)
    # Hundredths of a second; half a minute, if every mark took another look at all the others.
    assert time.perf_counter() - began < 3
    assert "".join(words) == text


def test_only_ascii_white_space_separates_words_that_are_split_already():
    text = "New\u00a0York\u0085 \t(in)\u2028the\u3000US\x1cA\r\v\fNY.\r"
    assert split_at_spaces(text) == ["New\u00a0York\u0085", "(in)\u2028the\u3000US\x1cA", "NY."]
    assert split_at_spaces(" \t") == []
    assert tokenize("New\u00a0York\u2028now") == ["New", "York", "now"]


def test_entities_are_marked_where_they_stand():
    words = "the Empire State Building in New York".split()
    assert (
        marked(words, [("facility", 1, 4), ("geo-loc", 5, 7)])
        == "the [Empire State Building](facility) in [New York](geo-loc)"
    )
    assert marked(words, []) == " ".join(words)
    assert marked([], []) == ""

"""Text to words and words to marked text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.ner import marked, tokenize


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


def test_entities_are_marked_where_they_stand():
    words = "the Empire State Building in New York".split()
    assert (
        marked(words, [("facility", 1, 4), ("geo-loc", 5, 7)])
        == "the [Empire State Building](facility) in [New York](geo-loc)"
    )
    assert marked(words, []) == " ".join(words)
    assert marked([], []) == ""

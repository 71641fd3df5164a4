"""Forms and shapes of words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import SHAPES, shape, word_forms
from jaxbackprop.data._word_features import prefix, suffix


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("the", "no capitals"),
        ("don't", "no capitals"),
        ("한국어", "no capitals"),
        ("The", "initial capital"),
        ("'Tis", "initial capital"),
        ("I'm", "initial capital"),
        ("ǅ", "one capital"),
        ("NATO", "all capitals"),
        ("U.S.", "all capitals"),
        ("I", "one capital"),
        ("J.", "one capital"),
        ("iPhone", "mixed capitals"),
        ("McDonald", "mixed capitals"),
        ("B-Day", "mixed capitals"),
        ("5th", "digits and no capitals"),
        ("PS3", "digits and capitals"),
        ("iPhone4", "digits and capitals"),
        ("2010", "number"),
        ("$3.50", "number"),
        ("10:30", "number"),
        ("...", "punctuation"),
        ("“", "punctuation"),
        ("$", "punctuation"),
        ("#", "punctuation"),
        ("@", "punctuation"),
        ("😂", "symbol"),
        ("♥!", "symbol"),
        ("@paulwalk", "mention"),
        ("@_x1", "mention"),
        ("#NFL", "hashtag"),
        ("##1", "hashtag"),
        ("http://bit.ly/cuy0yt", "url"),
        ("HTTPS://X.COM", "url"),
        ("www.example.org", "url"),
        ("bit.ly/cds8Pd", "url"),
        ("Sony/Bud", "mixed capitals"),
        ("and/or", "no capitals"),
    ],
)
def test_shapes(word, expected):
    assert shape(word) == expected


def test_no_two_shapes_are_alike():
    assert len(set(SHAPES)) == len(SHAPES)


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("the", ("the",)),
        ("The", ("The", "the")),
        ("#NFL", ("#NFL", "#nfl", "nfl")),
        ("#", ("#",)),
        ("##", ("##",)),
        ("#2day", ("#2day", "2day", "0day")),
        ("F16", ("F16", "f16", "f00")),
        ("@PaulWalk1", ("@PaulWalk1", "@paulwalk1", "<user>")),
        ("http://bit.ly/Xy1", ("http://bit.ly/Xy1", "http://bit.ly/xy1", "<url>")),
        ("", ("",)),
    ],
)
def test_forms_from_exact_to_general(word, forms):
    assert word_forms(word) == forms


@given(st.text(max_size=12))
def test_any_word_has_a_shape_forms_and_affixes(word):
    assert shape(word) in SHAPES
    forms = word_forms(word)
    assert forms[0] == word
    assert len(set(forms)) == len(forms)
    assert word.lower().startswith(prefix(word))
    assert word.lower().endswith(suffix(word))
    assert len(prefix(word)) == len(suffix(word)) == min(3, len(word.lower()))

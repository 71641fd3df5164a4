"""What an evaluation says of its errors."""

from jaxbackprop.ner import Evaluation, TaggingError
from jaxbackprop.train import confusion, score


def test_errors_stand_in_lines_whatever_the_words_hold():
    errors = (
        TaggingError("missed", 1, ("a", "b\r\tc"), ("x", 1, 2), None),
        TaggingError("spurious", 2, ("d",), None, ("x", 0, 1)),
        TaggingError("missed", 3, ("e",), ("x", 0, 1), None),
    )
    found = Evaluation("type", score([], []), confusion([]), errors)
    assert found.errors_text().splitlines() == [
        "error\tsentence\ttrue type\ttrue words\tpredicted type\tpredicted words\tcontext",
        "missed\t1\tx\tb c\t\t\ta [b c]",
        "spurious\t2\t\t\tx\td\t{d}",
        "missed\t3\tx\te\t\t\t[e]",
    ]
    assert found.summary() == "2 missed; 1 spurious"
    assert Evaluation("type", score([], []), confusion([]), ()).summary() == "no errors"

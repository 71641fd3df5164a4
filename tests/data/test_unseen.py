"""Tags that training lacks: told, or refused where it has none of them."""

import pytest

from jaxbackprop.data import DataError, Sentence, compare_tags

TRAINING = ("O", "B-per", "I-per", "B-loc", "I-loc")


def told(tags, known=TRAINING, task="spans"):
    messages = []
    sentences = [Sentence(("w",) * len(tags), tuple(tags))]
    compare_tags(known, sentences, name="dev.txt", task=task, warn=messages.append)
    return messages


@pytest.mark.parametrize("tags", [["B-per", "O"], ["O"], ["I-loc"], []])
def test_nothing_is_said_of_what_training_has(tags):
    assert told(tags) == []


def test_types_that_training_lacks_are_told():
    assert told(["B-per", "B-org", "I-org", "O", "B-art"]) == [
        "dev.txt: entity types that training lacks, and that count as missed: art, org"
    ]
    many = [f"B-{letter}" for letter in "abcdefghijklm"]
    assert told(["B-per", *many])[0].endswith(": a, b, c, d, e, f, g, h, i, j and 3 more")


def test_nothing_in_common_is_refused():
    with pytest.raises(DataError, match=r"^dev.txt: expected entity types of .*, loc, per, got PER alone$"):
        told(["O", "B-PER"])


def test_with_task_tags_whole_tags_are_compared():
    known = ("NN", "VB", "O")
    assert told(["NN", "O"], known, "tags") == []
    assert told(["NN", "JJ"], known, "tags") == [
        "dev.txt: tags that training lacks, and that count as missed: JJ"
    ]
    with pytest.raises(DataError, match="expected tags of the training sentences, NN, O, VB, got JJ alone"):
        told(["JJ"], known, "tags")

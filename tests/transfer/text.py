"""A text about people and places, and vectors that know more of them than the text holds."""

import numpy as np

from jaxbackprop.data import Sentence, WordVectors

PEOPLE = ("anna", "otto", "ida", "max", "kim", "lea")
PLACES = ("rome", "oslo", "lima", "bonn", "cairo", "tokyo")
OTHER = ("met", "in", "us", ".")
TAGS = ("B-person", "O", "O", "O", "B-place", "O")


def sentences(count, seed=0, people=PEOPLE[:4], places=PLACES[:4]):
    rng = np.random.default_rng(seed)
    return [
        Sentence((str(rng.choice(people)), "met", "us", "in", str(rng.choice(places)), "."), TAGS)
        for _ in range(count)
    ]


def vectors(dim=6, seed=0):
    """People lie together, places lie together, and the other words anywhere."""
    rng = np.random.default_rng(seed)
    person, place = rng.normal(size=(2, dim))
    rows = {word: person + 0.2 * rng.normal(size=dim) for word in PEOPLE}
    rows |= {word: place + 0.2 * rng.normal(size=dim) for word in PLACES}
    rows |= {word: rng.normal(size=dim) for word in OTHER}
    matrix = np.array(list(rows.values()), np.float32)
    return WordVectors("known", None, dict(zip(rows, range(len(rows)), strict=True)), matrix)


def conll(text):
    return "".join(
        "".join(f"{word} {tag}\n" for word, tag in zip(each.words, each.tags, strict=True)) + "\n"
        for each in text
    )


def vector_file(found):
    rows = found.matrix.tolist()
    return "".join(f"{word} {' '.join(map(str, rows[row]))}\n" for word, row in found.words.items())


def write(folder):
    """Files of training, of development with people and places of their own, and of vectors."""
    (folder / "train.conll").write_text(conll(sentences(30)))
    (folder / "dev.conll").write_text(conll(sentences(12, 1, PEOPLE, PLACES)))
    (folder / "vectors.txt").write_text(vector_file(vectors()))

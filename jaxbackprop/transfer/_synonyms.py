"""TV, telly and television: near-synonyms before and after tuning on text that holds two of the three."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxbackprop.data import Sentence, WordVectors
from jaxbackprop.lecture import Difference, paired
from jaxbackprop.train import Config

from ._runs import in_parallel, tags_of, train_and_try

Group = tuple[str, str, str]
GROUPS: tuple[Group, ...] = (
    ("tv", "telly", "television"),
    ("mom", "mum", "mother"),
    ("kids", "youngsters", "children"),
    ("phone", "cellphone", "telephone"),
)
WHY = (
    "The first group is the slide's. The others were chosen before anything was measured: everyday nouns "
    "with three near-synonyms that all have GloVe vectors, mentioned ten times or more in the built-in "
    "training text."
)
_NEIGHBOURS = 5
# Pairs of a group: what tuning keeps together, and what it parts.
PAIRS = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, eq=False)
class Moved:
    """A group before and after tuning.

    Attributes:
        group: its words; the last one was in no training sentence.
        mentions: places in the training text where the first two stood.
        neighbours: those of the first word before tuning but for the group, the nearest first.
        kept: of these, how many are still among as many nearest after it, the mean over seeds.
        before: vectors of the three and of the neighbours, (3 + 5, d).
        after: the same of each seed, (seeds, 3 + 5, d).
    """

    group: Group
    mentions: int
    neighbours: tuple[str, ...]
    kept: float
    before: np.ndarray
    after: np.ndarray

    def cosines(self, pair: tuple[int, int]) -> tuple[float, list[float]]:
        """The cosine of two words of the group before, and after with each seed."""
        first, second = pair
        return _cosine(self.before[first], self.before[second]), [
            _cosine(after[first], after[second]) for after in self.after
        ]

    def change(self, pair: tuple[int, int]) -> Difference:
        """How much their cosine changes, over seeds."""
        before, after = self.cosines(pair)
        return paired(after, [before] * len(after))

    def lengths(self) -> list[float]:
        """How far each word of the group moves, as a share of its vector's length: the mean over seeds."""
        moved = np.linalg.norm(self.after[:, :3] - self.before[:3], axis=-1).mean(axis=0)
        return [float(each) for each in moved / np.linalg.norm(self.before[:3], axis=-1)]

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON holds them."""
        pairs = {}
        for first, second in PAIRS:
            before, after = self.cosines((first, second))
            pairs[f"{self.group[first]}, {self.group[second]}"] = {"before": before, "after": after}
        return {
            "group": list(self.group),
            "mentions": self.mentions,
            "cosines": pairs,
            "moved": dict(zip(self.group, self.lengths(), strict=True)),
            "neighbours": list(self.neighbours),
            "neighbours kept": self.kept,
        }


def only_first_two(sentences: Sequence[Sentence], group: Group) -> tuple[list[Sentence], int]:
    """Sentences in which each mention of the three words is the first or the second, in turn.

    Args:
        sentences: any; their tags stay.
        group: the words, in lower case.

    Returns:
        The sentences, and how many mentions they hold.
    """
    mentions = 0
    replaced = []
    for sentence in sentences:
        words = list(sentence.words)
        for at, word in enumerate(words):
            if word.lower() in group:
                words[at] = group[mentions % 2]
                mentions += 1
        replaced.append(dataclasses.replace(sentence, words=tuple(words)))
    return replaced, mentions


def measure_synonyms(
    name: str,
    train: Sequence[Sentence],
    vectors: WordVectors,
    *,
    config: Config,
    seeds: int,
    groups: Sequence[Group] = GROUPS,
    say: Callable[[str], None] = lambda done: None,
) -> tuple[list[Moved], dict[str, str]]:
    """Tunes vectors on text that holds the first two words of each group only.

    One training serves all groups: its text is `train` with their mentions replaced (see `only_first_two`).

    Args:
        name: of the text.
        train: the training sentences.
        vectors: the pretrained ones.
        config: the settings of training.
        seeds: how many trainings, at least 2.
        groups: of three words each, in lower case.
        say: told of each training that is done.

    Returns:
        What was measured of each group; and, by the group's last word, why others could not be.
    """
    mentions: dict[Group, int] = {}
    missing: dict[str, str] = {}
    sentences = list(train)
    for group in groups:
        unknown = [word for word in group if word not in vectors.words]
        replaced, count = only_first_two(sentences, group)
        if unknown:
            missing[group[-1]] = f"no vector for {', '.join(unknown)}"
        elif count < 2:
            missing[group[-1]] = f"the training text mentions {', '.join(group)} less than twice"
        else:
            sentences, mentions[group] = replaced, count
    if not mentions:
        return [], missing
    tags = tags_of(train, name)
    # So that the table has a row for the third word, which no training sentence holds.
    thirds = [Sentence((group[-1],), ("O",)) for group in mentions]

    def work(seed: int) -> tuple[np.ndarray, dict[str, int]]:
        set_up = dataclasses.replace(config, seed=seed)
        run = train_and_try("tuned", sentences, thirds, tags=tags, vectors=vectors, config=set_up)
        table = np.asarray(jax.device_get(run.model.words.embedding[...]))
        rows = {word: row for row, word in enumerate(run.encoder.words, start=1) if word in vectors.words}
        return table, rows

    matrix = np.array(vectors.matrix, dtype=np.float32)
    own = {group: [vectors.words[word] for word in group] for group in mentions}
    near = {group: _nearest(matrix, rows) for group, rows in own.items()}
    rows_of = {group: [*own[group], *near[group]] for group in mentions}
    before = {group: matrix[rows].astype(np.float64) for group, rows in rows_of.items()}
    after: dict[Group, list[np.ndarray]] = {group: [] for group in mentions}
    kept: dict[Group, list[int]] = {group: [] for group in mentions}
    for seed, (table, rows) in in_parallel(work, range(seeds)):
        # Every seed tunes the same rows, those of the text.
        matrix[[vectors.words[word] for word in rows]] = table[list(rows.values())]
        for group, numbers in rows_of.items():
            after[group].append(matrix[numbers].astype(np.float64))
            kept[group].append(len(set(near[group]) & set(_nearest(matrix, own[group]))))
        say(f"near-synonyms, seed {seed}")
    word_of = {row: word for word, row in vectors.words.items()}
    moved = [
        Moved(
            group,
            mentions[group],
            tuple(word_of[row] for row in near[group]),
            float(np.mean(kept[group])),
            before[group],
            np.array(after[group]),
        )
        for group in mentions
    ]
    return moved, missing


def _nearest(matrix: np.ndarray, group: Sequence[int]) -> list[int]:
    """The rows with the largest cosines with a group's first, without the group; the nearest first."""
    row, lengths = group[0], np.linalg.norm(matrix, axis=1)
    cosines = matrix @ matrix[row] / np.maximum(lengths * lengths[row], 1e-12)
    cosines[list(group)] = -np.inf
    count = min(_NEIGHBOURS, len(matrix) - len(group))
    best = np.argpartition(-cosines, count - 1)[:count]
    return [int(each) for each in best[np.argsort(-cosines[best])]]


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-12))

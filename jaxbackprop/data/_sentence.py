"""A sentence with its tags."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """The words of a sentence and one BIO (IOB2) tag for each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) != len(self.tags):
            raise ValueError(f"tags has {len(self.tags)} entries but words has {len(self.words)}")

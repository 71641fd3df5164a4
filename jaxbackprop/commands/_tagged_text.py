"""What `pitfall` and `advise` read: a corpus, and pretrained vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxbackprop._errors import CannotRun
from jaxbackprop.train import Config

if TYPE_CHECKING:
    from jaxbackprop.data import WordVectors

SETTINGS = ("columns", "scheme", "vectors")
# The three regimes, where a reader meets them.
REGIMES_HELP = """\
three regimes:
  pre-trained  the vectors are used as they are (frozen)
  fine-tuning  training goes on from the pretrained vectors and changes them (tuned)
  retraining   the vectors are learnt from the start, from this text alone (random)"""


def pretrained(config: Config) -> WordVectors:
    """The vectors of --vectors.

    Raises:
        CannotRun: they are random, or cannot be read.
    """
    if config.vectors == "random":
        raise CannotRun("--vectors must be glove or a file of pretrained vectors, not random")
    from jaxbackprop.data import load_vectors

    return load_vectors(config.vectors)

"""Which settings of training go with which model, and the defaults that depend on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._setting import flag

MODELS = ("window", "bert")
# An optimizer and the learning rate that suits it here: those that scale each entry of the gradient by its
# own history take small ones.
LEARNING_RATES = {
    "sgd": 0.2,
    "momentum": 0.05,
    "nesterov": 0.05,
    "adam": 4e-3,
    "adamw": 4e-3,
    "radam": 4e-3,
    "adagrad": 0.05,
    "rmsprop": 1e-3,
}
# What a pretrained model wants of training, where the window's defaults are for one that begins from nothing:
# as a classifier of sentences.
FINETUNING: dict[str, Any] = {
    "optimizer": "adamw",
    "lr": 2e-4,
    "schedule": "cosine",
    "warmup_epochs": 0.3,
    "clip_norm": 1.0,
    "batch_size": 32,
    "average": 0.0,
    "epochs": 4,
}
# As a tagger it has more to learn, where most words are outside of any entity: more updates, and longer ones.
_TAGGING = FINETUNING | {"encoder": "bert-mini", "lr": 5e-4, "batch_size": 16, "epochs": 6}
_WINDOW = {"optimizer": "adam", "schedule": "cyclic", "batch_size": 128, "average": 0.997, "epochs": 16}
# Optimizers whose steps are as long as the learning rate, for which those of pretrained models are meant.
_SCALED = ("adam", "adamw", "radam")
_ALONE = {
    "window": (
        *("vectors", "tune_vectors", "min_count", "word_dim", "window", "shape_dim", "affix_dim", "hidden"),
        *("activation", "init", "batch_norm", "dropout", "input_dropout", "l2"),
    ),
    "bert": ("encoder", "freeze", "max_length"),
}


def default_of(model: str, name: str) -> Any:
    """What a setting is that nobody says, where that depends on the model; None for none."""
    return (_TAGGING if model == "bert" else _WINDOW).get(name)


def learning_rate(model: str, optimizer: str) -> float:
    """The learning rate that suits an optimizer and a model."""
    rate: float = _TAGGING["lr"]
    return rate if model == "bert" and optimizer in _SCALED else LEARNING_RATES[optimizer]


def for_finetuning(said: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of training that are said, and those of `FINETUNING` where nothing is."""
    defaults = {name: value for name, value in FINETUNING.items() if said.get(name) is None}
    # These depend on other settings.
    defaults.pop("warmup_epochs", None)
    if said.get("optimizer") not in (None, *_SCALED):
        defaults.pop("lr", None)
    return {**said, **defaults}


def refuse_of_other(model: str, said: Iterable[str]) -> None:
    """Looks for settings that the model does not have.

    Raises:
        ValueError: there is one, named by its flag.
    """
    for other, names in _ALONE.items():
        if other != model and (given := [name for name in said if name in names]):
            raise ValueError(f"{flag(given[0])} is of --model {other}, not {model}")

"""The settings of `jaxbackprop finetune`: its own, and those of training that it shares with `train`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from jaxbackprop.train import Config, checked, for_finetuning, setting, settings_in

SHARED = (
    *("optimizer", "momentum", "weight_decay", "clip_norm"),
    *("lr", "schedule", "warmup_epochs", "min_lr", "base_lr", "cycle_epochs", "cyclic_mode", "gamma"),
    *("halve_every", "decay", "plateau_monitor", "plateau_mode", "plateau_factor", "plateau_min_delta"),
    *("plateau_patience", "plateau_cooldown"),
    *("dtype", "batch_size", "average", "epochs", "patience", "save_every", "keep", "mesh", "seed"),
)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """What is fine-tuned on what, and which of its parts.

    Raises:
        ValueError: a setting out of its range, named by its flag.
        TypeError: a setting of the wrong type, named by its flag.
    """

    model: str = setting(
        "bert-mini",
        str,
        "the pretrained model: an asset, or a Hugging Face folder of a BERT",
        metavar="DIR|bert-mini",
    )
    data: str = setting(
        "vader-movies",
        str,
        "sentences and labels, columns apart by tabs; a tenth each is held out for development and test "
        "where --dev and --test name no files",
        metavar="FILE|vader-movies",
    )
    dev: str | None = setting(None, str, "development sentences (default: held out)", metavar="FILE")
    test: str | None = setting(
        None, str, "test sentences (default: held out, or none with --dev)", metavar="FILE"
    )
    columns: str | None = setting(
        None,
        str,
        "columns by number or name, such as sentence=2,label=3, and pair=... where sentences come in pairs "
        "(default: what the first line says, or first and last)",
        metavar="COLUMNS",
    )
    examples: int | None = setting(None, int, "train on so many of the sentences (default: all)", least=1)
    max_length: int = setting(
        64, int, "pieces in a sentence, or pair, at most; what is longer is cut", least=4, most=4096
    )
    dropout: float | None = setting(
        None, float, "before the new layer (default: the model's)", least=0, below=1
    )
    freeze: str | None = setting(
        None,
        str,
        "parts that keep their parameters: embeddings, layers:0-3 (from 0, at the bottom), pooler, or bert "
        "for all but the new layer",
        metavar="PARTS",
    )
    unfreeze_gradually: bool = setting(
        False, bool, "train the new layer alone for an epoch, then in each epoch one layer more, from the top"
    )
    layerwise_decay: float = setting(
        1.0, float, "the learning rate of a layer over that of the one above", above=0, most=1
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, checked(one, getattr(self, one.name)))
        for name in ("model", "data"):
            if not getattr(self, name):
                raise ValueError(f"--{name} must not be empty")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        return asdict(self)


@dataclass(frozen=True)
class Settings:
    """All settings of a run.

    Attributes:
        own: what is fine-tuned on what.
        training: how, in the words of `train`.
    """

    own: FinetuneConfig
    training: Config

    @classmethod
    def of(cls, own: Mapping[str, Any], shared: Mapping[str, Any]) -> Settings:
        """From what is said; the rest is at its defaults.

        Raises:
            ValueError: a setting is unknown or out of its range.
            TypeError: a setting has the wrong type.
        """
        known = {one.name for one in fields(FinetuneConfig)}
        if unknown := (own.keys() - known) | (shared.keys() - set(SHARED)):
            raise ValueError(f"settings hold the unknown {', '.join(sorted(unknown))}")
        config = FinetuneConfig(**own)
        # A label is a tag of the whole sentence.
        files: dict[str, Any] = {
            "train": config.data,
            "dev": config.dev or config.data,
            "test": config.test,
            "task": "tags",
            "model": "bert",
        }
        return cls(config, Config(**files, **for_finetuning(shared)))

    def shared(self) -> dict[str, Any]:
        """The settings of training that are shared, by name."""
        return {name: getattr(self.training, name) for name in SHARED}

    @classmethod
    def of_all(cls, **said: Any) -> Settings:
        """From what is said of either, by name; see `of`."""
        shared = {name: value for name, value in said.items() if name in SHARED}
        return cls.of({name: value for name, value in said.items() if name not in SHARED}, shared)


def read_finetune_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings that a file of TOML says, or those of a run of `jaxbackprop finetune`.

    Raises:
        CannotRun: it cannot be read, or a setting is unknown, of another type or out of its range.
    """
    known = [*fields(FinetuneConfig), *(one for one in fields(Config) if one.name in SHARED)]

    def of_run(record: Mapping[str, Any]) -> dict[str, Any]:
        shared = {name: value for name, value in record["settings"].items() if name in SHARED}
        return {**record["finetune"], **shared}

    return settings_in(path, "finetune", known, of_run, Settings.of_all)

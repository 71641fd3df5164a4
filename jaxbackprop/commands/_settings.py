"""The settings of training as flags: one a field of `Config`."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from jaxbackprop._errors import CannotRun
from jaxbackprop.train import Config, flag, read_settings, refuse_of_other


def add_settings(
    parser: argparse._ActionsContainer,
    names: Collection[str] | None = None,
    *,
    defaults: bool = True,
    of: type = Config,
    shown: Mapping[str, Any] | None = None,
) -> None:
    """Adds the flags.

    Args:
        parser: what to add them to.
        names: of the settings; None for all of them.
        defaults: whether those that no flag says are at their defaults; otherwise, and where all are added,
            they are not there, which is what `given` and `config_of` read.
        of: whose settings.
        shown: defaults that help tells in place of its own.
    """
    for setting in fields(of):
        if names is not None and setting.name not in names:
            continue
        default = setting.default if defaults and names is not None else argparse.SUPPRESS
        meta = setting.metadata
        text = meta["help"]
        if meta["kind"] is bool:
            group = parser.add_mutually_exclusive_group()
            what, tuned = setting.name.replace("_", "-"), setting.name.startswith("tune_")
            off = f"--freeze-{what.removeprefix('tune-')}" if tuned else f"--no-{what}"
            said = "default" if setting.default else f"default: {off}"
            group.add_argument(
                flag(setting.name),
                dest=setting.name,
                action="store_true",
                default=default,
                help=f"{text} ({said})",
            )
            group.add_argument(off, dest=setting.name, action="store_false", default=default)
            continue
        told = setting.default if shown is None else shown.get(setting.name, setting.default)
        if told is not None:
            text = f"{text.partition(' (default:')[0]} (default: {told})"
        parser.add_argument(
            flag(setting.name),
            type=meta["kind"],
            default=default,
            choices=meta["choices"],
            metavar=meta["metavar"] or (None if meta["choices"] else setting.name.rsplit("_", 1)[-1].upper()),
            help=text.replace("%", "%%"),
        )


def given(arguments: argparse.Namespace, names: Collection[str] | None = None) -> dict[str, Any]:
    """The settings that the flags say, of these names or all; those that no flag says are not there."""
    if names is None:
        names = [setting.name for setting in fields(Config)]
    return {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}


def config_of(arguments: argparse.Namespace, file: str | None = None) -> Config:
    """The settings that the flags say; the others are those of a file, or else their defaults.

    Raises:
        CannotRun: where one is out of its range, or the file is not what it should be.
    """
    in_file = {} if file is None else read_settings(file)
    said = in_file | given(arguments)
    try:
        # One at its default is not seen by Config.
        refuse_of_other(said.get("model", "window"), said)
        return Config(**said)
    except ValueError as error:
        whence = "" if file is None else f", with the settings of {file}"
        raise CannotRun(f"{error}{whence}") from None

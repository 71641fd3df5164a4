"""Settings out of a file: of TOML, or a run's own."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from jaxbackprop._errors import CannotRun

from ._config import Config
from ._manifest import SEEDS, read_json
from ._setting import checked

CONFIG = "config.json"


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings of `Config` that a file says; see `settings_in`."""
    return settings_in(path, "train", fields(Config), lambda record: record["settings"], Config)


def settings_in(
    path: str | os.PathLike[str],
    command: str,
    known: Iterable[Field[Any]],
    of_run: Callable[[dict[str, Any]], dict[str, Any]],
    make: Callable[..., Any],
) -> dict[str, Any]:
    """The settings that a file says.

    Args:
        path: a file of TOML with settings by their names (``batch_size = 64``), the ``config.json`` of a run,
            or its folder; that of several seeds will do, too. Paths in TOML start from the working directory,
            as those of flags do.
        command: whose runs these are.
        known: the settings that there are.
        of_run: from the record of a run to its settings by name.
        make: of them by name what they are together, or ValueError.

    Returns:
        Settings by name, each within its range. Of a run those are left out that are what they would be
        without being said, so that they go with what is said instead: another optimizer has its own learning
        rate.

    Raises:
        CannotRun: it cannot be read, is of another command's run, or a setting is unknown, of another type or
            out of its range.
    """
    file = Path(path)
    if file.is_dir():
        file = file / (SEEDS if (file / SEEDS).exists() else CONFIG)
    own = file.suffix == ".json"
    settings = _recorded(file, command, of_run) if own else _of_toml(file)
    by_name = {setting.name: setting for setting in known}
    for name, value in settings.items():
        if name not in by_name:
            close = difflib.get_close_matches(name, by_name, 1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise CannotRun(f"{file}: unknown setting {name}{meant}")
        try:
            settings[name] = checked(by_name[name], value, name)
        except (TypeError, ValueError) as error:
            raise CannotRun(f"{file}: {error}") from None
    return said(settings, make) if own else settings


def _recorded(file: Path, command: str, of_run: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    record = read_json(file)
    if (kind := record.get("kind", "train")) != command:
        raise CannotRun(f"{file} is of a run of jaxbackprop {kind!s:.40}, not {command}")
    try:
        return dict(of_run(record))
    except (KeyError, TypeError, ValueError):
        raise CannotRun(f"{file} is of no run: it holds no settings") from None


def _of_toml(file: Path) -> dict[str, Any]:
    try:
        # A byte order mark, as Windows writes it, is none of TOML's. An error in the last line is told by its
        # number where that line has an end.
        return tomllib.loads(file.read_text(encoding="utf-8-sig") + "\n")
    except OSError as error:
        raise CannotRun(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CannotRun(f"{file} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise CannotRun(f"{file}: {str(error) or type(error).__name__}") from None


def said(settings: dict[str, Any], make: Callable[..., Any] = Config) -> dict[str, Any]:
    """Those of a run's settings that would be others without being said."""

    def whole(settings: dict[str, Any]) -> Any:
        try:
            return make(**settings)
        except ValueError:  # they do not go together, which whoever adds the flags will hear
            return None

    if (wanted := whole(settings)) is None:
        return settings
    for name in tuple(settings):
        rest = {other: value for other, value in settings.items() if other != name}
        if whole(rest) == wanted:
            settings = rest
    return settings

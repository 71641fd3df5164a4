"""Files by a pattern such as `DIR/*.conll`: the shards of one text."""

import glob
import os

from ._errors import DataError


def is_pattern(text: str | os.PathLike[str]) -> bool:
    """Whether a path stands for the files that match it: it has one of `*?[`, and no file is called so."""
    return glob.has_magic(os.fspath(text)) and not os.path.exists(text)


def matching_files(text: str | os.PathLike[str], flag: str) -> list[str]:
    """The files that a path or pattern stands for, in the order of their names.

    Args:
        text: a path, which stands for itself, or a pattern (`*`, `?`, `[...]`, and `**` for folders of any
            depth).
        flag: that said it, for the error.

    Raises:
        DataError: no file matches the pattern.
    """
    name = os.fspath(text)
    if not is_pattern(name):
        return [name]
    found = sorted(path for path in glob.glob(name, recursive=True) if os.path.isfile(path))
    if not found:
        raise DataError(f"{flag} {name}: no file matches this pattern")
    return found

"""Data files inside installed distributions, found without importing them."""

import importlib.metadata
from pathlib import Path

from ._errors import DataError, MissingExtra


def installed_file(distribution: str, path: str, purpose: str) -> Path:
    """Where the file `path` of an installed distribution lies.

    Args:
        distribution: its name on PyPI.
        path: of the file, relative to the folder the distribution is installed in.
        purpose: what it is for, as in 'reading the vectors'.

    Raises:
        MissingExtra: the distribution is not installed.
        DataError: it is installed without this file.
    """
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtra(distribution, purpose) from None
    file = Path(str(found.locate_file(path)))
    if not file.is_file():
        raise DataError(f"{file}: expected this file of {distribution} {found.version}, got none")
    return file

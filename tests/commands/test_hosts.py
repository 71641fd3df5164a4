"""`jaxbackprop train` in several processes on this host: they train as one, stop as one, and end as one."""

import json
import os
import shutil
import signal
import time

import pytest

from tests.commands.process import assert_one_line_error, command, start
from tests.commands.together import (
    await_epoch,
    differences,
    ends,
    free_port,
    open_port,
    together,
    train_together,
)

# Of float32, after some hundred updates.
ROUNDING = 2e-5
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


def status(run):
    return json.loads((run / "status.json").read_text())


@pytest.fixture
def alone(trained):
    """A run of one process."""
    return trained[0]


@pytest.fixture(scope="module")
def stopped(training, tmp_path_factory):
    """A run of two processes of which one was asked to stop: the folder, and what each said."""
    folder = tmp_path_factory.mktemp("stopped")
    with together(2, *training, "--epochs", 6, "--out", folder / "run") as processes:
        await_epoch(folder / "run", 1)
        processes[1].send_signal(signal.SIGTERM)
        return folder / "run", ends(processes)


def copied(run, folder):
    """A copy of a run, to go on with."""
    return shutil.copytree(run, folder / "run")


def test_two_processes_stop_at_the_same_step_and_one_goes_on_to_the_parameters_of_one(
    stopped, alone, tmp_path
):
    run, ((first, out, error), (second, silent, said)) = stopped
    assert (first, second) == (143, 143)
    assert out.count("epoch ") >= 1
    assert silent == ""
    assert error.count("\n") == said.count("\n") == 1
    assert "terminated" in error
    assert status(run)["status"] == "interrupted"
    assert json.loads((run / "config.json").read_text())["mesh"] == "data=2"
    there = copied(run, tmp_path)
    code, out, error = command("train", "--resume", there)
    assert code == 0
    assert "mesh is None but was data=2" in error
    made, again, difference = differences(alone, there)
    assert made == again
    assert difference < ROUNDING


def test_when_process_0_is_killed_the_other_says_so_at_once(training, tmp_path):
    with together(2, *training, "--epochs", 4000, "--out", tmp_path / "run") as processes:
        await_epoch(tmp_path / "run", 1)
        processes[0].kill()
        began = time.monotonic()
        (_, other) = ends(processes, 60)
    assert time.monotonic() - began < 60
    assert_one_line_error(other, "process 0, which coordinates, has died or cannot be reached; go on with: ")


def test_a_port_that_is_taken_is_said():
    listener, port = open_port()
    with listener:
        flags = ("--coordinator", f"127.0.0.1:{port}", "--num-processes", 2, "--process-id", 0)
        assert_one_line_error(command("train", *flags), f"port {port} of this host cannot be used")


def test_a_coordinator_that_is_not_there_is_said_in_time():
    flags = ("--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", 2, "--process-id", 1)
    assert_one_line_error(command("train", *flags, "--join-timeout", 1), "cannot reach .* within 1 s")


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("count", "options", "variables"),
    [
        (2, ("--mesh", "data=2,model=2"), TWO_DEVICES),
        (3, (), None),
    ],
)
def test_several_processes_train_to_the_parameters_of_one(
    count, options, variables, alone, training, tmp_path
):
    run = tmp_path / "run"
    said = train_together(count, *training, *options, "--epochs", 6, "--out", run, variables=variables)
    assert [code for code, _, _ in said] == [0] * count
    assert [error for _, _, error in said] == [""] * count
    assert [out for _, out, _ in said[1:]] == [""] * (count - 1)
    assert said[0][1].count("epoch ") >= 6
    assert status(run)["status"] == "finished"
    made, again, difference = differences(alone, run)
    assert made == again
    assert difference < ROUNDING


@pytest.mark.exhaustive
def test_under_slurm_no_flags_are_needed(alone, training, tmp_path):
    def task(index):
        names = {"NTASKS": 2, "PROCID": index, "LOCALID": index, "JOB_ID": os.getpid()}
        slurm = {f"SLURM_{name}": str(value) for name, value in names.items()}
        variables = {"JAX_PLATFORMS": "cpu", "SLURM_STEP_NODELIST": "localhost", **slurm}
        return start("train", *training, "--epochs", 6, "--out", tmp_path / "run", variables=variables)

    processes = [task(0), task(1)]
    try:
        said = ends(processes)
    finally:
        for process in processes:
            process.kill()
    assert [(code, error) for code, _, error in said] == [(0, ""), (0, "")]
    assert differences(alone, tmp_path / "run")[2] < ROUNDING


@pytest.mark.exhaustive
def test_four_processes_go_on_with_a_run_of_two(stopped, alone, tmp_path):
    there = copied(stopped[0], tmp_path)
    said = train_together(4, "--resume", there)
    assert [code for code, _, _ in said] == [0] * 4
    assert differences(alone, there)[2] < ROUNDING


@pytest.mark.exhaustive
def test_the_others_need_no_run_folder_of_their_own_to_go_on(stopped, alone, training, tmp_path):
    # As on hosts without a common disk: process 1 knows the folder by a name that is nothing there.
    there = copied(stopped[0], tmp_path)
    folders = ["--resume", there], ["--resume", tmp_path / "not here"]
    said = train_together(2, each=lambda index: folders[index])
    assert [code for code, _, _ in said] == [0, 0]
    assert differences(alone, there)[2] < ROUNDING


@pytest.mark.exhaustive
def test_when_one_is_killed_the_others_say_which_and_the_run_has_failed(training, tmp_path):
    run = tmp_path / "run"
    with together(3, *training, "--epochs", 4000, "--out", run) as processes:
        await_epoch(run, 1)
        processes[1].kill()
        began = time.monotonic()
        first, _, third = ends(processes, 60)
    assert time.monotonic() - began < 60
    for said in (first, third):
        assert_one_line_error(said, f"process 1 has died: .*; go on with: jaxbackprop train --resume {run}")
    assert status(run)["status"] == "failed"
    assert "process 1 has died" in status(run)["why"]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--hidden", "--hidden"), "process 1 differs from process 0: --hidden is 9 and not 8"),
        (("--out", "--resume"), "process 1 differs from process 0: --resume is True and not False"),
        (("--seed", "--train"), "process 1 has failed: nowhere: cannot be read"),
    ],
)
def test_processes_that_are_not_started_alike_say_what_differs(flags, message, training, tmp_path):
    values = {"--hidden": (8, 9), "--out": ("run", None), "--resume": (None, "run")}
    each = [(flag, values.get(flag, ("0", "nowhere"))[index]) for index, flag in enumerate(flags)]
    said = train_together(2, *training, "--epochs", 6, cwd=tmp_path, each=lambda index: each[index])
    assert {code for code, _, _ in said} == {2}
    assert_one_line_error(said[0], message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.exhaustive
def test_one_that_evaluates_for_longer_than_gloo_waits_is_waited_for(training, tmp_path):
    slow = (
        "import sys, time; from jaxbackprop.ner._fit import TaggerTraining as T; score = T._evaluate\n"
        "late = [35] if '1' in sys.argv[-1:] else []\n"
        "T._evaluate = lambda self, model: (late and time.sleep(late.pop())) or score(self, model)"
    )
    said = train_together(
        2, *training, "--mesh", "data=1,model=2", "--epochs", 2, "--out", tmp_path / "run", prelude=slow
    )
    assert [code for code, _, _ in said] == [0, 0]

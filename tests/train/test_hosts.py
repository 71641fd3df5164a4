"""What processes that train together tell one another, held on a coordination service of threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.train._agreed_stop import AgreedStop
from jaxbackprop.train._hosts import ALONE, Hosts
from jaxbackprop.train._join import cluster_size, joined
from jaxbackprop.train._watch import HostsError, Watch

_SECONDS = 20


class Service:
    """What jax's client of the coordination service does, for threads of one process."""

    def __init__(self, count):
        self._values, self._changed = {}, threading.Condition()
        self._count, self._barriers = count, {}

    def key_value_set(self, key, value):
        with self._changed:
            if key in self._values:
                raise RuntimeError(f"ALREADY_EXISTS: {key}")
            self._values[key] = value
            self._changed.notify_all()

    def blocking_key_value_get(self, key, milliseconds):
        with self._changed:
            if not self._changed.wait_for(lambda: key in self._values, min(_SECONDS, milliseconds / 1000)):
                raise RuntimeError(f"DEADLINE_EXCEEDED: {key}")
            return self._values[key]

    def wait_at_barrier(self, name, milliseconds):
        with self._changed:
            barrier = self._barriers.setdefault(name, threading.Barrier(self._count))
        barrier.wait(_SECONDS)


def in_each(count, work):
    """Has each of so many processes do some work; what they return, or an error of theirs."""
    service = Service(count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda index: work(Hosts(service, index, count)), range(count)))


def test_all_hear_what_each_and_what_the_first_has_to_say():
    def work(hosts):
        hosts.meet("here")
        return hosts.gather("index", [hosts.index, None]), hosts.share("word", f"of {hosts.index}")

    assert in_each(3, work) == [([[0, None], [1, None], [2, None]], "of 0")] * 3


def test_one_that_is_alone_waits_for_nobody():
    ALONE.meet("here")
    ALONE.part()
    ALONE.agree({"seed": 1})
    assert (ALONE.leads, ALONE.gather("index", 0), ALONE.share("word", {"a": 1})) == (True, [0], {"a": 1})


def test_what_differs_is_named_with_the_process_and_by_all_alike():
    def work(hosts):
        hosts.agree({"--seed": 1, "the data": {"train": "abc"}})
        with pytest.raises(HostsError) as raised:
            hosts.agree({"--seed": 1 if hosts.index < 2 else 3, "the data": None})
        return str(raised.value)

    (said,) = set(in_each(3, work))
    assert said.startswith("process 2 differs from process 0: --seed is 3 and not 1; ")


@given(
    paces=st.lists(st.integers(0, 6), min_size=2, max_size=4),
    signalled=st.integers(0, 3),
    at=st.integers(1, 5),
)
def test_all_stop_at_the_same_step_however_far_ahead_one_is(paces, signalled, at):
    # A process may begin a step when each other one has ended the step that is `pace` before it.
    count, steps = len(paces), [0] * len(paces)
    moved = threading.Condition()

    def work(hosts):
        index = hosts.index
        stop = AgreedStop(hosts._client, "stop", index, count, step=0)
        while True:
            with moved:
                ready = moved.wait_for(lambda: min(steps) >= steps[index] - paces[index], _SECONDS)
                assert ready, "a deadlock"
                steps[index] += 1
                moved.notify_all()
            signal = 15 if index == signalled % count and steps[index] >= at else None
            if stop.due(steps[index], signal):
                stop.close()
                return steps[index], stop.signal

    (end,) = set(in_each(count, work))
    assert end[0] >= at
    assert end[1] == 15


def test_where_no_signal_comes_the_end_of_the_training_is_that_of_the_listening():
    stop = AgreedStop(Service(1), "stop", 0, 1, step=0)
    assert not stop.due(1, None)
    stop.close()
    assert not stop._listener.is_alive()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("host:1", 2, None), "go together: --process-id missing"),
        ((None, 2, 0), "go together: --coordinator missing"),
        ((None, None, 0), "go together: --coordinator and --num-processes missing"),
        ((None, 0, None), "--num-processes must be at least 1, not 0"),
        (("host:1", 2, 2), "--process-id must be from 0 to 1, for --num-processes 2, not 2"),
        (("host:1", 2, -1), "--process-id must be from 0 to 1"),
        (("host", 2, 0), "--coordinator must be HOST:PORT, such as 10.0.0.1:1234, not 'host'"),
        (("host:0", 2, 0), "must be HOST:PORT"),
        (("host:65536", 2, 0), "must be HOST:PORT"),
        ((":1234", 2, 0), "must be HOST:PORT"),
        (("a b:1234", 2, 0), "must be HOST:PORT"),
        (("::1:1234", 2, 0), "must be HOST:PORT"),
    ],
)
def test_flags_that_do_not_fit_are_named(flags, message):
    with pytest.raises(HostsError, match=message), joined(*flags, timeout=1):
        pass


def test_the_cluster_says_how_many_and_a_shell_of_it_is_alone(monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_STEP_NUM_TASKS", "OMPI_MCA_orte_hnp_uri"):
        monkeypatch.delenv(name, raising=False)
    assert cluster_size() == 1
    slurm = {"JOB_ID": "7", "STEP_NODELIST": "node[1-2]", "NTASKS": "8", "PROCID": "3", "LOCALID": "3"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert cluster_size() == 8
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert cluster_size() == 1
    with joined(None, None, None, timeout=1) as hosts:
        assert hosts is ALONE
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    with joined(None, 1, None, timeout=1) as hosts:
        assert hosts is ALONE


def test_open_mpi_says_how_many(monkeypatch):
    monkeypatch.setenv("OMPI_MCA_orte_hnp_uri", "1531576320.0;tcp://10.96.0.1:34911")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    assert cluster_size() == 4


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ValueError("UNKNOWN: Gloo ReduceScatter failed: [buffer.cc:72] Read timeout [::1]:38624\nat"),
            "were not there in time: on CPUs, gloo waits 30 s .*Read timeout .::1.:38624.$",
        ),
        (
            RuntimeError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer [::1]:2475"),
            "have lost touch: UNKNOWN: Gloo all-reduce failed: Connection closed by peer",
        ),
    ],
)
def test_a_collective_that_fails_while_all_live_is_explained(error, message, monkeypatch):
    monkeypatch.setattr("jaxbackprop.train._watch.time.sleep", lambda seconds: None)
    with pytest.raises(HostsError, match=message), quiet_watch().explained():
        raise error


def test_other_errors_are_left_as_they_are():
    with pytest.raises(ValueError, match="shapes differ"), quiet_watch().explained():
        raise ValueError("shapes differ")


def quiet_watch():
    """A watch over nobody, whose threads have ended."""
    return Watch(None, 0, 2)

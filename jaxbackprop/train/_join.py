"""How a process joins those that it trains with, by flags or as the cluster says: jax.distributed does it."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

from jaxbackprop._errors import CannotRun
from jaxbackprop._signals import ASKING, Stopped

from ._connect import connect, quiet_xla
from ._hosts import ALONE, Hosts, interruptible, set_current
from ._watch import HostsError, note_joined

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(\d{1,5})")
# What only processes have that Slurm or Open MPI has started.
_STARTED_BY = ("SLURM_STEP_NODELIST", "OMPI_MCA_orte_hnp_uri")
_FLAGS = ("--coordinator", "--num-processes", "--process-id")


@contextlib.contextmanager
def joined(
    coordinator: str | None, num_processes: int | None, process_id: int | None, *, timeout: int
) -> Iterator[Hosts]:
    """Joins the processes that train together, and leaves them in the end.

    Without arguments jax's own detection is asked: under Slurm and Open MPI and on a TPU pod a process of
    several joins the others. It must be called before anything of jax is.

    Where another process dies or fails while this context is entered, this one ends with status 2 and says
    which it was; where one is stopped by a signal, it ends likewise.

    Args:
        coordinator: HOST:PORT of process 0.
        num_processes: how many there are; 1 alone, without the other two, asks no cluster.
        process_id: of this one, from 0.
        timeout: seconds that processes wait for one another in the beginning.

    Raises:
        HostsError: the arguments do not fit, or the processes have not come together in time.
    """
    _refuse_arguments(coordinator, num_processes, process_id, timeout)
    if num_processes == 1 or (num_processes is None and cluster_size() == 1):
        yield ALONE
        return
    hosts, watch = connect(coordinator, num_processes, process_id, timeout)
    try:
        # Before they read data: the processes wait two minutes for one another's devices.
        import jax

        with hosts.explained():
            interruptible(jax.devices)
            yield hosts
            hosts.part()
    except BaseException as error:
        watch.leave(*_reason(error, hosts.index))
        raise
    set_current(None)
    note_joined(0)


def _refuse_arguments(
    coordinator: str | None, num_processes: int | None, process_id: int | None, timeout: int
) -> None:
    given = (coordinator, num_processes, process_id)
    missing = [flag for flag, value in zip(_FLAGS, given, strict=True) if value is None]
    if timeout < 1:
        raise HostsError(f"--join-timeout must be at least 1, not {timeout}")
    if num_processes is not None and num_processes < 1:
        raise HostsError(f"--num-processes must be at least 1, not {num_processes}")
    if len(missing) == 3 or (num_processes == 1 and len(missing) == 2):
        return
    if missing:
        raise HostsError(f"{', '.join(_FLAGS)} go together: {' and '.join(missing)} missing")
    assert coordinator is not None
    assert num_processes is not None
    assert process_id is not None
    found = _ADDRESS.fullmatch(coordinator)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise HostsError(f"--coordinator must be HOST:PORT, such as 10.0.0.1:1234, not {coordinator!r}")
    if not 0 <= process_id < num_processes:
        raise HostsError(
            f"--process-id must be from 0 to {num_processes - 1}, for --num-processes {num_processes},"
            f" not {process_id}"
        )


def cluster_size() -> int:
    """How many processes the cluster has started as one; 1 where there is no cluster."""
    # A shell in an allocation of many tasks is one task alone, which jax does not look at.
    if os.environ.get("SLURM_STEP_NUM_TASKS") == "1":
        return 1
    if any(name in os.environ for name in _STARTED_BY) or find_spec("libtpu") is not None:
        quiet_xla()
    try:
        from jax._src.clusters import ClusterEnv

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for cluster in ClusterEnv._cluster_types:
                if not cluster.opt_in_only_method and cluster.is_env_present():
                    return int(cluster.get_process_count())
    except Exception:  # what cannot be asked has not started several
        return 1
    return 1


def _reason(error: BaseException, index: int) -> tuple[str, int]:
    """What the other processes are told of why this one ends, and their exit status."""
    if isinstance(error, HostsError):
        return str(error), 2
    if isinstance(error, KeyboardInterrupt):
        number = error.number if isinstance(error, Stopped) else Stopped.number
        return f"process {index} was {ASKING[number]}", 128 + number
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        said = f"{error.filename}: {error.strerror or error}"
    elif isinstance(error, CannotRun | FloatingPointError | OSError):
        said = str(error)
    return f"process {index} has failed: {said}", 2

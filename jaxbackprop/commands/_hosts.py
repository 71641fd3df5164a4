"""The flags of a process that trains together with others, and how it joins them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._devices import refuse_missing_device

if TYPE_CHECKING:
    from jaxbackprop.train import Hosts


def add_hosts(parser: argparse.ArgumentParser) -> None:
    """The flags of a process that trains together with others."""
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="train together with other processes: where process 0 is to be reached, at a port that is free"
        " (found by itself under Slurm and Open MPI and on a TPU pod, with the two flags below)",
    )
    parser.add_argument(
        "--num-processes",
        type=int,
        metavar="N",
        help="how many processes train together; 1 trains alone, whatever the cluster says",
    )
    parser.add_argument(
        "--process-id", type=int, metavar="I", help="which of them this is, from 0; 0 alone writes and prints"
    )
    parser.add_argument(
        "--join-timeout",
        type=int,
        default=120,
        metavar="SECONDS",
        help="how long they wait for one another to start (default: %(default)s)",
    )


@contextlib.contextmanager
def joined_hosts(arguments: argparse.Namespace) -> Iterator[Hosts]:
    """Joins the processes that the flags of `add_hosts` name; see `jaxbackprop.train.joined`."""
    from jaxbackprop.train import joined

    with joined(
        arguments.coordinator,
        arguments.num_processes,
        arguments.process_id,
        timeout=arguments.join_timeout,
    ) as hosts:
        refuse_missing_device()
        yield hosts


def no_warning(message: str) -> None:
    """Says nothing: process 0 does."""

"""The flags of a process that trains together with others, and how it joins them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jaxbackprop._errors import CannotRun

from ._devices import refuse_missing_device
from ._output import make_console, warn

if TYPE_CHECKING:
    from jaxbackprop.train import Hosts, Reporting


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
        default=50,
        metavar="SECONDS",
        help="how long they wait for one another to start (default: %(default)s)",
    )


@contextlib.contextmanager
def joined_hosts(arguments: argparse.Namespace) -> Iterator[tuple[Hosts, Reporting]]:
    """Joins the processes that the flags of `add_hosts` name; see `jaxbackprop.train.joined`.

    Args:
        arguments: with these flags, and --resume, --seeds, --tensorboard and --no-compilation-cache.

    Yields:
        The processes, and how this one reports: but for process 0, to nobody.

    Raises:
        CannotRun: several are to train with several seeds.
    """
    from jaxbackprop.train import joined

    with joined(
        arguments.coordinator,
        arguments.num_processes,
        arguments.process_id,
        timeout=arguments.join_timeout,
    ) as hosts:
        refuse_missing_device()
        # Before they wait for one another in places that the others do not come to.
        hosts.agree({"the command": arguments.command, "--resume": arguments.resume is not None})
        if arguments.seeds is not None and hosts.count > 1:
            raise CannotRun("--seeds is for one process alone: start several with a --seed each instead")

        from jaxbackprop.train import Reporting, use_compilation_cache

        from ._train_explained import first_bad_node

        say = warn if hosts.leads else _say_nothing
        if not arguments.no_compilation_cache:
            use_compilation_cache(say)
        console = make_console()
        console.quiet = not hosts.leads
        yield hosts, Reporting(console, say, first_bad_node, arguments.tensorboard)


def _say_nothing(message: str) -> None:
    """Where process 0 says it."""


def look_at_model(arguments: argparse.Namespace, model: str) -> None:
    """Refuses a BERT's folder at once, where it is nothing to load, before jax is imported.

    Where several processes train together they all hear of it later.

    Args:
        arguments: with the flags of `add_hosts`.
        model: an asset, or the folder.

    Raises:
        DataError, MissingExtra, CannotRun: see `jaxbackprop.models.load_bert`.
    """
    if arguments.coordinator is None:
        from jaxbackprop.finetune import MINI, locate
        from jaxbackprop.pretrained import look_at_bert

        look_at_bert(locate(model, MINI))

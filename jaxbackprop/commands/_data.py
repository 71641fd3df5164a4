"""`jaxbackprop data`."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import refuse_unwritable, write_json

from ._options import Commands, add_command, add_json
from ._output import warn
from ._settings import add_settings

if TYPE_CHECKING:
    from jaxbackprop.data import FileSurvey, Survey

_WIDTH, _NUMBER = 40, 8
# Files beside each other in a table, and places of each kind that are shown.
_ABREAST, _PLACES = 3, 5


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "look at files of tagged sentences before training on them"
    parser = add_command(commands, "data", text, run)
    parser.add_argument("files", metavar="FILE", nargs="+", help="training first, then others of the corpus")
    add_settings(parser, ("columns", "scheme", "task", "vectors"))
    add_json(parser, "all of it, every line number included,")


def run(arguments: argparse.Namespace) -> int:
    """Prints what the files hold."""
    if arguments.scheme is not None and arguments.task == "tags":
        raise CannotRun("--scheme is of entities: --task tags has none")
    if not arguments.vectors:
        raise CannotRun("--vectors must be random, glove or a file, not empty")
    if arguments.json is not None:
        refuse_unwritable(arguments.json)

    from jaxbackprop.data import MissingExtra, load_vectors, survey

    vectors = None
    if arguments.vectors != "random":
        try:
            vectors = load_vectors(arguments.vectors)
        except MissingExtra as error:
            warn(f"words without a vector are not counted: {error}")
    found = survey(
        arguments.files,
        columns=arguments.columns,
        scheme=arguments.scheme,
        task=arguments.task,
        vectors=vectors,
    )
    for line in report(found, arguments.task):
        print(line)
    if arguments.json is not None:
        write_json(arguments.json, {"task": arguments.task, **asdict(found)})
    return 0


def report(found: Survey, task: str) -> Iterator[str]:
    """What was found, in lines of 40 columns but for the paths of the files."""
    for number, file in enumerate(found.files, start=1):
        yield f"{number}  {file.path}"
        yield f"   columns {file.columns}"
    if found.scheme is not None:
        yield f"scheme {found.scheme}"
    for begin in range(0, len(found.files), _ABREAST):
        yield ""
        yield from _table(found, task, range(begin, min(begin + _ABREAST, len(found.files))))
    places = [
        f"{shared.second + 1}:{second} = {shared.first + 1}:{first}"
        for shared in found.shared
        for first, second in shared.lines
    ]
    yield from _places("sentences of two files (file:line)", places)
    places = [
        f"{at}:{line} {what}" for at, file in enumerate(found.files, 1) for line, what in file.impossible
    ]
    yield from _places("impossible sequences (file:line)", places)


def _table(found: Survey, task: str, shown: range) -> Iterator[str]:
    files = [found.files[at] for at in shown]

    def row(label: str, cells: Sequence[str]) -> Iterator[str]:
        room = _WIDTH - _NUMBER * len(cells)
        if len(label) > room:
            yield label
            label = ""
        yield label.ljust(room) + "".join(cell.rjust(_NUMBER) for cell in cells)

    def count(label: str, of: Callable[[FileSurvey], int]) -> Iterator[str]:
        yield from row(label, [_count(of(file)) for file in files])

    yield from row("", [str(at + 1) for at in shown])
    yield from count("sentences", lambda file: file.sentences)
    for first in range(shown[-1]):
        lines = {shared.second: len(shared.lines) for shared in found.shared if shared.first == first}
        cells = [_count(lines.get(at, 0)) if at > first else "-" for at in shown]
        yield from row(f"  in {first + 1} too", cells)
    yield from count("words", lambda file: file.words)
    if files[0].without_vector is not None:
        yield from row("  no vector", [f"{file.without_vector:.1%}" for file in files])
    if task == "spans":
        yield from count("impossible", lambda file: len(file.impossible))
        yield from count("entities", lambda file: sum(file.tags.values()))
    else:
        yield from count("tags", lambda file: len(file.tags))
    names = dict.fromkeys(name for file in found.files for name in file.tags)
    for name in names:
        yield from row(f"  {name}", [_count(file.tags.get(name, 0)) for file in files])


def _count(number: int) -> str:
    # From a million on the commas would fill the room between two columns.
    return f"{number:,}" if number < 1_000_000 else str(number)


def _places(title: str, places: Sequence[str]) -> Iterator[str]:
    if not places:
        return
    yield ""
    yield title
    for place in places[:_PLACES]:
        yield from textwrap.wrap(
            place, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )
    if len(places) > _PLACES:
        yield f"  and {_count(len(places) - _PLACES)} more"

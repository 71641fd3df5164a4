"""`jaxbackprop evaluate`."""

from __future__ import annotations

import argparse
import json

from jaxbackprop._output import print_whole, refuse_files, write_text

from ._options import Commands, add_command, add_json
from ._output import make_console, warn
from ._settings import add_settings

_EPILOG = "With --errors - or --json - that is what standard output gets, and no tables."


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "score a trained model on a file of tagged, or labelled, sentences"
    parser = add_command(commands, "evaluate", text, run, _EPILOG)
    parser.add_argument("run_folder", metavar="RUN", help="a run folder")
    parser.add_argument("file", metavar="FILE", help="tagged sentences, CoNLL style; or labelled ones")
    parser.add_argument(
        "--errors",
        metavar="FILE",
        help="write each missed, spurious or wrong entity to FILE, one a line, in columns apart by tabs; the "
        "last is the sentence with [true entity] and {predicted entity}",
    )
    add_json(parser, "scores, confusion table and errors")
    add_settings(
        parser.add_argument_group("how FILE is read, if not as the run's own files"), ("columns", "scheme")
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the scores and the confusion table, and writes the files that were asked for."""
    refuse_files([("--errors", arguments.errors), ("--json", arguments.json)])

    from jaxbackprop.train import kind_of_run

    if kind_of_run(arguments.run_folder) == "finetune":
        from ._classifier import evaluate_classifier

        return evaluate_classifier(arguments)
    from jaxbackprop.ner import evaluate, load_tagger

    tagger = load_tagger(arguments.run_folder, warn)
    sentences = tagger.read(arguments.file, warn, columns=arguments.columns, scheme=arguments.scheme)
    found = evaluate(tagger, sentences)
    figures = json.dumps(found.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    _write("--errors", arguments.errors, found.errors_text())
    _write("--json", arguments.json, figures + "\n")
    if "-" in (arguments.errors, arguments.json):
        return 0
    console = make_console()
    print_whole(console, found.scores.table(ruled=console.is_terminal), highlight=True)
    console.print()
    console.print(f"true {found.label}s down, predicted across:")
    print_whole(console, found.confusion.table(ruled=console.is_terminal), highlight=True)
    console.print()
    console.print(found.summary())
    return 0


def _write(flag: str, path: str | None, text: str) -> None:
    if path == "-":
        print(text, end="")
    elif path is not None:
        write_text(path, text, flag)

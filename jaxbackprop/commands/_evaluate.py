"""`jaxbackprop evaluate`."""

from __future__ import annotations

import argparse

from jaxbackprop._output import print_whole

from ._options import Commands, add_command
from ._output import make_console, warn
from ._settings import add_settings


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    parser = add_command(commands, "evaluate", "score a trained model on a file of tagged sentences", run)
    parser.add_argument("run_folder", metavar="RUN", help="a run folder")
    parser.add_argument("file", metavar="FILE", help="tagged sentences, CoNLL style")
    add_settings(
        parser.add_argument_group("how FILE is read, if not as the run's own files"), ("columns", "scheme")
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the scores."""
    from jaxbackprop.ner import load_tagger

    tagger = load_tagger(arguments.run_folder, warn)
    sentences = tagger.read(arguments.file, warn, columns=arguments.columns, scheme=arguments.scheme)
    scores = tagger.evaluate(sentences)
    console = make_console()
    print_whole(console, scores.table(ruled=console.is_terminal), highlight=True)
    return 0

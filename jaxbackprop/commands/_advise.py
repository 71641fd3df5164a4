"""`jaxbackprop advise`."""

from __future__ import annotations

import argparse
import itertools
import textwrap

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import refuse_files, write_json

from ._bar import JobBar
from ._options import Commands, add_command, add_json
from ._output import make_console, warn
from ._settings import add_settings, config_of
from ._tagged_text import REGIMES_HELP, SETTINGS, pretrained

_LABEL = 15
_QUADRANT = """\
the lecture's rule of thumb, by words and by similarity to the text of the vectors:
                                similar                     dissimilar
  1,000,000 words or more       classifier and last layers  retrain all, from the pretrained vectors
  fewer (below 100,000 surely)  new classifier only         augment the data
  100 million or more           train from scratch
The slide says that training many layers on few dissimilar data underfits; it overfits.
"""
# Stands in the command for a file that is not named.
_DEV = "DEV"
_LOOKED_AT = 50


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "say what to train on a text: the lecture's rule of thumb, held against a quick trial"
    parser = add_command(commands, "advise", text, run, f"{_QUADRANT}\n{REGIMES_HELP}")
    parser.add_argument("--train", metavar="FILE", help="training sentences, CoNLL style (default: built-in)")
    parser.add_argument(
        "--dev", metavar="FILE", help=f"named in the command that is advised (default: the word {_DEV})"
    )
    add_settings(parser, SETTINGS)
    add_json(parser, "the evidence and the advice")


def run(arguments: argparse.Namespace) -> int:
    """Prints the evidence, the verdict and the command."""
    if arguments.train is not None and arguments.dev is None:
        arguments.dev = _DEV
    config = config_of(arguments)
    refuse_files([("--json", arguments.json)])

    if arguments.train is not None:
        _refuse_labelled(arguments.train)

    from jaxbackprop.data import default_corpus, read_conll
    from jaxbackprop.train import use_compilation_cache
    from jaxbackprop.transfer import advise

    use_compilation_cache(warn)
    vectors = pretrained(config)
    if config.train is None:
        corpus = default_corpus()
        name, sentences = corpus.name, corpus.train
    else:
        name = config.train
        sentences = read_conll(name, columns=config.columns, scheme=config.scheme)
    console = make_console()
    with JobBar(console) as bar:
        bar.show("trial of random, frozen and tuned vectors")
        found = advise(name, sentences, vectors, config=config, begin=bar.begin, say=bar.done)
    for label, said in found.lines():
        if label == "command":
            if config.dev == _DEV:
                console.print(
                    f"{'note':{_LABEL}}{_DEV} in the command stands for development sentences: see --dev"
                )
            # Whole, to be copied.
            console.print(label.ljust(_LABEL) + said, soft_wrap=True)
            continue
        for line in textwrap.wrap(said, max(min(console.width, 110) - _LABEL, 20), break_on_hyphens=False):
            console.print(label.ljust(_LABEL) + line, soft_wrap=True)
            label = ""
    if arguments.json is not None:
        write_json(arguments.json, found.to_dict())
    return 0


def _refuse_labelled(path: str) -> None:
    """Refuses a table of sentences and labels, of which one column would be read as words."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = [line.split("\t") for line in itertools.islice(file, _LOOKED_AT) if line.strip()]
    except (OSError, UnicodeDecodeError):
        return  # which whoever reads it says
    if 2 * sum(len(row) > 1 and any(" " in cell.strip() for cell in row) for row in rows) > len(rows):
        raise CannotRun(
            f"--train {path} holds sentences and labels, not words and tags: advise is for taggers; "
            f"jaxbackprop finetune --data {path} --freeze bert, or without, is the same choice for sentences"
        )

"""`jaxbackprop pitfall`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import print_whole, refuse_files, write_json, write_whole

from ._bar import JobBar
from ._options import Commands, add_command, add_json
from ._output import make_console, warn
from ._settings import add_settings, config_of
from ._tagged_text import REGIMES_HELP, SETTINGS, pretrained

if TYPE_CHECKING:
    from rich.table import Table

    from jaxbackprop.transfer import Pitfall

_SEEDS = 5
_SCORES, _SYNONYMS = "pitfall.png", "synonyms.png"
_TABLES = (
    ("token F1", "unseen", "token F1 on words not seen in training"),
    ("token F1", "seen", "token F1 on words seen in training"),
    ("token F1", "all", "token F1 on all words"),
    ("entity F1", "unseen", "entity F1, entities with a word not seen in training"),
    ("entity F1", "seen", "entity F1, entities of words seen in training"),
    ("entity F1", "all", "entity F1, all entities"),
)


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "measure the pitfall of retraining word vectors: what tuning does to words seen and not seen"
    parser = add_command(commands, "pitfall", text, run, REGIMES_HELP)
    add_settings(parser, ("train", "dev", *SETTINGS))
    parser.add_argument(
        "--seeds", type=int, default=_SEEDS, metavar="N", help="runs of each setting (default: %(default)s)"
    )
    parser.add_argument(
        "--out", metavar="DIR", help=f"a folder for {_SCORES} and {_SYNONYMS}; made if need be"
    )
    add_json(parser, "all figures")


def run(arguments: argparse.Namespace) -> int:
    """Prints scores by training size, what tuning does to near-synonyms, and the verdicts."""
    if arguments.seeds < 2:
        raise CannotRun(f"--seeds must be at least 2, for intervals, not {arguments.seeds}")
    config = config_of(arguments)
    refuse_files([("--json", arguments.json)])
    if arguments.out is not None and Path(arguments.out).is_file():
        raise NotADirectoryError(f"--out {arguments.out}: it is a file")

    from jaxbackprop.data import compare_tags, default_corpus, read_corpus
    from jaxbackprop.train import use_compilation_cache
    from jaxbackprop.transfer import (
        WHY,
        draw_pitfall,
        draw_synonyms,
        measure_pitfall,
        measure_synonyms,
        synonyms_text,
        tags_of,
        verdict,
    )

    use_compilation_cache(warn)
    vectors = pretrained(config)
    if config.train is None:
        corpus = default_corpus()
        # Nothing is chosen by either, so both can be scored.
        judged = corpus.dev + corpus.test
    else:
        assert config.dev is not None  # Config has seen to it
        corpus = read_corpus(config.train, config.dev, columns=config.columns, scheme=config.scheme)
        judged = corpus.dev
        compare_tags(tags_of(corpus.train, config.train), judged, name=config.dev, task="spans", warn=warn)
    if arguments.out is not None:
        # Now that all is read, and before minutes are spent.
        Path(arguments.out).mkdir(parents=True, exist_ok=True)
    console = make_console()
    how = {"config": config, "seeds": arguments.seeds}
    with JobBar(console) as bar:
        moved, missing = measure_synonyms(corpus.name, corpus.train, vectors, **how, say=bar.show)
        found = measure_pitfall(
            corpus.name, corpus.train, judged, vectors, **how, begin=bar.begin, say=bar.done
        )
    for measure, part, title in _TABLES:
        console.print(title)
        print_whole(console, _table(found, measure, part, ruled=console.is_terminal))
        console.print()
    for line in verdict(found):
        console.print(line)
    console.print()
    console.print(WHY)
    for line in synonyms_text(moved):
        console.print(line)
    for third, why in missing.items():
        console.print(f"{third}: not measured: {why}")
    if arguments.out is not None:
        figures = {_SCORES: draw_pitfall(found)} | ({_SYNONYMS: draw_synonyms(moved)} if moved else {})
        for name, figure in figures.items():
            path = str(Path(arguments.out) / name)
            write_whole(path, figure.savefig, "--out")
            console.print(f"wrote {path}", soft_wrap=True)
    if arguments.json is not None:
        groups = {"why": WHY, "measured": [each.to_dict() for each in moved], "not measured": missing}
        write_json(
            arguments.json, {**found.to_dict(), "verdict": list(verdict(found)), "near-synonyms": groups}
        )
    return 0


def _table(found: Pitfall, measure: str, part: str, *, ruled: bool) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from jaxbackprop.transfer import KINDS

    table = Table(box=SIMPLE_HEAD if ruled else None, pad_edge=False)
    for title in ("sentences", "words", *KINDS, "tuned - frozen, 95%"):
        table.add_column(title, justify="right", no_wrap=True)
    for size, words in zip(found.sizes, found.words, strict=True):
        means = (f"{found.mean(kind, size, measure, part):.3f}" for kind in KINDS)
        table.add_row(f"{size:,}", f"{words:,}", *means, str(found.gain(size, measure, part)))
    return table

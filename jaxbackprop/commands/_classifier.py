"""What `evaluate` and `predict` do with the run folder of a fine-tuned classifier."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import print_whole, write_text

from ._output import make_console, warn
from ._standard_input import waiting_lines

if TYPE_CHECKING:
    from jaxbackprop.data import Labelled


def evaluate_classifier(arguments: argparse.Namespace) -> int:
    """Prints accuracy, scores and confusion table, and writes the files that were asked for."""
    from jaxbackprop.data import read_labelled
    from jaxbackprop.finetune import load_classifier
    from jaxbackprop.train import confusion

    if arguments.scheme is not None:
        raise CannotRun("--scheme is of entities: this run's sentences have a label each")
    classifier = load_classifier(arguments.run_folder, warn)
    columns = arguments.columns or classifier.settings.own.columns
    rows = read_labelled(arguments.file, columns)
    scores, predicted = classifier.evaluate(rows)
    table = confusion((row.label, one.label) for row, one in zip(rows, predicted, strict=True))
    wrong = [(row, one) for row, one in zip(rows, predicted, strict=True) if row.label != one.label]
    lines = ["true\tpredicted\tprobability\tsentence"]
    lines += [f"{row.label}\t{one.label}\t{max(one.probabilities):.4f}\t{_text(row)}" for row, one in wrong]
    figures = {
        "scores": scores.to_dict(),
        "confusion": table.to_dict(),
        "errors": [
            {"true": row.label, "predicted": one.label, "sentence": row.sentence, "pair": row.pair}
            for row, one in wrong
        ],
    }
    as_json = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for flag, path, text in (
        ("--errors", arguments.errors, "\n".join(lines) + "\n"),
        ("--json", arguments.json, as_json),
    ):
        if path == "-":
            print(text, end="")
        elif path is not None:
            write_text(path, text, flag)
    if "-" in (arguments.errors, arguments.json):
        return 0
    console = make_console()
    print_whole(console, scores.table(ruled=console.is_terminal), highlight=True)
    console.print()
    console.print("true labels down, predicted across:")
    print_whole(console, table.table(ruled=console.is_terminal), highlight=True)
    return 0


def predict_labels(arguments: argparse.Namespace) -> int:
    """Answers each line of text with its label; of pairs, a line has both, apart by a tab."""
    from jaxbackprop.finetune import load_classifier

    if arguments.pretokenized:
        raise CannotRun("--pretokenized is of words: this run's sentences have a label each")
    classifier = load_classifier(arguments.run_folder, warn)
    batches: Iterable[list[str]] = (
        waiting_lines(sys.stdin.fileno()) if arguments.text is None else [arguments.text.split("\n")]
    )
    any_text = False
    for lines in batches:
        any_text = any_text or any(line.strip() for line in lines)
        sentences, pairs = lines, None
        if classifier.in_pairs:
            if any("\t" not in line for line in lines):
                raise CannotRun("this run's sentences come in pairs: a line has both, apart by a tab")
            parted = [line.split("\t", 1) for line in lines]
            sentences, pairs = [first for first, _ in parted], [second for _, second in parted]
        for line, one in zip(lines, classifier.predict(sentences, pairs), strict=True):
            if arguments.json:
                shares = dict(zip(classifier.labels, map(float, one.probabilities), strict=True))
                found = {"text": line, "label": one.label, "probabilities": shares}
                print(json.dumps(found, ensure_ascii=False))
            else:
                print(f"{one.label}\t{max(one.probabilities):.4f}\t{line}")
        sys.stdout.flush()
    if not any_text:
        raise CannotRun("standard input holds no text")
    return 0


def _text(row: Labelled) -> str:
    return row.sentence if row.pair is None else f"{row.sentence}\t{row.pair}"

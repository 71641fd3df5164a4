"""`jaxbackprop predict`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence

from jaxbackprop._errors import CannotRun
from jaxbackprop.train import encodes

from ._options import Commands, add_command
from ._output import warn
from ._standard_input import waiting_lines


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    parser = add_command(
        commands, "predict", "mark the entities or tags in text, or label it, one sentence a line", run
    )
    parser.add_argument("run_folder", metavar="RUN", help="a run folder")
    parser.add_argument("--text", help="the sentence (default: one a line from standard input)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--pretokenized", action="store_true", help="ASCII white space separates the words: split nothing off"
    )


def run(arguments: argparse.Namespace) -> int:
    """Answers each line of text with one."""
    if arguments.text is not None:
        if not arguments.text.strip():
            raise CannotRun("--text is empty")
        if not encodes(arguments.text):
            raise CannotRun("--text is not UTF-8")
    from jaxbackprop.train import kind_of_run

    if kind_of_run(arguments.run_folder) == "finetune":
        from ._classifier import predict_labels

        return predict_labels(arguments)
    from jaxbackprop.ner import load_tagger, marked, split_at_spaces, tokenize
    from jaxbackprop.train import entities

    tagger = load_tagger(arguments.run_folder, warn)
    cut = split_at_spaces if arguments.pretokenized else tokenize
    batches: Iterable[list[str]] = (
        waiting_lines(sys.stdin.fileno()) if arguments.text is None else [arguments.text.split("\n")]
    )
    any_word = False
    for lines in batches:
        sentences = [cut(line) for line in lines]
        any_word = any_word or any(sentences)
        for words, tags in zip(sentences, tagger.tag(sentences), strict=True):
            if tagger.config.task == "tags":
                tagged = " ".join(f"{word}/{tag}" for word, tag in zip(words, tags, strict=True))
                as_json = json.dumps({"words": words, "tags": tags}, ensure_ascii=False)
                print(as_json if arguments.json else tagged)
                continue
            found = entities(tags)
            print(_as_json(words, tags, found) if arguments.json else marked(words, found))
        sys.stdout.flush()
    if not any_word:
        raise CannotRun("standard input holds no word")
    return 0


def _as_json(words: Sequence[str], tags: Sequence[str], found: Sequence[tuple[str, int, int]]) -> str:
    spans = [
        {"type": kind, "start": begin, "end": end, "text": " ".join(words[begin:end])}
        for kind, begin, end in found
    ]
    return json.dumps({"words": list(words), "tags": list(tags), "entities": spans}, ensure_ascii=False)

"""What commands share: how one is added, flags that several have, and what help says of those."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import TypeAlias

from jaxbackprop._errors import CannotRun

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

# How arguments are written, and what that means.
FORMS = (
    (("f32[4,5]", "f32[]"), "an array of a dtype and shape; f32[] is a scalar"),
    (("i32[4]<10", "i32[4] in [-2,3)"), "integers from 0 to 9, from -2 to 2; 0 or 1 without a range"),
    (("f32[4]>0", "f32[4]<=1", "f32[4] positive"), "the numbers beyond a bound"),
    (("f32[3,4] in (0,1)",), "an interval"),
    (("f32[3,4] simplex",), "positive, summing to 1 along the last axis"),
    (("f32[4] fixed", "i32[4]<10 fixed"), "kept as drawn; others are also redrawn within their range"),
    (("key", "key(7)"), "a random key, drawn or of a seed"),
    (("3", "0.5", "None", "True", "'text'"), "a setting, as it stands"),
    (("(3,3)", "[f32[2], f32[2]]", "{'W': f32[3,4]}"), "containers of them"),
    (("axis=-1",), "a keyword"),
)
ARGUMENTS_HELP = "\n".join(
    (
        "arguments (--arg, once for each, in order):",
        *(f"  {'  '.join(forms):<45}  {meaning}" for forms, meaning in FORMS),
        "  dtypes: f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool",
    )
)
WITHOUT_ARGUMENTS_HELP = """\
Without --arg a function gets its arguments from its module's CHECK_ARGUMENTS, the first there, or
else from its annotations. The current directory can be imported from."""


def examples_help(lines: Iterable[str]) -> str:
    """Examples as the end of help shows them."""
    return "\n".join(("examples:", *(f"  {line}" for line in lines)))


def add_command(
    commands: Commands,
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    """Adds a command.

    Args:
        commands: what to add it to.
        name: of the command.
        text: what it does, in one line.
        run: from its arguments to the exit status.
        epilog: what stands below its flags, line for line.
    """
    as_written = argparse.HelpFormatter if epilog is None else argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=as_written, allow_abbrev=False
    )
    parser.set_defaults(run=run)
    return parser


def add_arg(parser: argparse.ArgumentParser) -> None:
    """--arg, once for each argument of a function."""
    parser.add_argument("--arg", action="append", metavar="TEXT", help="an argument, such as 'f32[4,5]'")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed; `refuse_negative_seed` is for whoever reads it."""
    parser.add_argument("--seed", type=int, default=0, help="of all draws (default: %(default)s)")


def refuse_negative_seed(arguments: argparse.Namespace) -> None:
    """Looks at --seed.

    Raises:
        CannotRun: where it is below 0.
    """
    if arguments.seed < 0:
        raise CannotRun(f"--seed must be at least 0, not {arguments.seed}")


def add_effort(parser: argparse.ArgumentParser, text: str, default: str | None = None) -> None:
    """--effort, quick or thorough."""
    parser.add_argument("--effort", choices=("quick", "thorough"), default=default, help=text)


def add_json(parser: argparse.ArgumentParser, what: str, default: str | None = None) -> None:
    """--json, a file for what is found."""
    parser.add_argument("--json", default=default, metavar="FILE", help=f"write {what} to FILE")

"""Run as a process of its own: does `tokenizers` load a file, and encode with it, without coming to grief?

A file can make the library panic, or take memory and time without end; this process then ends, and no other.
"""

import contextlib
import sys

# The library would import it when memory has become scarce, and then wait for more.
import numpy  # noqa: F401

_BYTES, _SECONDS = 150 << 20, 1


def main(path: str) -> int:
    """0 where the file works; the reason it does not is the last line on standard error."""
    _limit()
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(path)
        tokenizer.no_padding()
        tokenizer.enable_truncation(16)
        tokenizer.encode("A sentence, 한국어 문장.", "and a second")
        tokenizer.encode(["Words", "of", "one"], is_pretokenized=True)
        tokenizer.get_vocab_size()
    except BaseException as error:  # a panic is no Exception
        print(" ".join(str(error).split())[:200], file=sys.stderr)
        return 1
    return 0


def _limit() -> None:
    """Bounds memory and time, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for what, soft, hard in (
        # Memory that is written to; the address space as such costs nothing.
        (resource.RLIMIT_DATA, _BYTES, _BYTES),
        (resource.RLIMIT_CPU, _SECONDS, _SECONDS + 1),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (soft, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

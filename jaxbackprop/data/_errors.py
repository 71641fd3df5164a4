"""The two ways in which data can fail to arrive."""

from jaxbackprop._errors import CannotRun


class DataError(CannotRun, ValueError):
    """A file does not hold what it should.

    The message is one line, `FILE:LINE: what was expected, what came` where there is a line to name.
    """


class MissingExtra(CannotRun, RuntimeError):
    """An optional dependency is not installed. The message says which, and the command that installs it."""

    def __init__(self, package: str, purpose: str, extra: str = "ner") -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'jaxbackprop[{extra}]'")

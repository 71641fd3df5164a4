"""The command line: one file a command, its flags and its handler together."""

from ._main import main as main

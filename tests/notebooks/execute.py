"""Runs a notebook's source; as a script, writes the .ipynb beside it.

    python -m tests.notebooks.execute notebooks/NAME.py ...

Nothing in the file depends on when it was written: cells are numbered and no times are recorded.
"""

import os
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

SECONDS_A_CELL = 120


def execute(source: Path, folder: Path) -> nbformat.NotebookNode:
    """Runs the source with `folder` as working directory; an exception in a cell is raised."""
    notebook = jupytext.read(source)
    NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        # What the tests tell XLA is not for a reader's programs.
    ).execute(env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"})
    return notebook


def write(source: Path) -> None:
    notebook = execute(source, source.parent)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
    # The interpreter that happened to run it.
    notebook.metadata.pop("language_info", None)
    # `jupytext --sync` leaves it out of an .ipynb, and so finds nothing to change.
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    nbformat.write(notebook, source.with_suffix(".ipynb"))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(Path(name))

"""Every notebook runs from its source, and the committed .ipynb shows that source with its outputs."""

import json
from pathlib import Path

import jupytext
import nbformat
import pytest

from tests.notebooks.execute import execute

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))

LARGEST_BYTES = 400_000


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert SOURCES


# The client and the kernel's channels warn about their own event loops and sockets.
@pytest.mark.filterwarnings("default")
# Jupyter starts in the notebook's folder; whether the root will do as well is one notebook's business.
@pytest.mark.parametrize(
    ("source", "folder"),
    [
        pytest.param(source, ROOT / "notebooks", marks=pytest.mark.exhaustive if n else ())
        for n, source in enumerate(SOURCES)
    ]
    + [pytest.param(SOURCES[0], ROOT, marks=pytest.mark.exhaustive)],
    ids=lambda path: path.stem,
)
def test_runs_without_a_warning(source: Path, folder: Path) -> None:
    executed = code_cells(execute(source, folder))
    assert all(cell.execution_count for cell in executed)
    warnings = [output.text for cell in executed for output in cell.outputs if output.get("name") == "stderr"]
    assert warnings == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_committed_notebook_has_the_cells_of_its_source(source: Path) -> None:
    committed = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    cells = [(cell.cell_type, cell.source) for cell in committed.cells]
    assert cells == [(cell.cell_type, cell.source) for cell in jupytext.read(source).cells], (
        f"run: python -m tests.notebooks.execute notebooks/{source.name}"
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_committed_notebook_was_run_and_is_small(source: Path) -> None:
    path = source.with_suffix(".ipynb")
    committed = nbformat.read(path, as_version=4)
    code = code_cells(committed)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(cell.outputs for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert path.stat().st_size < LARGEST_BYTES
    # No path of the machine it ran on.
    assert str(Path.home()) not in json.dumps(committed)

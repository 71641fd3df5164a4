"""The rooms of `graph` import downward only."""

import ast
from pathlib import Path

import pytest

import jaxbackprop.graph

ROOM = Path(jaxbackprop.graph.__file__).parent
# Each may import itself and what is named here.
BELOW = {
    "_graph": set(),
    "_errors": {"_graph"},
    "passes": {"_graph", "_errors"},
    "rules": {"_graph", "_errors"},
    "tracing": {"_graph", "_errors", "passes", "rules"},
    "render": {"_graph", "_errors", "passes", "tracing"},
    "_grad": {"_graph", "_errors", "passes", "tracing"},
    "_register": {"_graph", "_errors", "rules"},
    "_handle": {"_graph", "_errors", "passes", "tracing", "render"},
}


def imported(path):
    """The rooms of `graph` that a file imports from, lazily or not."""
    depth = len(path.relative_to(ROOM).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxbackprop.graph"):
            pytest.fail(f"{path} names its own room in full")


@pytest.mark.parametrize("room", BELOW)
def test_imports_go_downward(room):
    paths = sorted((ROOM / room).rglob("*.py")) or [ROOM / f"{room}.py"]
    for path in paths:
        found = set(imported(path)) - {room}
        assert found <= BELOW[room], path


def test_every_room_has_a_place():
    rooms = {path.stem for path in ROOM.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(BELOW)

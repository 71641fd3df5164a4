"""The plan of the house, enforced: who may import whom, and that derivations and operators match."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from jaxbackprop.ops._catalogue import CATALOGUE

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jaxbackprop"

# Each room may import itself, the rooms named here, and from outside what is named in OUTSIDE.
ROOMS = {
    "cli": {
        "_check_command",
        "_graph_command",
        "_doctor_command",
        "ner",
        "bench",
        "verify",
        "train",
        "models",
        "graph",
        "check",
        "data",
        "optim",
        "ops",
    },
    "__main__": {"cli"},
    "_check_command": {"check", "_json_file"},
    "_graph_command": {"_check_command", "_json_file", "check", "graph", "models"},
    "_doctor_command": {
        "_check_command",
        "_graph_command",
        "_json_file",
        "check",
        "graph",
        "models",
        "ner",
        "train",
        "data",
        "optim",
    },
    "_json_file": set(),
    "_pytest_plugin": {"check"},
    "ner": {"train", "models", "data", "optim"},
    "bench": {
        "_check_command",
        "_json_file",
        "ner",
        "verify",
        "train",
        "models",
        "layers",
        "graph",
        "check",
        "data",
        "optim",
        "ops",
    },
    "verify": {"_json_file", "check", "graph", "ops"},
    "graph": {"check", "ops"},
    "models": {"layers", "ops"},
    "layers": {"ops", "_shapes"},
    "train": {"optim", "data"},
    "optim": {"ops", "_shapes"},
    "ops": {"_shapes"},
    "_shapes": set(),
    "check": set(),
    "data": set(),
}
OUTSIDE = {
    "check": {"jax", "numpy", "rich"},
    "_check_command": {"jax", "numpy", "rich"},
    "_graph_command": {"flax", "jax", "numpy", "rich"},
    "_doctor_command": {"flax", "jax", "numpy", "rich"},
    "graph": {"graphlay", "jax", "matplotlib", "numpy", "rich", "scipy"},
    "_pytest_plugin": {"pytest"},
    "data": {"numpy", "pyarrow"},
    "ops": {"jax", "jaxtyping", "numpy"},
    "_shapes": {"jax", "numpy"},
    "layers": {"jax", "jaxtyping", "flax"},
    "reference": {"numpy"},
}


def imports(path):
    """Every module that a file imports, lazily or not."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                package = path.parent.relative_to(ROOT).parts
                module = ".".join((*package[: len(package) - node.level + 1], module)).rstrip(".")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


SOURCES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py" or path.parent != PACKAGE
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path):
    here = room(path)
    assert here in ROOMS, f"{here} is no room of the house"
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "jaxbackprop":
            if rest[0] in ("__version__", here):
                continue
            assert rest[0] in ROOMS[here], f"{here} must not import {name}"
        elif here in OUTSIDE and top not in sys.stdlib_module_names:
            assert top in OUTSIDE[here], f"{here} must not import {top}"
        assert top != "reference", f"{here} must not import the reference"


@pytest.mark.parametrize("path", sorted((ROOT / "reference").rglob("*.py")), ids=lambda path: path.name)
def test_the_reference_is_numpy_alone(path):
    for name in imports(path):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names | {"numpy", "reference"}, f"{path.name} must not import {top}"


ON_PAPER_ONLY = {"scorer", "numerical", "graph", "initialization"}


def modules(package, pattern):
    """The modules of a package, which may be packages themselves."""
    return {
        path.stem for path in package.glob(pattern) if path.suffix == ".py" or (path / "__init__.py").exists()
    }


def test_reference_and_operators_stand_side_by_side():
    shared = {"precision", "sharding", "broadcast", "exponentials", "catalogue"}
    operators = {name.removeprefix("_") for name in modules(PACKAGE / "ops", "_[a-z]*")} - shared
    derivations = modules(ROOT / "reference", "[a-z]*")
    assert derivations - ON_PAPER_ONLY == operators
    assert {row.family for row in CATALOGUE} == operators
    for name in set(derivations) & {"activations"}:
        assert modules(ROOT / "reference" / name, "[a-z]*") == {
            path.removeprefix("_") for path in modules(PACKAGE / "ops" / f"_{name}", "_[a-z]*")
        } - {"slopes"}


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, jaxbackprop, jaxbackprop.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "orbax",
        "numpy",
        "rich",
        "matplotlib",
        "jaxtyping",
        "nervaluate",
    }
    assert not heavy & set(loaded)

"""The plan of the house, enforced: who may import whom, and that derivations and operators match."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from jaxbackprop.ops.catalogue import CATALOGUE

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jaxbackprop"

# The ground floor: files that any room may use. They may use one another.
GROUND = {
    "_errors",
    "_float64",
    "_imports",
    "_jaxpr",
    "_lazy",
    "_output",
    "_precision",
    "_shapes",
    "_sharding",
    "_signals",
    "_specs",
    "_user_cache",
    "_version",
}
# Each room may import itself, the ground floor, and the rooms named here.
ROOMS = {
    "ops": set(),
    "layers": {"ops"},
    "models": {"pretrained", "layers", "ops"},
    "pretrained": {"data"},
    "diagnose": set(),
    "check": {"diagnose"},
    "graph": {"check", "ops"},
    "doctor": {"graph", "check", "ops"},
    "optim": {"ops"},
    "data": set(),
    "train": {"optim", "data"},
    "ner": {"finetune", "pretrained", "train", "models", "layers", "data", "optim", "ops"},
    "finetune": {"train", "models", "pretrained", "data", "ops"},
    "verify": {"check", "graph", "ops"},
    "bench": {
        "ner",
        "finetune",
        "pretrained",
        "verify",
        "doctor",
        "train",
        "models",
        "layers",
        "graph",
        "check",
        "data",
        "diagnose",
        "optim",
        "ops",
    },
    "lecture": {"bench", "ner", "train", "models", "graph", "data", "ops"},
    "transfer": {"lecture", "ner", "train", "models", "data"},
    "_pytest_plugin": {"check"},
    "__main__": {"commands"},
}
ROOMS["commands"] = set(ROOMS) - {"__main__", "_pytest_plugin"}
# What a room may import from outside; rooms that are not named here may import anything installed.
OUTSIDE = {
    "check": {"jax", "numpy", "rich"},
    "diagnose": {"jax", "numpy"},
    "doctor": {"jax", "matplotlib", "numpy", "rich"},
    "graph": {"graphlay", "jax", "numpy", "scipy"},
    "data": {"numpy", "pyarrow"},
    "pretrained": {"numpy", "safetensors", "tokenizers"},
    "ops": {"jax", "jaxtyping", "numpy"},
    "layers": {"jax", "jaxtyping", "flax"},
    "_pytest_plugin": {"pytest"},
    **dict.fromkeys(GROUND, {"jax", "numpy"}),
    "_output": {"rich"},
}


def module(path):
    """The dotted name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Every name that a file imports, lazily or not: (module, name in it or None)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:
                package = path.parent.relative_to(ROOT).parts
                name = ".".join((*package[: len(package) - node.level + 1], name)).rstrip(".")
            yield from ((name, alias.name) for alias in node.names)


SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module(path): path for path in SOURCES}


def imported_files(path):
    """The modules of this package that a file imports."""
    for name, member in imports(path):
        inner = f"{name}.{member}"
        yield from {inner if inner in MODULES else name} & set(MODULES)


def room(name):
    """The room that a module of this package stands in; "" for the package itself."""
    return (name.split(".") + [""])[1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path):
    here = room(module(path))
    if not here:
        return
    assert here in ROOMS or here in GROUND, f"{here} is no room of the house"
    allowed = {"", here} | GROUND | ROOMS.get(here, set())
    for name in imported_files(path):
        assert room(name) in allowed, f"{here} must not import {name}"
    for name, _ in imports(path):
        top = name.split(".")[0]
        assert top != "reference", f"{here} must not import the reference"
        if here in OUTSIDE and top != "jaxbackprop" and top not in sys.stdlib_module_names:
            assert top in OUTSIDE[here], f"{here} must not import {top}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_other_rooms_need_is_public(path):
    here = room(module(path))
    for name, member in imports(path):
        parts = [*name.split("."), *([member] if member else [])]
        if parts[0] != "jaxbackprop" or len(parts) < 2 or parts[1] == here:
            continue
        # The ground floor's own names begin with an underscore, and are everybody's.
        private = [part for part in parts[2:] if part.startswith("_") and not part.startswith("__")]
        assert not private, f"{module(path)} reaches into {'.'.join(parts)}"


def circles(graph):
    """The sets of nodes that can reach one another (Tarjan), those of one node left out."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            found.append(sorted(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return [members for members in found if len(members) > 1]


def test_files_import_one_another_in_no_circle():
    assert circles({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == [["a", "b", "c"]]
    graph = {name: sorted(set(imported_files(path)) - {name}) for name, path in MODULES.items()}
    assert circles(graph) == []


def test_no_file_outgrows_a_page_or_two():
    lengths = {module(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: n for name, n in lengths.items() if n > 400} == {}
    assert sorted(lengths.values())[len(lengths) // 2] < 130


@pytest.mark.parametrize("path", sorted((ROOT / "reference").rglob("*.py")), ids=lambda path: path.name)
def test_the_reference_is_numpy_alone(path):
    for name, _ in imports(path):
        top = name.split(".")[0] or "reference"
        assert top in sys.stdlib_module_names | {"numpy", "reference"}, f"{path.name} must not import {top}"


ON_PAPER_ONLY = {"scorer", "numerical", "graph", "initialization", "optimizers", "schedules"}


def modules(package, pattern):
    """The modules of a package, which may be packages themselves."""
    return {
        path.stem for path in package.glob(pattern) if path.suffix == ".py" or (path / "__init__.py").exists()
    }


def test_reference_and_operators_stand_side_by_side():
    shared = {"broadcast", "exponentials"}
    operators = {name.removeprefix("_") for name in modules(PACKAGE / "ops", "_[a-z]*")} - shared
    derivations = modules(ROOT / "reference", "[a-z]*")
    assert derivations - ON_PAPER_ONLY == operators
    assert {row.family for row in CATALOGUE} == operators
    for name in set(derivations) & {"activations"}:
        assert modules(ROOT / "reference" / name, "[a-z]*") == {
            path.removeprefix("_") for path in modules(PACKAGE / "ops" / f"_{name}", "_[a-z]*")
        } - {"slopes"}


PUBLIC = set(ROOMS) - {"commands", "_pytest_plugin", "__main__"}


def in_a_fresh_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, jaxbackprop, jaxbackprop.commands; dir(jaxbackprop); print(*sys.modules)"
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
    assert not heavy & set(in_a_fresh_process(code).split())


def test_every_room_is_an_attribute_of_the_package():
    each = f"*(getattr(jb, name).__name__ for name in {sorted(PUBLIC)})"
    code = f"import jaxbackprop as jb; print({each}, '|', *dir(jb))"
    found, _, listed = in_a_fresh_process(code).partition("|")
    assert found.split() == [f"jaxbackprop.{name}" for name in sorted(PUBLIC)]
    assert set(listed.split()) >= PUBLIC

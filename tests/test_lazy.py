"""Names that load on first use: the right ones, listed beforehand, kept afterwards."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxbackprop"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a module with a name, and of a public submodule."""
    folder = tmp_path / "lazy_of_the_test"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from jaxbackprop._lazy import attach\n"
        "__getattr__, __dir__, __all__ = attach(__name__, submodules=('sub',), names={'_home': ('name',)})\n"
    )
    (folder / "_home.py").write_text("name = object()")
    (folder / "sub.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(folder.name)
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def test_a_name_loads_its_module_and_stays(package):
    assert {"name", "sub"} <= set(dir(package))
    assert package.__all__ == ["name", "sub"]
    assert "lazy_of_the_test._home" not in sys.modules
    found = package.name
    assert found is sys.modules["lazy_of_the_test._home"].name
    assert vars(package)["name"] is found
    assert package.sub is sys.modules["lazy_of_the_test.sub"]
    with pytest.raises(AttributeError, match="module 'lazy_of_the_test' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


@pytest.mark.parametrize("room", ["bench", "train"])
def test_what_type_checkers_read_is_what_loads(room):
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    declared = {(node.module, alias.name) for node in guarded.body for alias in node.names}
    module = importlib.import_module(f"jaxbackprop.{room}")
    assert sorted(name for _, name in declared) == module.__all__
    for home, name in declared:
        owner = importlib.import_module(f"jaxbackprop.{room}.{home}")
        assert getattr(module, name) is getattr(owner, name)

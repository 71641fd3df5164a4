"""What holds for every file of the reference: it stands alone, and its functions come in pairs."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import reference

MODULES = sorted(module.name for module in pkgutil.iter_modules(reference.__path__))

# Public functions that are on paper only and have no vector-Jacobian product.
WITHOUT_VJP = {
    "activations": {"tanh_by_sigmoid"},
    "batch_norm": {"running_statistics"},
    "dropout": {"keep_mask"},
    "gates": {"sum_to_shape"},
    "graph": {"gradients", "topological_order"},
    "initialization": {
        "he_bound",
        "he_normal",
        "he_uniform",
        "he_variance",
        "uniform",
        "xavier_bound",
        "xavier_uniform",
        "xavier_variance",
        "zeros",
    },
    "l2": {"ridge", "ridge_bias_covariance"},
    "numerical": {"central_difference", "forward_difference"},
    "optimizers": {
        "adagrad",
        "adam",
        "adamw",
        "averaged_squares",
        "radam",
        "rectification",
        "rmsprop",
        "sgd",
    },
    "schedules": {
        "constant",
        "cyclic",
        "cyclic_momentum",
        "exponential",
        "reduce_on_plateau",
        "step_decay",
        "warmup_cosine",
    },
    "scorer": {"scorer_gradients", "scorer_gradients_one_at_a_time"},
    "softmax_cross_entropy": {"softmax", "softmax_jacobian"},
}

OPERATORS = {
    "activations": {
        "sigmoid",
        "tanh",
        "hardtanh",
        "relu",
        "leaky_relu",
        "prelu",
        "elu",
        "gelu",
        "softplus",
        "silu",
        "max",
        "maximum",
    },
    "attention": {"attention"},
    "batch_norm": {"batch_norm", "batch_norm_inference"},
    "dropout": {"dropout"},
    "embedding": {"embedding"},
    "gates": {"add", "multiply", "copy"},
    "l2": {"l2"},
    "layer_norm": {"layer_norm"},
    "linear": {"linear"},
    "losses": {"sigmoid_binary_cross_entropy", "mean_squared_error", "logsumexp", "softmax"},
    "pooling": {"max_pool"},
    "rnn": {"rnn", "bare_rnn"},
    "scorer": {"scorer"},
    "softmax_cross_entropy": {"softmax_cross_entropy"},
    "window": {"window_lookup"},
}


def public_functions(module: ModuleType) -> dict:
    """A module's own, and what a package re-exports from its modules."""
    return {
        name: f
        for name, f in inspect.getmembers(module, inspect.isfunction)
        if f"{f.__module__}.".startswith(f"{module.__name__}.") and not name.startswith("_")
    }


def pairs() -> list:
    found = []
    for name in MODULES:
        module = importlib.import_module(f"reference.{name}")
        functions = public_functions(module)
        for f in functions.keys() - WITHOUT_VJP.get(name, set()):
            if not f.endswith("_vjp"):
                found.append(pytest.param(module, f, id=f"{name}.{f}"))
    return sorted(found, key=lambda param: param.id)


def test_the_operators_are_there() -> None:
    for name, operators in OPERATORS.items():
        functions = public_functions(importlib.import_module(f"reference.{name}"))
        assert operators <= functions.keys()


def test_a_package_exports_every_function_of_its_modules() -> None:
    packages = [name for name in MODULES if hasattr(importlib.import_module(f"reference.{name}"), "__path__")]
    assert "activations" in packages
    for name in packages:
        package = importlib.import_module(f"reference.{name}")
        inside: dict = {}
        for module in pkgutil.iter_modules(package.__path__):
            inside |= public_functions(importlib.import_module(f"reference.{name}.{module.name}"))
        assert public_functions(package) == inside


@pytest.mark.parametrize(("module", "name"), pairs())
def test_every_pair_says_what_to_check_it_with(module, name) -> None:
    home = sys.modules[getattr(module, name).__module__]
    assert home.CHECK_ARGUMENTS[name]


@pytest.mark.parametrize(("module", "name"), pairs())
def test_every_function_stands_beside_its_vjp(module, name) -> None:
    f, f_vjp = getattr(module, name), getattr(module, f"{name}_vjp", None)
    assert f_vjp is not None, f"{name} has no {name}_vjp"
    forward = inspect.signature(f).parameters.values()
    backward = inspect.signature(f_vjp).parameters.values()
    positional = [p.name for p in forward if p.kind is p.POSITIONAL_OR_KEYWORD]
    vjp_positional = [p for p in backward if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in vjp_positional] == [*positional, "dy"]
    # Nothing is optional before dy.
    assert all(p.default is p.empty for p in vjp_positional)
    keywords = {p.name: p.default for p in forward if p.kind is p.KEYWORD_ONLY}
    assert keywords == {p.name: p.default for p in backward if p.kind is p.KEYWORD_ONLY}
    assert len(positional) + len(keywords) == len(forward)
    assert len(vjp_positional) + len(keywords) == len(backward)


@pytest.mark.parametrize("name", MODULES)
def test_every_vjp_has_its_function(name) -> None:
    functions = public_functions(importlib.import_module(f"reference.{name}"))
    for f in functions:
        if f.endswith("_vjp"):
            assert f.removesuffix("_vjp") in functions


@pytest.mark.parametrize("name", MODULES)
def test_every_function_is_documented(name) -> None:
    module = importlib.import_module(f"reference.{name}")
    assert module.__doc__
    for f in public_functions(module).values():
        documented = inspect.getdoc(f)
        for parameter in inspect.signature(f).parameters:
            assert f"\n    {parameter}: " in documented, f"{f.__name__} does not document {parameter}"
        assert "Returns:" in documented


def test_numpy_alone_in_a_fresh_process() -> None:
    code = f"""
import importlib, sys
before = set(sys.modules)
import numpy
with_numpy = set(sys.modules)
for name in {MODULES!r}:
    importlib.import_module("reference." + name)
roots = {{module.partition(".")[0] for module in set(sys.modules) - with_numpy}}
print(sorted(roots - set(sys.stdlib_module_names) - {{"numpy", "reference"}}))
print(sorted({{"jax", "jaxlib", "jaxbackprop", "flax"}} & {{m.partition(".")[0] for m in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "[]"]

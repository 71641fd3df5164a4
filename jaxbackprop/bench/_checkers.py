"""Checkers of gradients, ours and others', each with its own defaults: they pass a rule or raise.

torch and autograd do not know jax. They get its function as one of theirs: the value from jax, the rule from
jax.vjp, on float64 arguments, as both want them.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop.check import Layout, Report, check_vjp

Arrays = tuple[np.ndarray, ...]


class Case(Protocol):
    """A rule to be judged, and what is known of it; see the corpus in this repository's tests."""

    name: str
    op: Callable[..., Any]
    mistakes: tuple[str, ...]
    wrong_arguments: tuple[int, ...]
    oracle: Callable[..., Any] | None
    oracle_vjp: Callable[..., Any] | None
    domains: tuple[Any, ...] | None
    in_axes: Any
    kwargs: Any

    @property
    def args(self) -> tuple[Any, ...]:
        """Example arguments."""

    def setting(self) -> AbstractContextManager[None]:
        """Where the rule runs: x64 on where it holds float64."""


@dataclasses.dataclass(frozen=True)
class Checker:
    """A checker.

    Attributes:
        name: as the table shows it.
        package: what must be installed.
        check: raises where it does not pass a case; ours answers its report.
    """

    name: str
    package: str
    check: Callable[[Case], Report | None]

    @property
    def installed(self) -> bool:
        """Whether its package can be imported."""
        return importlib.util.find_spec(self.package) is not None


class Failed(AssertionError):
    """Our harness finds a rule wrong."""

    def __init__(self, report: Report):
        super().__init__(str(report))
        self.report = report


def ours(case: Case, *, effort: str = "thorough") -> Report:
    """`check_vjp`, given the oracle, the intended rule and the domains that the case has.

    Raises:
        Failed: where the report is not ok.
    """
    with case.setting():
        report = check_vjp(
            case.op,
            *case.args,
            oracle=case.oracle,
            oracle_vjp=case.oracle_vjp,
            domains=case.domains,
            in_axes=case.in_axes,
            kwargs=case.kwargs,
            effort=effort,
        )
    if not report.ok:
        raise Failed(report)
    return report


def jax_check_grads(case: Case) -> None:
    """`jax.test_util.check_grads`, reverse mode."""
    from jax.test_util import check_grads

    with case.setting():
        function, floats = _of_floats(case)
        check_grads(function, floats, order=1, modes=("rev",))


def chex_numerical_grads(case: Case) -> None:
    """`chex.assert_numerical_grads`, reverse mode."""
    import chex

    with case.setting():
        function, floats = _of_floats(case)
        chex.assert_numerical_grads(function, floats, order=1, modes=("rev",))


def torch_gradcheck(case: Case, *, fast: bool) -> None:
    """`torch.autograd.gradcheck`."""
    import torch

    value, pull, floats = _in_float64(case)

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            ctx.save_for_backward(*tensors)
            return tuple(torch.from_numpy(y) for y in value(*(t.detach().numpy() for t in tensors)))

        @staticmethod
        def backward(ctx: Any, *dy: Any) -> Any:
            arrays = tuple(t.detach().numpy() for t in ctx.saved_tensors)
            return tuple(torch.from_numpy(g) for g in pull(arrays, tuple(d.numpy() for d in dy)))

    tensors = tuple(torch.tensor(x, requires_grad=True) for x in floats)
    torch.autograd.gradcheck(Function.apply, tensors, fast_mode=fast)


def autograd_check_grads(case: Case) -> None:
    """The `check_grads` of autograd, reverse mode, of the arguments and results each as one vector."""
    from autograd.extend import defvjp, primitive

    value, pull, floats = _in_float64(case)
    shapes, results = [x.shape for x in floats], [y.shape for y in value(*floats)]

    @primitive
    def function(x: np.ndarray) -> np.ndarray:
        return _joined(value(*_apart(x, shapes)))

    defvjp(function, lambda _, x: lambda dy: _joined(pull(_apart(x, shapes), _apart(dy, results))))
    seeded_check_grads(function, 0, _joined(floats))


def seeded_check_grads(function: Any, argument: int, *arrays: np.ndarray) -> None:
    """The `check_grads` of autograd by one argument; its draws come from NumPy's global generator."""
    from autograd.test_util import check_grads

    np.random.seed(0)  # noqa: NPY002
    check_grads(function, argument, modes=["rev"], order=1)(*arrays)


CHECKERS = (
    Checker("jaxbackprop check_vjp", "jaxbackprop", ours),
    Checker("jax.test_util.check_grads", "jax", jax_check_grads),
    Checker("chex.assert_numerical_grads", "chex", chex_numerical_grads),
    Checker("torch gradcheck", "torch", functools.partial(torch_gradcheck, fast=False)),
    Checker("torch gradcheck, fast mode", "torch", functools.partial(torch_gradcheck, fast=True)),
    Checker("autograd check_grads", "autograd", autograd_check_grads),
)


def _of_floats(case: Case) -> tuple[Callable[..., tuple[Any, ...]], tuple[Any, ...]]:
    """The operator as a function of the differentiable leaves alone, and these."""
    layout = Layout.of(case.args, hold_integers=True)
    function = layout.of_floats(functools.partial(case.op, **case.kwargs))
    return function, layout.floats_of(layout.leaves)


def _in_float64(
    case: Case,
) -> tuple[Callable[..., Arrays], Callable[[Arrays, Arrays], Arrays], Arrays]:
    """A case's value, its rule and its differentiable leaves in float64, from NumPy to NumPy."""
    with case.setting():
        function, given = _of_floats(case)
        floats = tuple(np.asarray(leaf).astype(np.float64) for leaf in given)
    compiled = jax.jit(function)
    traceable = True

    def value(*arrays: np.ndarray) -> Arrays:
        nonlocal traceable
        with float64_on_cpu():
            leaves = tuple(map(jnp.asarray, arrays))
            try:
                ys = compiled(*leaves) if traceable else function(*leaves)
            except jax.errors.JAXTypeError:
                # Neither of the two traces anything: what cannot be traced is none of their business.
                traceable, ys = False, function(*leaves)
        return tuple(np.array(y, np.float64) for y in ys)

    def pull(arrays: Arrays, dy: Arrays) -> Arrays:
        with float64_on_cpu():
            ys, pullback = jax.vjp(function, *map(jnp.asarray, arrays))
            gradients = pullback(tuple(jnp.asarray(d, y.dtype) for d, y in zip(dy, ys, strict=True)))
        return tuple(np.array(g, np.float64) for g in gradients)

    return value, pull, floats


def _joined(arrays: Arrays) -> np.ndarray:
    return np.concatenate([x.reshape(-1) for x in arrays])


def _apart(vector: np.ndarray, shapes: list[tuple[int, ...]]) -> Arrays:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return tuple(part.reshape(shape) for part, shape in zip(np.split(vector, ends[:-1]), shapes, strict=True))

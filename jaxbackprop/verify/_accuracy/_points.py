"""Where accuracy is measured: a dense sweep for a function of one number, draws of several sizes else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.check import Layout
from jaxbackprop.ops.catalogue import Case, Operator

# Factors on the first argument, with how many draws of each.
SCALES = ((2.0**-8, 2), (1.0, 3), (2.0**5, 2))


@dataclasses.dataclass(frozen=True)
class Way:
    """The cases of an operator that go by one name and keep one promise."""

    name: str
    cases: list[Case]

    @property
    def bar(self) -> float | None:
        """The promise; see `Case`."""
        return self.cases[0].bar

    @property
    def least(self) -> float:
        """The smallest gradient that counts; see `Case`."""
        return self.cases[0].least


def ways_of(row: Operator, parameters: list[str]) -> list[Way]:
    """The cases of a row, together where they differ in numbers alone.

    Args:
        row: of the catalogue.
        parameters: the names of its arguments.
    """
    ways: dict[str, Way] = {}
    for case in row.tails or row.cases:
        said = [f"{name}={value}" for name, value in case.keywords.items() if isinstance(value, str | bool)]
        if row.tails:
            positions = Layout.of(case.draw(np.random.default_rng(0))).arguments
            said += [f"float {parameters[i]}" for i in dict.fromkeys(positions[1:])]
        name = ", ".join(said)
        ways.setdefault(name, Way(name, [])).cases.append(case)
    return list(ways.values())


@dataclasses.dataclass(frozen=True)
class Sample:
    """One evaluation.

    Attributes:
        case: how the operator is called.
        args: its arguments, floats as float64 and not yet rounded to a dtype.
        label: what to call it.
        x: the entries of a sweep; None for a draw.
    """

    case: Case
    args: tuple[Any, ...]
    label: str
    x: np.ndarray | None = None

    @property
    def factor(self) -> float:
        """The largest number by which the operator may multiply in a sweep, at least 1."""
        numbers = self.args[1:] if self.x is not None else ()
        return max([1.0, *(abs(float(number)) for number in numbers if isinstance(number, int | float))])

    def name(self, index: tuple[int, ...]) -> str:
        """What to call the place of an entry."""
        return f"{self.label}, entry {list(index)}" if self.x is None else f"x = {self.x[index]:.9g}"


def draws(row: Operator, case: Case) -> Iterator[Sample]:
    """Draws for an operator that is no function of one number."""
    called = f"case {[case is other for other in row.tails or row.cases].index(True)}"
    rng = np.random.default_rng(0)
    for factor, count in ((1.0, 1),) if row.tails else SCALES:
        scaled = case.scaled(factor)
        for number in range(count):
            told = called if row.tails else f"{called}, draw {number} times {factor:g}"
            yield Sample(case, scaled.draw(rng), told)


def sweep(row: Operator, case: Case, dtype: Any, dense: int) -> Sample:
    """The points of a sweep: numbers of a dtype, without the kinks (where each choice is right)."""
    assert row.sweep is not None
    x = sweep_points(*row.sweep, dtype, dense)
    special = [np.ravel(rounded(args, dtype)[0]) for args in row.special]
    x = x[~np.isin(x, np.concatenate([*special, [0.0]]))]
    return Sample(case, (x, *case.arguments[1:]), "sweep", x)


def sweep_points(low: float, high: float, dtype: Any, dense: int) -> np.ndarray:
    """Numbers of a dtype in every binade between two numbers, of both signs, as float64.

    Args:
        low: the least.
        high: the largest.
        dtype: whose numbers; magnitudes begin at its smallest normal one, or 2⁻¹²⁶.
        dense: how many there are in a binade from 2⁻⁶ on; below, where functions are all but linear, four.
    """
    rng = np.random.default_rng(0)
    found = []
    for power in range(max(-126, jnp.finfo(dtype).minexp), int(np.log2(max(abs(low), abs(high)))) + 1):
        count = dense if power >= -6 else 4
        for sign in (-1.0, 1.0):
            # One in each of so many equal parts.
            found.append(sign * 2.0**power * (1 + (np.arange(count) + rng.uniform(size=count)) / count))
    (x,) = rounded((np.concatenate(found),), dtype)
    return np.unique(x[(x >= low) & (x <= high)])


def rounded(args: Any, dtype: Any) -> Any:
    """Arguments whose floats are numbers of a dtype, still as float64."""

    def cast(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray) and np.issubdtype(leaf.dtype, np.floating):
            return leaf.astype(dtype).astype(np.float64)
        return leaf

    return jax.tree.map(cast, args)


def binades(x: np.ndarray) -> np.ndarray:
    """A number for each entry's binade, negative where the entry is."""
    return np.where(x < 0, -1, 1) * (np.frexp(x)[1] + _ZERO)


_ZERO = 2000  # beyond all exponents


def binade_name(number: int) -> str:
    """What to call the binade of a number that `binades` gave."""
    low, high = 2.0 ** (abs(number) - _ZERO - 1), 2.0 ** (abs(number) - _ZERO)
    return f"x in [{low:g}, {high:g})" if number > 0 else f"x in (-{high:g}, -{low:g}]"

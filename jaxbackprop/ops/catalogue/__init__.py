"""One row an operator: what `verify`, the tests, the documentation and the benchmark know about it.

A row's cases hold what is to be drawn (see `jaxbackprop._specs`), and values that are static as they are.
Ranges and special values stand apart: random draws look at smooth points, `special` at kinks, ties and tails.
"""

from __future__ import annotations

from ._activations import ROWS as _ACTIVATIONS
from ._gates import ROWS as _GATES
from ._layers import ROWS as _LAYERS
from ._losses import ROWS as _LOSSES
from ._norms import ROWS as _NORMS
from ._row import Case as Case
from ._row import Kind as Kind
from ._row import Operator as Operator
from ._row import RuledFunction as RuledFunction
from ._sequences import ROWS as _SEQUENCES

CATALOGUE: tuple[Operator, ...] = (*_LAYERS, *_LOSSES, *_ACTIVATIONS, *_GATES, *_SEQUENCES, *_NORMS)


def operators(names: list[str] | None = None) -> tuple[Operator, ...]:
    """The rows of the named operators, or all.

    Raises:
        ValueError: where a name is not in the catalogue.
    """
    if names is None:
        return CATALOGUE
    rows = {row.name: row for row in CATALOGUE}
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise ValueError(f"no operator {unknown[0]!r}; the operators are {', '.join(rows)}")
    return tuple(rows[name] for name in dict.fromkeys(names))

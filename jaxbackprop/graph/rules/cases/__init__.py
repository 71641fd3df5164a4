"""Every rule of the graph, in the ways its primitive is used; verification and tests read it."""

from __future__ import annotations

from ._arithmetic import ROWS as _ARITHMETIC
from ._convolution import ROWS as _CONVOLUTION
from ._cumulative import ROWS as _CUMULATIVE
from ._elementary import ROWS as _ELEMENTARY
from ._fourier import ROWS as _FOURIER
from ._indexing import ROWS as _INDEXING
from ._linear_algebra import ROWS as _LINEAR_ALGEBRA
from ._moves import ROWS as _MOVES
from ._products import ROWS as _PRODUCTS
from ._reductions import ROWS as _REDUCTIONS
from ._row import Row as Row
from ._sorting import ROWS as _SORTING
from ._windows import ROWS as _WINDOWS

ROWS: tuple[Row, ...] = (
    *_ARITHMETIC,
    *_ELEMENTARY,
    *_MOVES,
    *_INDEXING,
    *_REDUCTIONS,
    *_CUMULATIVE,
    *_SORTING,
    *_PRODUCTS,
    *_LINEAR_ALGEBRA,
    *_FOURIER,
    *_CONVOLUTION,
    *_WINDOWS,
)

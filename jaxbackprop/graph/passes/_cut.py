"""Which of a program's values to keep, so that the rest can be computed from them: the fewest bytes.

A cut through the graph of the computation: above it what is kept comes from, below it what is wanted. Values
that are cheap to compute may be computed again from operands that are kept; the others are kept themselves or
not needed. The smallest such cut is the greatest flow from the ones to the others (Ford and Fulkerson).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

_UNBOUNDED = 2**31 - 1
_LARGEST_SUM = 2**30


V = TypeVar("V", bound=Hashable)


def smallest_cut(
    wanted: Collection[V], operands: Mapping[V, Sequence[V]], size: Callable[[V], int]
) -> list[V]:
    """The values to keep: no others are smaller in all; of several such choices the one nearest to the end.

    Args:
        wanted: values that must be there in the end.
        operands: of each value that may be computed again, from what; the others can only be kept.
        size: of a value, in bytes; 0 where it is there anyway.

    Returns:
        What to keep, each once: from it, and from what is there anyway, all wanted ones can be computed.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    found, pending = set(wanted), list(wanted)
    while pending:
        new = [v for v in operands.get(pending.pop(), ()) if v not in found]
        found.update(new)
        pending += new
    if not found:
        return []
    values = {v: number for number, v in enumerate(found)}
    sizes = np.array([size(v) for v in values], np.float64)
    sizes = np.ceil(sizes / max(1.0, sizes.sum() / _LARGEST_SUM)).astype(np.int64)

    # A value is an edge as wide as it is large, from 2 n to 2 n + 1; a computation cannot be cut.
    source, sink = 2 * len(values), 2 * len(values) + 1
    edges = {(2 * n, 2 * n + 1): int(sizes[n]) for n in range(len(values)) if sizes[n]}
    for v, n in values.items():
        for before in operands.get(v, ()):
            edges[2 * values[before] + 1, 2 * n] = _UNBOUNDED
        if v not in operands:
            edges[source, 2 * n] = _UNBOUNDED
    edges.update({(2 * values[v] + 1, sink): _UNBOUNDED for v in wanted})
    tails, heads = np.array(list(edges), np.int32).T
    shape = (sink + 1, sink + 1)
    capacity = csr_array((np.array(list(edges.values()), np.int32), (tails, heads)), shape)
    room = (capacity - maximum_flow(capacity, source, sink).flow).T.tocsr()
    room.eliminate_zeros()
    reaching = set(breadth_first_order(room, sink, return_predecessors=False).tolist())
    return [v for v, n in values.items() if sizes[n] and 2 * n + 1 in reaching and 2 * n not in reaching]

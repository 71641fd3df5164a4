"""The rule's Jacobian beside the right one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays

from .._evidence import Sample

# A Jacobian takes one evaluation of the rule and one of the truth for each entry of the results.
LARGEST_JACOBIAN = 128


@dataclasses.dataclass(frozen=True)
class JacobianPair:
    """The rule's and the right Jacobian of one result by one leaf at one point."""

    got: np.ndarray  # the rule's, the result's axes first, then the leaf's
    want: np.ndarray  # the right one
    result_shape: tuple[int, ...]  # of the result
    leaf_shape: tuple[int, ...]  # of the leaf
    sample: Sample  # the point
    got_support: np.ndarray  # where `got` is not zero
    want_support: np.ndarray  # where `want` is not zero
    wrong: np.ndarray  # where they differ

    @property
    def result_axes(self) -> tuple[int, ...]:
        """The axes that are the result's."""
        return tuple(range(len(self.result_shape)))

    @property
    def same_shape(self) -> bool:
        """Whether result and leaf have one shape."""
        return self.result_shape == self.leaf_shape

    @property
    def elementwise_shape(self) -> bool:
        """Whether result and leaf have one shape that is not a scalar's."""
        return self.same_shape and bool(self.leaf_shape)

    def matrix(self, a: np.ndarray) -> np.ndarray:
        """An array of the Jacobian's shape as a matrix: entries of the result by entries of the leaf."""
        return a.reshape(int(np.prod(self.result_shape)), int(np.prod(self.leaf_shape)))

    def ratio(self) -> np.ndarray:
        """The matrix of got / want; nan where the right Jacobian is zero."""
        there, got, want = map(self.matrix, (self.want_support, self.got, self.want))
        return np.where(there, got / np.where(there, want, 1.0), np.nan)


def jacobian(f: Callable[[tuple[Any, ...], Arrays], Arrays | None], s: Sample) -> list[Arrays] | None:
    """What a rule makes of each unit cotangent: [result][leaf], the result's axes first.

    None where the rule cannot be asked, or answers with numbers that are not finite.
    """
    results = []
    for k, d in enumerate(s.dy):
        rows = []
        for index in range(d.size):
            dy = [np.zeros_like(other) for other in s.dy]
            dy[k].reshape(-1)[index] = 1.0
            answer = f(s.leaves, tuple(dy))
            if answer is None or not all(np.all(np.isfinite(a)) for a in answer):
                return None
            rows.append(answer)
        shapes = [d.shape + np.shape(want) for want in s.want]
        results.append(tuple(np.reshape([row[i] for row in rows], n) for i, n in enumerate(shapes)))
    return results

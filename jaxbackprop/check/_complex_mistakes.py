"""Mistakes with complex numbers, which the diagnosis of real ones cannot name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxbackprop.diagnose import Mistake, Suspicion

from ._comparison import Comparison
from ._complex import cotangent_from_pairs
from ._session import CheckSession

# Words of places among pairs of real numbers, which the caller has not.
_PLACES = ("axis", "axes", "row", "column", "slice", "shape", "entr", "transpose", "along")


def holds_complex(session: CheckSession) -> bool:
    """Whether an argument or a result is complex."""
    return bool(session.layout.complexes) or any(session.result_is_pairs)


def among_complex(
    session: CheckSession, comparisons: Sequence[Comparison], suspicions: Sequence[Suspicion]
) -> list[Suspicion]:
    """What is suspected of complex leaves, before all that was suspected of pairs and makes sense of them."""
    own = [_of_leaf(session, comparisons, leaf) for leaf in range(len(session.names))]
    usable = [s for s in suspicions if not any(place in s.message for place in _PLACES)]
    return [*filter(None, own), *usable]


def _of_leaf(session: CheckSession, comparisons: Sequence[Comparison], leaf: int) -> Suspicion | None:
    if not session.layout.is_pairs(leaf):
        return None
    usable = [
        one
        for one in comparisons
        if one.kind.usual and np.all(np.isfinite(one.gradient(leaf))) and np.all(np.isfinite(one.want[leaf]))
    ]
    pairs = [
        (cotangent_from_pairs(one.gradient(leaf)), cotangent_from_pairs(one.want[leaf])) for one in usable
    ]
    if not pairs:
        return None
    got, want = (np.concatenate([pair[side].reshape(-1) for pair in pairs]) for side in (0, 1))
    explained = _explained(got, want)
    if explained is None and session.result_is_pairs == (True,):
        # Entry by entry, the derivative itself conjugated and not what comes in.
        dy = [cotangent_from_pairs(one.point.dy[0]).reshape(-1) for one in usable]
        turned = np.concatenate(dy)
        if turned.shape == want.shape and np.allclose(got, np.conj(want / turned) * turned, 1e-6):
            explained = Mistake.SIGN, "has the complex conjugate of the derivative in it"
    if explained is None:
        return None
    label, said = explained
    return Suspicion(label, f"{session.names[leaf]} {said}", leaf, 0.0, "numbers", "complex")


def _explained(got: np.ndarray, want: np.ndarray) -> tuple[Mistake, str] | None:
    size = float(np.max(np.abs(want), initial=0.0))

    def same(other: np.ndarray) -> bool:
        return bool(np.all(np.abs(got - other) <= 1e-6 * size))

    if same(want):
        return None
    if same(0 * want):
        return Mistake.DETACHED, "is zero"
    if same(np.conj(want)) and not same(-want):
        return Mistake.SIGN, "is the complex conjugate of what it should be"
    if same(want.real):
        return Mistake.MISSING_TERM, "lacks its imaginary part"
    if same(1j * want.imag):
        return Mistake.MISSING_TERM, "lacks its real part"
    for other, whose in ((want, "what it should be"), (np.conj(want), "the conjugate of what it should be")):
        factor = np.vdot(other, got) / np.vdot(other, other)
        if same(factor * other):
            label = Mistake.SIGN if abs(factor + 1) < 1e-6 else Mistake.CONSTANT_FACTOR
            return label, f"is {_number(factor)} times {whose}"
    return None


def _number(z: complex) -> str:
    if abs(z.imag) <= 1e-6 * abs(z):
        return f"{z.real:.6g}"
    return f"{z.imag:.6g}j" if abs(z.real) <= 1e-6 * abs(z) else f"({z:.6g})"

"""Where a mistake shows, in words: the sizes of redrawn arguments beside the caller's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._report import Finding
from ._session import CheckSession

# So many numbers are printed one by one.
_FEW = 6
# Sizes this far apart are worth a remark.
_FAR = 3.0


def shown_at(session: CheckSession, found: Finding) -> str:
    """What the arguments that show a finding are where they are not the caller's; "" where they are."""
    if found.point is None:
        return ""
    given = session.layout.args(session.base.leaves)
    said = []
    for name, here, there in zip(session.parameters(len(given)), found.point, given, strict=True):
        leaves, known = (jax.tree_util.tree_leaves_with_path(each) for each in (here, there))
        for (path, leaf), (_, old) in zip(leaves, known, strict=True):
            words = _words(leaf, old)
            if words:
                said.append(f"{name}{jax.tree_util.keystr(path)} {words}")
    return ", ".join(said)


def _words(leaf: Any, given: Any) -> str:
    """A redrawn leaf; "" for one that is none, or the caller's."""
    if not isinstance(leaf, jax.Array | np.ndarray) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return ""
    is_float = jnp.issubdtype(leaf.dtype, jnp.inexact)
    wide = np.complex128 if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else np.float64
    here, there = (np.asarray(x).astype(wide) if is_float else np.asarray(x) for x in (leaf, given))
    if here.shape != there.shape:
        return f"of shape {here.shape}"
    # The caller's arguments have been through the leaf's own dtype, and a float64 copy not.
    if np.allclose(here, there, rtol=1e-6, atol=0, equal_nan=True) or not here.size:
        return ""
    if not is_float:
        return _list(here) if here.size <= 2 * _FEW else f"from {here.min()} to {here.max()}"
    size, usual = (float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) for x in (here, there))
    far = not usual / _FAR <= size <= usual * _FAR
    words = _list(here) if here.size <= _FEW else f"about {size:.2g}"
    return words + (f" (given: about {usual:.2g})" if far else "")


def _list(values: np.ndarray) -> str:
    if values.dtype.kind not in "fc":
        return str(values.tolist())
    plain = float if values.dtype.kind == "f" else complex
    return str(np.asarray([plain(f"{x:.4g}") for x in values.flat]).reshape(values.shape).tolist())

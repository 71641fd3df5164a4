"""Where arguments may be redrawn: what the caller says of it, checked, an entry an array leaf."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import Arrays

from .._attempt import attempt
from .._layout import CannotCheck, Layout

# (lo, hi), "positive", "simplex", "fixed", a function (rng, like) -> value, or None: see `check_vjp`.
Domain = Any


def domains_of_leaves(layout: Layout, domains: Any) -> list[Domain]:
    """The domain of every array leaf; raises CannotCheck where they do not fit. See `check_vjp`."""
    if domains is None:
        return [None] * len(layout.leaves)
    count = max(layout.owners, default=-1) + 1
    if isinstance(domains, str) or not isinstance(domains, list | tuple):
        raise CannotCheck(f"domains must hold one entry an argument, got {domains!r}")
    if len(domains) < count:
        raise CannotCheck(f"domains has {len(domains)} entries, but argument {count - 1} is an array")
    for at, domain in enumerate(domains):
        if not (callable(domain) or domain is None or _is_known(domain)):
            raise CannotCheck(
                f"domains[{at}] must be (lo, hi) with lo < hi, 'positive', 'simplex', 'fixed', a function "
                f"(rng, like) -> value or None, got {domain!r}"
            )
    bound = [partial(_called, at, d) if callable(d) else d for at, d in enumerate(domains)]
    return [bound[owner] for owner in layout.owners]


def _is_known(domain: Any) -> bool:
    if isinstance(domain, str):
        return domain in ("positive", "simplex", "fixed")
    if not isinstance(domain, tuple | list) or len(domain) != 2:
        return False
    low, high = domain
    return all(isinstance(end, int | float) for end in domain) and bool(low < high)


def _called(at: int, domain: Callable[..., Any], rng: np.random.Generator, like: Any) -> Any:
    """What a function draws, which must be as what it is given."""
    outcome = attempt(lambda: domain(rng, like))
    if (error := outcome.error) is not None:
        raise CannotCheck(f"domains[{at}] raises {first_line(error)}") from error
    drawn = outcome.value
    if np.shape(drawn) != np.shape(like):
        raise CannotCheck(
            f"domains[{at}] must draw an array of shape {np.shape(like)}, got {np.shape(drawn)}"
        )
    if np.asarray(drawn).dtype.kind in "USOMm":
        raise CannotCheck(f"domains[{at}] must draw numbers, got {np.asarray(drawn).dtype}")
    return drawn


def room(layout: Layout, domains: Any, leaves: tuple[Any, ...]) -> Arrays:
    """How far each differentiable entry is from the ends of its domain; infinite where it has none."""
    limits, found = domains_of_leaves(layout, domains), []
    for i in layout.floats:
        x, limit = np.asarray(leaves[i], np.float64), limits[i]
        far = np.full(x.shape, np.inf)
        if isinstance(limit, str) and limit in ("positive", "simplex"):
            far = np.abs(x)
        elif isinstance(limit, tuple | list):
            far = np.minimum(np.abs(x - limit[0]), np.abs(limit[1] - x))
        found.append(far)
    return tuple(found)

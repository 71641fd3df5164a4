"""A custom VJP to be judged, with what is known of it, and how right and wrong ones are made from one page.

Arguments are made late, by `make_args`: float64 arrays must be made inside `case.setting()` (x64 on where the
case holds float64), and every call of `case.op` belongs there too. A random key gives other numbers under
x64: what is compared with a rule that draws must be computed under the same setting.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# How a mistake shows where it is not in a cotangent's value.
SHOWS_UNDER = {
    "not traceable": "jit",
    "cotangent dtype": "dtype",
    "forward mismatch": "forward",
    "numerically unstable": "precision",
    "non-linear in cotangent": "linearity",
    "batch-global": "vmap",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One custom VJP at one point.

    Attributes:
        name: unique, family/operator/what is wrong or hard.
        op: the function to be judged.
        make_args: makes the example arguments; NumPy arrays there become JAX arrays of the same dtype.
        mistakes: the label first, then what else would be no misnomer; () for a right rule.
        wrong_arguments: positions of the arguments whose cotangent is wrong; () where it is tied to none.
        oracle: the same function without custom rules, to be handed to the harness.
        oracle_vjp: (*args, dy) -> cotangents, where another gradient than the function's own is meant.
        domains: for the harness: where arguments may be redrawn.
        in_axes: for the harness, as in jax.vmap.
        kwargs: keyword arguments of op.
        plain: the same function without custom rules, for the corpus to check itself with: the harness does
            not get it and has only differences to go by.
        smooth: False at a kink or a tie, where no one gradient is the truth.
        precision: the dtype in which the rule computes, where it is narrower than its arguments.
        shows_at: makes arguments where the mistake shows, where the example's hide it.
        shows_under: value, jit, vmap, dtype, linearity, forward or precision: where to look for the mistake.
    """

    name: str
    op: Callable
    make_args: Callable[[], tuple]
    mistakes: tuple[str, ...] = ()
    wrong_arguments: tuple[int, ...] = ()
    oracle: Callable | None = None
    oracle_vjp: Callable | None = None
    domains: tuple | None = None
    in_axes: Any = 0
    kwargs: Mapping = dataclasses.field(default_factory=dict)
    plain: Callable | None = None
    smooth: bool = True
    precision: str | None = None
    shows_at: Callable[[], tuple] | None = None
    shows_under: str = "value"

    @property
    def args(self) -> tuple:
        """The example arguments."""
        return self.made(self.make_args)

    def made(self, make: Callable[[], tuple]) -> tuple:
        """Arguments as JAX arrays of the dtypes they were drawn in."""
        with self.setting():
            return jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, make())

    def setting(self) -> contextlib.AbstractContextManager[None]:
        """Where the arguments live and the operator runs: x64 on where one of them is float64."""
        return jax.enable_x64(self.x64)

    @functools.cached_property
    def x64(self) -> bool:
        """Whether an argument is float64."""
        return any(getattr(leaf, "dtype", None) == np.float64 for leaf in jax.tree.leaves(self.make_args()))

    @property
    def truth(self) -> Callable:
        """The function without custom rules."""
        return self.oracle or self.plain or self.op.__wrapped__


@dataclasses.dataclass(frozen=True)
class Operator:
    """A page of an operator: its function, forward and backward rule, and example arguments of a dtype.

    The backward rule takes the static arguments, then the residuals one by one, then the cotangent.
    """

    name: str
    primal: Callable
    fwd: Callable
    bwd: Callable
    example: Callable[[str], tuple]
    static: tuple[int, ...] = ()

    def rule(self, bwd: Callable | None = None, fwd: Callable | None = None) -> Callable:
        """The operator with its own rules or, where given, others."""
        chosen = bwd or self.bwd

        def backward(*static_residuals_dy: Any) -> tuple:
            *static, residuals, dy = static_residuals_dy
            return chosen(*static, *residuals, dy)

        op = jax.custom_vjp(self.primal, nondiff_argnums=self.static)
        op.defvjp(fwd or self.fwd, backward)
        return op

    def right(
        self, what: str, dtype: str = "float32", *, bwd: Callable | None = None, wrap: Any = None, **more: Any
    ) -> Case:
        """The right rule at a point, or under a transformation, that is hard."""
        return self._case(what, self.rule(bwd), dtype, wrap, more)

    def wrong(
        self,
        label: str,
        bwd: Callable | None = None,
        arguments: tuple[int, ...] = (),
        dtype: str = "float32",
        *,
        fwd: Callable | None = None,
        also: tuple[str, ...] = (),
        detail: str = "",
        wrap: Any = None,
        **more: Any,
    ) -> Case:
        """A wrong rule: one line of the right one changed."""
        more = {
            "mistakes": (label, *also),
            "wrong_arguments": arguments,
            "shows_under": SHOWS_UNDER.get(label, "value"),
            **more,
        }
        return self._case(label + (f", {detail}" if detail else ""), self.rule(bwd, fwd), dtype, wrap, more)

    def _case(self, what: str, op: Callable, dtype: str, wrap: Any, more: dict[str, Any]) -> Case:
        if wrap is not None:
            op, more = wrap(op), {"plain": wrap(self.primal), **more}
        return Case(f"{self.name}/{what}", op, **{"make_args": lambda: self.example(dtype), **more})


def draw(dtype: str, *shape: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Normal numbers, the same at every call."""
    normal = np.random.default_rng([seed, *shape]).normal(size=shape)
    return np.asarray(shift + scale * normal).astype(np.dtype(dtype))


def ids(*values: Any) -> np.ndarray:
    """Class or row numbers."""
    return np.asarray(values, np.int32)


def over_the_whole_batch(f: Callable) -> Callable:
    """A reduction that, under vmap, is taken over the examples of the batch as well.

    As an external routine does that is handed the stacked examples and was written for one.
    """
    reduction = jax.custom_batching.custom_vmap(f)

    @reduction.def_vmap
    def _(axis_size: int, in_batched: Any, *stacked: jax.Array) -> tuple[jax.Array, bool]:
        whole = f(*stacked)
        return jnp.broadcast_to(whole, (axis_size, *whole.shape)), True

    return reduction

"""Which values the forward pass of a body keeps for its backward pass: the fewest bytes that are enough.

The backward pass of a graph needs some of the forward pass's values. Where both run in different programs
(the steps of a loop, the branches of a condition) those values are kept in between. To find them the backward
pass is traced once with every value at hand. Its equations that do not depend on the upstream gradients, such
as a cosine, move to the forward pass; of the values between those and the others the fewest bytes are kept
(`_cut`). Arithmetic is cheap: it is repeated where that leaves less to keep.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop import _jaxpr

from .._graph import ComputationGraph, Gradients
from ._cut import smallest_cut
from ._sweep import pull_back, taken, walk

# An instruction an entry, or none.
_CHEAP = frozenset(
    "abs add add_any and broadcast_in_dim ceil clamp convert_element_type copy eq expand_dims floor ge gt "
    "integer_pow iota is_finite le lt max min mul ne neg not or reshape select_n sign square squeeze sub "
    "xor".split()
)


class ResidualSelection:
    """The forward and the backward pass of a body, as programs apart, with the residuals that join them.

    Attributes:
        inputs: indices of the body's arguments that the backward pass reads.
        kept: shapes and dtypes of the computed values that it reads.
    """

    def __init__(
        self,
        graph: ComputationGraph,
        active: Sequence[bool],
        invariant: Collection[int] = (),
        carried: Collection[int] = (),
    ):
        """Chooses the residuals.

        Args:
            graph: the body.
            active: which of its arguments a gradient flows back to.
            invariant: indices of the arguments that are the same in every step of a loop.
            carried: indices of the arguments that are gone after the step, unless they are kept.
        """
        self._active = tuple(active)
        shapes = [node.outputs[0] for node in graph.inputs]
        tree: list[Any] = []

        def forward(*inputs: Any) -> tuple[list[Any], list[Any]]:
            values, kept = walk(graph, inputs)
            leaves, structure = jax.tree.flatten((values, kept))
            tree[:] = [structure]
            return taken(values, graph.outputs), leaves

        self._forward, forward_consts = _jaxpr.opened(jax.make_jaxpr(forward)(*shapes))
        self._structure = tree[0]
        count = len(graph.outputs)
        self._outputs = self._forward.outvars[:count]
        leaves = self._forward.outvars[count:]
        self._flows = graph.active
        shapes_of_dys = [dy for dy, flows in zip(graph.results, self._flows, strict=True) if flows]
        found: list[Any] = []

        def backward(leaves: Sequence[Any], dys: Gradients) -> list[Any]:
            values, kept = jax.tree.unflatten(self._structure, leaves)
            given = iter(dys)
            upstream = [next(given) if flows else None for flows in self._flows]
            gradients = pull_back(graph, values, kept, upstream)
            arrived = [gradients.get(i) for i in range(len(shapes))]
            found[:] = [d is not None and a for d, a in zip(arrived, self._active, strict=True)]
            return [d for d, f in zip(arrived, found, strict=True) if f]

        written = jax.make_jaxpr(backward)([_jaxpr.spec(atom) for atom in leaves], shapes_of_dys)
        back, consts = _jaxpr.opened(written)
        self._constants = {
            **dict(zip(self._forward.constvars, forward_consts, strict=True)),
            **dict(zip(back.constvars, consts, strict=True)),
        }
        self._found = list(found)
        self._dys = back.invars[len(leaves) :]
        # The leaves' names in the backward pass give way to those of the forward pass.
        named = dict(zip(back.invars[: len(leaves)], leaves, strict=True))

        def renamed(atoms: Sequence[Any]) -> list[Any]:
            return [a if _jaxpr.is_literal(a) else named.get(a, a) for a in atoms]

        self._gradients = renamed(back.outvars)
        equations = [e.replace(invars=renamed(e.invars)) for e in back.eqns]
        self._settle(_jaxpr.live(equations, _variables(self._gradients)), set(invariant), set(carried))

    def _settle(self, back: Sequence[Any], invariant: set[int], carried: set[int]) -> None:
        """Decides what is computed when, and what is kept in between."""
        late = set(self._dys)
        for equation in back:
            if equation.effects or late & _variables(equation.invars):
                late.update(equation.outvars)
        self._late = [e for e in back if late.intersection(e.outvars)]
        early = [*self._forward.eqns, *(e for e in back if not late.intersection(e.outvars))]

        position = {var: i for i, var in enumerate(self._forward.invars)}
        maker = {var: e for e in early for var in e.outvars}
        same = {var for var, i in position.items() if i in invariant} | set(self._constants)
        for equation in early:
            if _variables(equation.invars) <= same and not equation.effects:
                same.update(equation.outvars)
        there = same | {var for var, i in position.items() if i not in carried}
        wanted = _variables(self._gradients).union(*(_variables(e.invars) for e in self._late)) - late
        repeatable = {
            var: list(_variables(e.invars))
            for var, e in maker.items()
            if var in same or e.primitive.name in _CHEAP
        }
        kept = set(smallest_cut(wanted, repeatable, lambda var: 0 if var in there else _size(var)))

        inputs, again, pending = set(), set(), list(wanted)
        while pending:
            var = pending.pop()
            if var in position:
                inputs.add(position[var])
            elif not (var in kept or var in self._constants or var in again):
                again.add(var)
                pending += repeatable[var]
        self.inputs = tuple(sorted(inputs))
        self._kept = [var for e in early for var in e.outvars if var in kept]
        self.kept = [_jaxpr.spec(var) for var in self._kept]
        repeated = [e for e in early if again.intersection(e.outvars)]
        self._once = [e for e in repeated if same.issuperset(e.outvars)]
        self._every = [e for e in repeated if not same.issuperset(e.outvars)]
        self._ahead = _jaxpr.live(early, _variables(self._outputs).union(self._kept))

    def forward(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The body's results, and what the backward pass reads of the computed values."""
        known = self._known(inputs)
        _jaxpr.evaluate(self._ahead, known)
        return [_jaxpr.read(known, atom) for atom in self._outputs], [known[var] for var in self._kept]

    def once(self, inputs: Sequence[Any]) -> list[Any]:
        """What is the same in every step, computed before a backward loop begins.

        Args:
            inputs: the body's arguments; None where they change.
        """
        known = self._known(inputs)
        _jaxpr.evaluate(self._once, known)
        return [known[var] for e in self._once for var in e.outvars]

    def backward(
        self,
        inputs: Sequence[Any],
        kept: Sequence[Any],
        dys: Gradients,
        once: Sequence[Any] | None = None,
    ) -> list[Any]:
        """One gradient an argument; None where none flows.

        Args:
            inputs: the body's arguments; None where the backward pass does not read them.
            kept: of `forward`.
            dys: one upstream gradient a result; None where none came.
            once: of `once`; None to compute that here.
        """
        known = self._known(inputs)
        known.update(zip(self._kept, kept, strict=True))
        if once is None:
            _jaxpr.evaluate(self._once, known)
        else:
            known.update(zip((var for e in self._once for var in e.outvars), once, strict=True))
        _jaxpr.evaluate(self._every, known)
        given = [dy for dy, flows in zip(dys, self._flows, strict=True) if flows]
        for var, dy in zip(self._dys, given, strict=True):
            known[var] = jnp.zeros_like(_jaxpr.spec(var)) if dy is None else dy
        _jaxpr.evaluate(self._late, known)
        results = iter([_jaxpr.read(known, atom) for atom in self._gradients])
        return [next(results) if f else None for f in self._found]

    def _known(self, inputs: Sequence[Any]) -> dict[Any, Any]:
        return {**self._constants, **dict(zip(self._forward.invars, inputs, strict=True))}


def _variables(atoms: Iterable[Any]) -> set[Any]:
    return {atom for atom in atoms if not _jaxpr.is_literal(atom)}


def _size(var: Any) -> int:
    """Bytes; at least 1, since size 0 says that a value need not be kept."""
    made = _jaxpr.spec(var)
    return max(1, math.prod(made.shape) * made.dtype.itemsize)

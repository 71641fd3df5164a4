"""A body's forward and backward pass, cut apart: what the one must keep for the other, and no more.

The backward pass of a graph needs some of the forward pass's values. Where both run in different programs
(the steps of a loop, the branches of a condition) those values are kept in between. Which ones is read off
the backward pass itself: it is written down once, with every value at hand; what it does not use is not kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from . import _jaxpr
from ._graph import Graph
from ._sweep import pull_back, taken, walk

# Computed again in the backward pass, where their operand is there or smaller: they only move or widen.
_CHEAP = {"broadcast_in_dim", "reshape", "squeeze", "expand_dims", "convert_element_type", "neg", "copy"}


class Plan:
    """How to walk a body forward keeping what is needed, and back.

    Attributes:
        inputs: indices of the body's arguments that the backward pass reads.
        kept: shapes and dtypes of the computed values that it reads.
    """

    def __init__(self, graph: Graph, active: Sequence[bool], invariant: Sequence[bool] = ()):
        """Cuts a body apart.

        Args:
            graph: the body.
            active: which of its arguments a gradient flows back to.
            invariant: which of its arguments are the same in every step of a loop.
        """
        self._graph, self._active = graph, tuple(active)
        shapes = [node.outputs[0] for node in graph.inputs]
        tree: list[Any] = []

        def forward(*inputs: Any) -> tuple[list[Any], list[Any]]:
            values, kept = walk(graph, inputs)
            leaves, structure = jax.tree.flatten((values, kept))
            tree[:] = [structure]
            return taken(values, graph.outputs), leaves

        self._forward, self._forward_consts = _jaxpr.opened(jax.make_jaxpr(forward)(*shapes))
        self._structure = tree[0]
        count = len(graph.outputs)
        self._outputs = self._forward.outvars[:count]
        leaves = self._forward.outvars[count:]
        self._flows = graph.active
        shapes_of_dys = [dy for dy, flows in zip(graph.results, self._flows, strict=True) if flows]
        found: list[Any] = []

        def backward(leaves: Sequence[Any], dys: Sequence[Any]) -> list[Any]:
            values, kept = jax.tree.unflatten(self._structure, leaves)
            given = iter(dys)
            upstream = [next(given) if flows else None for flows in self._flows]
            gradients = pull_back(graph, values, kept, upstream)
            arrived = [gradients.get(i) for i in range(len(shapes))]
            found[:] = [d is not None and a for d, a in zip(arrived, self._active, strict=True)]
            return [d for d, f in zip(arrived, found, strict=True) if f]

        written = jax.make_jaxpr(backward)([_jaxpr.spec(atom.aval) for atom in leaves], shapes_of_dys)
        self._backward, self._backward_consts = _jaxpr.opened(written)
        self._found = list(found)
        self._backward_equations = _jaxpr.live(self._backward.eqns, _variables(self._backward.outvars))
        used = {atom for e in self._backward_equations for atom in e.invars if not _jaxpr.is_literal(atom)}
        used |= _variables(self._backward.outvars)
        self._leaves = [
            (var, atom)
            for var, atom in zip(self._backward.invars[: len(leaves)], leaves, strict=True)
            if var in used
        ]
        self._dys = self._backward.invars[len(leaves) :]
        self._settle(invariant)

    def _settle(self, invariant: Sequence[bool]) -> None:
        """Decides for each value that the backward pass reads: given, kept, or computed again."""
        position = {var: i for i, var in enumerate(self._forward.invars)}
        maker = {var: e for e in self._forward.eqns for var in e.outvars}
        constants = set(self._forward.constvars)
        same = {var for var, i in position.items() if invariant and invariant[i]} | constants
        for equation in self._forward.eqns:
            if all(_jaxpr.is_literal(a) or a in same for a in equation.invars) and not equation.effects:
                same.update(equation.outvars)
        pending = list(dict.fromkeys(a for _, a in self._leaves if not _jaxpr.is_literal(a)))
        kept: dict[Any, None] = {}
        inputs: dict[int, None] = {}
        again: set[Any] = set()
        seen = set(pending)
        while pending:
            var = pending.pop()
            if var in position:
                inputs[position[var]] = None
                continue
            if var in constants:
                continue
            equation = maker[var]
            operands = [a for a in equation.invars if not _jaxpr.is_literal(a)]
            cheap = equation.primitive.name in _CHEAP and all(_size(a) <= _size(var) for a in operands)
            if not (cheap or var in same):
                kept[var] = None
                continue
            again.add(var)
            pending += [a for a in operands if a not in seen]
            seen.update(operands)
        order = {var: n for n, e in enumerate(self._forward.eqns) for var in e.outvars}
        self._kept = sorted(kept, key=order.__getitem__)
        self.inputs = tuple(sorted(inputs))
        self.kept = [_jaxpr.spec(var.aval) for var in self._kept]
        repeated = [e for e in self._forward.eqns if again.intersection(e.outvars)]
        self._once = [e for e in repeated if all(v in same for v in e.outvars)]
        self._every = [e for e in repeated if not all(v in same for v in e.outvars)]
        self._ahead = _jaxpr.live(self._forward.eqns, _variables(self._outputs) | set(kept))

    def forward(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The body's results, and what the backward pass reads of the computed values."""
        known = dict(zip(self._forward.invars, inputs, strict=True))
        known.update(zip(self._forward.constvars, self._forward_consts, strict=True))
        _jaxpr.evaluate(self._ahead, known)
        return [_jaxpr.read(known, atom) for atom in self._outputs], [known[var] for var in self._kept]

    def once(self, inputs: Sequence[Any]) -> list[Any]:
        """What is the same in every step, computed before a backward loop begins.

        Args:
            inputs: the body's arguments; None where they change.
        """
        known = dict(zip(self._forward.invars, inputs, strict=True))
        known.update(zip(self._forward.constvars, self._forward_consts, strict=True))
        _jaxpr.evaluate(self._once, known)
        return [known[var] for e in self._once for var in e.outvars]

    def backward(
        self,
        inputs: Sequence[Any],
        kept: Sequence[Any],
        dys: Sequence[Any],
        once: Sequence[Any] | None = None,
    ) -> list[Any]:
        """One gradient an argument; None where none flows.

        Args:
            inputs: the body's arguments; None where the backward pass does not read them.
            kept: of `forward`.
            dys: one upstream gradient a result; None where none came.
            once: of `once`; None to compute that here.
        """
        known = dict(zip(self._forward.invars, inputs, strict=True))
        known.update(zip(self._forward.constvars, self._forward_consts, strict=True))
        known.update(zip(self._kept, kept, strict=True))
        if once is None:
            _jaxpr.evaluate(self._once, known)
        else:
            known.update(zip((var for e in self._once for var in e.outvars), once, strict=True))
        _jaxpr.evaluate(self._every, known)
        back = {var: _jaxpr.read(known, atom) for var, atom in self._leaves}
        back.update(zip(self._backward.constvars, self._backward_consts, strict=True))
        given = [dy for dy, flows in zip(dys, self._flows, strict=True) if flows]
        for var, dy in zip(self._dys, given, strict=True):
            back[var] = _zeros(var.aval) if dy is None else dy
        _jaxpr.evaluate(self._backward_equations, back)
        results = iter([_jaxpr.read(back, atom) for atom in self._backward.outvars])
        return [next(results) if f else None for f in self._found]


def _variables(atoms: Sequence[Any]) -> set[Any]:
    return {atom for atom in atoms if not _jaxpr.is_literal(atom)}


def _size(var: Any) -> int:
    return math.prod(var.aval.shape) * np.dtype(var.aval.dtype).itemsize if _has_size(var) else 0


def _has_size(var: Any) -> bool:
    return not jax.numpy.issubdtype(var.aval.dtype, jax.dtypes.extended)


def _zeros(aval: Any) -> Any:
    return jax.numpy.zeros(aval.shape, aval.dtype)

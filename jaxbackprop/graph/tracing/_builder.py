"""Equations into nodes: in order, without what no result needs, with a copy wherever a gradient adds up."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxbackprop._jaxpr import (
    JITTED,
    Atom,
    Equation,
    Program,
    call_body,
    call_name,
    function_file,
    is_literal,
    literal,
    opened,
    spec,
)

from .._graph import ADDER, Node, Port, Source
from ._sources import Frame, scope_of, user_frames
from .operations import Build, describe


@dataclasses.dataclass
class Value:
    """A value on the way to becoming a port: where it comes from, and whether a gradient flows through it."""

    node: int
    output: int
    active: bool


class Builder:
    """Collects nodes in order; copies come in at the end, when it is known who uses what."""

    def __init__(self, build: Build) -> None:
        """Begins a graph.

        Args:
            build: makes the graphs of the programs inside equations.
        """
        self._build = build
        self._nodes: list[Node] = []
        self._inputs: list[list[Value]] = []
        self._effects: set[int] = set()

    def input(self, name: str, var: Atom, active: bool) -> Value:
        return self._add(Node(0, name, "input", name, None, (), (spec(var),), active=(active,)), [])[0]

    def constant(self, value: ArrayLike, atom: Atom) -> Value:
        node = Node(0, "constant", "constant", "constant", None, (), (spec(atom),), (), (False,), value=value)
        return self._add(node, [])[0]

    def inline(
        self,
        jaxpr: Program,
        consts: Sequence[Any],
        args: Sequence[Value],
        scope: tuple[str, ...],
        caller: Sequence[Frame] = (),
    ) -> list[Value]:
        """The results of a program, its equations among the nodes.

        Args:
            jaxpr: the program.
            consts: its constants.
            args: its arguments.
            scope: where it stands.
            caller: the lines of the user's code that call it.
        """
        known: dict[Any, Value] = dict(zip(jaxpr.invars, args, strict=True))
        constants = dict(zip(jaxpr.constvars, consts, strict=True))

        def read(atom: Atom) -> Value:
            if is_literal(atom):
                return self.constant(literal(atom), atom)
            if atom not in known:
                known[atom] = self.constant(constants[atom], atom)
            return known[atom]

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            here = scope + scope_of(equation)
            frames = user_frames(equation, caller, function_file(jaxpr))
            if equation.primitive.name in JITTED:
                body, name = call_body(equation), call_name(equation)
                assert body is not None
                results = self.inline(*opened(body), operands, (*here, name) if name else here, frames)
            else:
                source = Source(*frames[0]) if frames else None
                results = self._equation(equation, operands, here, source)
            known.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(
        self, equation: Equation, operands: list[Value], scope: tuple[str, ...], source: Source | None
    ) -> list[Value]:
        flows = tuple(value.active for value in operands)
        made = [spec(var) for var in equation.outvars]
        what = describe(equation, flows, source, self._build)
        floats = [jnp.issubdtype(shape.dtype, jnp.inexact) for shape in made]
        active = tuple(a and f for a, f in zip(what.active, floats, strict=True))
        node = Node(
            index=0,
            name=what.name or what.label,
            kind="operation",
            label=what.label,
            primitive=equation.primitive.name,
            inputs=(),
            outputs=tuple(made),
            active_inputs=flows if any(active) else (False,) * len(flows),
            active=active,
            gate=what.gate,
            formula=what.formula,
            source=source,
            scope=scope,
            operator=what.operator,
            operation=what.operation,
        )
        if equation.effects:
            self._effects.add(len(self._nodes))
        return self._add(node, operands)

    def _add(self, node: Node, operands: list[Value]) -> list[Value]:
        index = len(self._nodes)
        self._nodes.append(node)
        self._inputs.append(operands)
        return [Value(index, k, active) for k, active in enumerate(node.active)]

    def finished(self, outputs: Sequence[Value], keep_all: bool) -> tuple[tuple[Node, ...], tuple[Port, ...]]:
        """The nodes, and where the results come from; with a copy wherever a gradient adds up.

        Args:
            outputs: the results.
            keep_all: keeps nodes that no result needs.
        """
        needed = self._needed(outputs, keep_all)
        # A gradient comes back along every use; from where none is taken, none comes.
        taken = [
            (v.node, v.output)
            for i in needed
            for v, flows in zip(self._inputs[i], self._nodes[i].active_inputs, strict=True)
            if flows
        ]
        uses = Counter(taken + [(v.node, v.output) for v in outputs if v.active])
        nodes: list[Node] = []
        ports: dict[tuple[int, int], Iterator[Port]] = {}
        plain: dict[tuple[int, int], Port] = {}
        numbered = _Numbering()

        def port(value: Value, flows: bool) -> Port:
            key = value.node, value.output
            return next(ports[key]) if flows and key in ports else plain[key]

        for i in needed:
            node, index = self._nodes[i], len(nodes)
            wired = tuple(port(v, f) for v, f in zip(self._inputs[i], node.active_inputs, strict=True))
            nodes.append(
                dataclasses.replace(node, index=index, name=numbered.unique(node.name), inputs=wired)
            )
            for k in range(len(node.outputs)):
                plain[i, k] = Port(index, k)
                if uses[i, k] > 1:
                    copy = _copy(nodes[index], k, uses[i, k], len(nodes), numbered.unique("copy"))
                    nodes.append(copy)
                    ports[i, k] = iter([Port(copy.index, j) for j in range(uses[i, k])])
        ends = tuple(port(value, value.active) for value in outputs)
        return tuple(nodes), ends

    def _needed(self, outputs: Sequence[Value], keep_all: bool) -> list[int]:
        if keep_all:
            return list(range(len(self._nodes)))
        needed = {i for i, node in enumerate(self._nodes) if node.kind == "input"} | set(self._effects)
        needed.update(value.node for value in outputs)
        for i in range(len(self._nodes) - 1, -1, -1):
            if i in needed:
                needed.update(value.node for value in self._inputs[i])
        return sorted(needed)


def _copy(node: Node, output: int, count: int, index: int, name: str) -> Node:
    """The copy of a result that is used so many times."""
    added = " + ".join(f"dy{j}" for j in range(count)) if count <= 4 else "Σ dy"
    return Node(
        index=index,
        name=name,
        kind="copy",
        label="copy",
        primitive=None,
        inputs=(Port(node.index, output),),
        outputs=(node.outputs[output],) * count,
        active_inputs=(True,),
        active=(True,) * count,
        gate=ADDER,
        formula=f"dx = {added}",
        source=node.source,
        scope=node.scope,
    )


class _Numbering:
    """Names that occur once: tanh, tanh_2, tanh_3."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def unique(self, name: str) -> str:
        count = self._counts.get(name, 0) + 1
        while (chosen := name if count == 1 else f"{name}_{count}") in self._taken:
            count += 1
        self._counts[name] = count
        self._taken.add(chosen)
        return chosen

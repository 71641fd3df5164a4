"""A graph as a tree of foldable boxes: named scopes, and numbered parts where a scope is too large."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from ..._graph import ComputationGraph, Node, Port
from .._folding import Group, argument_of, fold_scopes

_ITEMS_AT_MOST = 80
_PARTS = 48


@dataclasses.dataclass(frozen=True)
class Scope:
    """Boxes that fold into one.

    Attributes:
        name: their common scope or argument.
        items: nodes, by their index, and scopes, in a topological order.
    """

    name: str
    items: tuple[int | Scope, ...]

    def nodes(self) -> Iterator[int]:
        """All nodes in it, those of inner scopes included."""
        for item in self.items:
            if isinstance(item, Scope):
                yield from item.nodes()
            else:
                yield item


def scopes(graph: ComputationGraph) -> Scope:
    """The tree of a graph's scopes; no level has more than 80 boxes.

    The scopes of one level, each taken as one box, form no cycle.
    """
    return _limited(Scope(graph.name, _items(graph, range(len(graph.nodes)), 0)), graph)


def _items(graph: ComputationGraph, inside: Sequence[int], depth: int) -> tuple[int | Scope, ...]:
    """The boxes of nodes whose first `depth` scopes are the same."""
    if all(len(graph.nodes[index].scope) <= depth for index in inside):
        return tuple(inside)
    items: list[int | Scope] = []
    for group in _groups(graph, inside, depth):
        members = [inside[i] for i in group.nodes]
        if group.name is None or len(members) == 1:
            items += members
        else:
            items.append(_merged(Scope(group.name, _items(graph, members, depth + 1))))
    return tuple(items)


def _groups(graph: ComputationGraph, inside: Sequence[int], depth: int) -> list[Group]:
    """The nodes grouped by their next scope; a group holds positions in `inside`."""
    place = {index: i for i, index in enumerate(inside)}
    nodes: list[Node] = []
    for i, index in enumerate(inside):
        node = graph.nodes[index]
        ports = tuple(Port(place[p.node], p.output) for p in node.inputs if p.node in place)
        # A copy of a value from outside has no operands here; as an operation it is not moved to its users.
        kind = "operation" if node.kind == "copy" and not ports else node.kind
        nodes.append(dataclasses.replace(node, index=i, inputs=ports, scope=node.scope[depth:], kind=kind))
    return fold_scopes(nodes, 1)


def _merged(scope: Scope) -> Scope:
    """A scope whose only item is a scope, joined with it."""
    while len(scope.items) == 1 and isinstance(scope.items[0], Scope):
        inner = scope.items[0]
        scope = Scope(f"{scope.name}/{inner.name}", inner.items)
    return scope


def _limited(scope: Scope, graph: ComputationGraph) -> Scope:
    """The scope with at most 80 boxes at each level."""
    items = [_limited(item, graph) if isinstance(item, Scope) else item for item in scope.items]
    if len(items) > _ITEMS_AT_MOST:
        items = _by_argument(items, graph)
    return Scope(scope.name, tuple(_in_parts(items)))


def _by_argument(items: Sequence[int | Scope], graph: ComputationGraph) -> list[int | Scope]:
    """The leaves of each argument as one box, before the others, since they depend on nothing."""
    leaves: dict[str, list[int | Scope]] = {}
    rest: list[int | Scope] = []
    for item in items:
        if not isinstance(item, Scope) and graph.nodes[item].kind == "input":
            leaves.setdefault(argument_of(graph.nodes[item]), []).append(item)
        else:
            rest.append(item)
    folded: list[int | Scope] = []
    for argument, found in leaves.items():
        folded += [Scope(argument, tuple(_in_parts(found)))] if len(found) > 1 else found
    return folded + rest


def _in_parts(items: Sequence[int | Scope]) -> list[int | Scope]:
    """Runs of equal length; they are of a topological order, so that they form no cycle."""
    if len(items) <= _ITEMS_AT_MOST:
        return list(items)
    length = -(-len(items) // _PARTS)
    stretches = [items[start : start + length] for start in range(0, len(items), length)]
    return [
        Scope(f"part {k} of {len(stretches)}", tuple(_in_parts(stretch))) if len(stretch) > 1 else stretch[0]
        for k, stretch in enumerate(stretches, start=1)
    ]

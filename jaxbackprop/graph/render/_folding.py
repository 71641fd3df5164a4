"""Groups the nodes of a large graph by scope, so that few enough boxes are drawn."""

from __future__ import annotations

import dataclasses
import heapq
import re
from collections.abc import Callable, Sequence

from .._graph import Node

_Scope = tuple[str, ...] | None


@dataclasses.dataclass(frozen=True)
class Group:
    """Nodes that are drawn as one box.

    Attributes:
        nodes: their indices, ascending.
        name: their common scope ("block/attention") or argument ("params"); None for a single node, and for
            the nodes that were left out for lack of room.
    """

    nodes: tuple[int, ...]
    name: str | None = None


def fold(nodes: Sequence[Node], limit: int) -> list[Group]:
    """Groups nodes until there are at most `limit` groups.

    Nodes fold by the deepest level of scopes that leaves few enough groups. Where even the outermost level
    leaves too many, the leaves of each argument fold too. Where that is not enough, all groups between the
    first and the last ones are left out: they become one group without a name.

    Args:
        nodes: in topological order.
        limit: the most groups, at least 3.

    Returns:
        The groups, in a topological order of the folded graph.
    """
    groups = [Group((node.index,)) for node in nodes]
    if len(groups) <= limit:
        return groups
    deepest = max((len(node.scope) for node in nodes), default=0)
    for depth in range(deepest, 0, -1):
        groups = fold_scopes(nodes, depth)
        if len(groups) <= limit:
            return groups
    groups = _fold_arguments(nodes, groups)
    if len(groups) <= limit:
        return groups
    first, last = limit // 2, limit - limit // 2 - 1
    middle = sorted(index for group in groups[first : len(groups) - last] for index in group.nodes)
    return [*groups[:first], Group(tuple(middle)), *groups[len(groups) - last :]]


def fold_scopes(nodes: Sequence[Node], depth: int) -> list[Group]:
    """One group for each run of nodes of one scope in a topological order, so that groups form no cycle."""

    def scope_of(node: Node) -> _Scope:
        return node.scope[:depth] if len(node.scope) >= depth else None

    groups: list[Group] = []
    stretch: list[int] = []
    current: _Scope = None
    for index in _order(nodes, scope_of):
        scope = scope_of(nodes[index])
        if stretch and (scope is None or scope != current):
            groups.append(_group(stretch, current))
            stretch = []
        stretch.append(index)
        current = scope
    if stretch:
        groups.append(_group(stretch, current))
    return _absorb(nodes, groups)


def _group(stretch: Sequence[int], scope: _Scope) -> Group:
    return Group(tuple(sorted(stretch)), "/".join(scope) if scope and len(stretch) > 1 else None)


def _order(nodes: Sequence[Node], key: Callable[[Node], _Scope]) -> list[int]:
    """A topological order that changes from one scope to another as rarely as it can."""
    missing = [len({port.node for port in node.inputs}) for node in nodes]
    users: list[list[int]] = [[] for _ in nodes]
    for node in nodes:
        for source in {port.node for port in node.inputs}:
            users[source].append(node.index)
    ready: dict[_Scope, list[int]] = {}

    def enter(index: int) -> None:
        heapq.heappush(ready.setdefault(key(nodes[index]), []), index)

    for node in nodes:
        if not missing[node.index]:
            enter(node.index)
    order: list[int] = []
    current: _Scope = None
    while ready:
        if current not in ready:
            # Nodes without a scope first: they interrupt no group, and others may depend on them.
            current = None if None in ready else min(ready, key=lambda scope: ready[scope][0])
        index = heapq.heappop(ready[current])
        if not ready[current]:
            del ready[current]
        order.append(index)
        for user in users[index]:
            missing[user] -= 1
            if not missing[user]:
                enter(user)
    return order


def _absorb(nodes: Sequence[Node], groups: list[Group]) -> list[Group]:
    """Moves constants, and copies of arguments, into the only group that uses them.

    They depend on arguments alone, so that this makes no cycle.
    """
    home = {index: g for g, group in enumerate(groups) for index in group.nodes}
    free = {node.index for node in nodes if node.kind in ("input", "constant")}
    free |= {n.index for n in nodes if n.kind == "copy" and n.inputs[0].node in free and not n.scope}
    users: list[set[int]] = [set() for _ in nodes]
    members = [list(group.nodes) for group in groups]
    for node in reversed(nodes):
        index = node.index
        if index in free and node.kind != "input" and len(users[index]) == 1:
            (target,) = users[index]
            if groups[target].name is not None and home[index] != target:
                members[home[index]].remove(index)
                members[target].append(index)
                home[index] = target
        for port in node.inputs:
            users[port.node].add(home[index])
    return [
        dataclasses.replace(group, nodes=tuple(sorted(inside)))
        for group, inside in zip(groups, members, strict=True)
        if inside
    ]


def _fold_arguments(nodes: Sequence[Node], groups: Sequence[Group]) -> list[Group]:
    """One group for the leaves of each argument."""
    leaves: dict[str, list[int]] = {}
    for node in nodes:
        if node.kind == "input":
            leaves.setdefault(argument_of(node), []).append(node.index)
    folded = [Group(tuple(found), name if len(found) > 1 else None) for name, found in leaves.items()]
    return folded + [group for group in groups if nodes[group.nodes[0]].kind != "input"]


def argument_of(node: Node) -> str:
    """The argument that an input node is a leaf of: "params" for "params['W']"."""
    return re.split(r"[\[.]", node.name, maxsplit=1)[0]

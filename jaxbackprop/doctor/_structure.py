"""What a graph says of the model in it: which inputs are parameters, which nodes are layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop.graph._graph import Graph, Node, Port

# The same numbers, elsewhere or in another form.
_MOVES = frozenset(
    "broadcast_in_dim convert_element_type copy copy_p expand_dims reduce_precision reshape squeeze "
    "transpose".split()
)
_PRODUCTS = frozenset({"dot_general", "conv_general_dilated"})


def parameter_inputs(arguments: Sequence[Any], graph: Graph, argnums: Sequence[int] | None) -> frozenset[int]:
    """The nodes of the inputs that are parameters.

    Args:
        arguments: that were traced.
        graph: of the function.
        argnums: positions of the arguments that hold them. None: the first argument that holds more than one
            array, as parameters mostly come in a dict, a list or a module; where none does, all arguments.
    """
    from jaxbackprop._jaxpr import is_array_leaf

    leaves = [[leaf for leaf in jax.tree.leaves(arg) if is_array_leaf(leaf)] for arg in arguments]
    owners = [position for position, own in enumerate(leaves) for _ in own]
    if argnums is None:
        structured = (
            i for i, arg in enumerate(arguments) if not jax.tree_util.all_leaves([arg]) and _floats(leaves[i])
        )
        first = next(structured, None)
        argnums = range(len(arguments)) if first is None else (first,)
    return frozenset(
        node.index
        for node, owner in zip(graph.inputs, owners, strict=True)
        if owner in argnums and jnp.issubdtype(node.dtype, jnp.floating)
    )


def _floats(leaves: Sequence[Any]) -> bool:
    return any(
        isinstance(leaf, float) or jnp.issubdtype(getattr(leaf, "dtype", jnp.int32), jnp.floating)
        for leaf in leaves
    )


def origin(graph: Graph, port: Port) -> Port:
    """Where a value was made, before it was copied, moved or reshaped."""
    while True:
        node = graph.nodes[port.node]
        if node.kind == "copy" or (node.kind == "operation" and node.primitive in _MOVES):
            port = node.inputs[0]
        else:
            return port


def uncopied(graph: Graph, port: Port) -> Port:
    """Where a value was made, before it was handed on several times."""
    node = graph.nodes[port.node]
    return node.inputs[0] if node.kind == "copy" else port


@dataclasses.dataclass(frozen=True)
class Layer:
    """A node that applies weights.

    Attributes:
        node: which.
        weight: position of the operand that holds them.
        state: position of the operand that they are applied to; None where that is not known.
        sure: whether the one can be told from the other.
    """

    node: Node
    weight: int
    state: int | None
    sure: bool = True


def layers_of(graph: Graph, roots: Sequence[int], parameters: int) -> dict[int, Layer]:
    """The layers, by the node's index.

    Args:
        graph: which.
        roots: for each node, the set of the inputs that it depends on; see `roots_of`.
        parameters: the set of the inputs that are parameters.
    """
    found = {}
    for node in graph.nodes:
        layer = None
        if node.primitive in _PRODUCTS:
            layer = _product(graph, node, roots, parameters)
        elif node.primitive == "custom_vjp_call" and node.label == "linear":
            layer = Layer(node, 1, 0)
        if layer is not None:
            found[node.index] = layer
    # What is a weight elsewhere is one here.
    known = {origin(graph, layer.node.inputs[layer.weight]) for layer in found.values() if layer.sure}
    for i, layer in found.items():
        ways = [origin(graph, port) in known for port in layer.node.inputs[:2]]
        if not layer.sure and ways in ([True, False], [False, True]):
            weight = ways.index(True)
            found[i] = Layer(layer.node, weight, 1 - weight)
    return found


def _product(graph: Graph, node: Node, roots: Sequence[int], parameters: int) -> Layer | None:
    def weights(position: int) -> bool:
        return not roots[node.inputs[position].node] & ~parameters

    def raw(position: int) -> bool:
        return graph.nodes[origin(graph, node.inputs[position]).node].kind != "operation"

    able = [weights(0), weights(1)]
    if able == [False, False]:
        return None
    if node.primitive == "conv_general_dilated":
        return Layer(node, 1, 0)
    if able != [True, True]:
        weight = able.index(True)
        return Layer(node, weight, 1 - weight)
    bare = [raw(0), raw(1)]
    if bare == [False, False]:
        return None
    if bare != [True, True]:
        weight = bare.index(True)
        return Layer(node, weight, 1 - weight)
    return Layer(node, 1, 0, sure=False)


def fan_out(layer: Layer) -> tuple[int, ...]:
    """The axes of a layer's result that are its units."""
    params = getattr(layer.node.operation, "params", {})
    numbers = params.get("dimension_numbers")
    rank = len(layer.node.shape)
    if numbers is None:
        return (rank - 1,)
    if layer.node.primitive == "conv_general_dilated":
        return (int(numbers.out_spec[1]),)
    (left, right), (batch, _) = numbers
    free_right = rank - len(batch) - (len(_operand(layer, 0)) - len(left) - len(batch))
    split = rank - free_right
    return tuple(range(split, rank)) if layer.weight == 1 else tuple(range(len(batch), split))


def _operand(layer: Layer, position: int) -> tuple[int, ...]:
    return tuple(layer.node.operation.operands[position].shape)  # type: ignore[union-attr]


def roots_of(graph: Graph, given: Sequence[int] | None = None) -> list[int]:
    """For each node the inputs that it depends on, as the bits of a number.

    Args:
        graph: which.
        given: those of its inputs; None where the inputs are the first of all.
    """
    found: list[int] = []
    numbers = iter(range(len(graph.inputs)))
    for node in graph.nodes:
        if node.kind == "input":
            i = next(numbers)
            found.append(1 << i if given is None else given[i])
        else:
            joined = 0
            for port in node.inputs:
                joined |= found[port.node]
            found.append(joined)
    return found


def bits(number: int) -> Iterator[int]:
    """The places of the ones in a number."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def reaching(graph: Graph, ends: Collection[int] | None = None) -> set[int]:
    """The nodes that some nodes depend on, those among them; None: what the results depend on."""
    needed = {port.node for port in graph.outputs} if ends is None else set(ends)
    for node in reversed(graph.nodes):
        if node.index in needed:
            needed.update(port.node for port in node.inputs)
    return needed

"""What devices tell each other in a compiled program: its collective operations, read from its text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
_OPERATION = re.compile(rf"^\s*(?:ROOT )?%?[\w.-]+ = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
_BITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Collective:
    """One operation, once run.

    Attributes:
        kind: of `KINDS`.
        shapes: what each device gets of it, as XLA writes it: ``f32[300,20]``.
        bytes: of these.
        devices: how many tell each other.
        nested: whether it stands in a loop or a branch, so that it may run more than once, or not at all.
    """

    kind: str
    shapes: tuple[str, ...]
    bytes: int
    devices: int
    nested: bool


def collectives(program: str) -> list[Collective]:
    """The collective operations of a program.

    Args:
        program: of XLA, as ``compiled.as_text()`` gives it.
    """
    found, nested = [], True
    for line in program.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            nested = not line.startswith("ENTRY")
        if (match := _OPERATION.match(line)) is None:
            continue
        text, kind, start = match.groups()
        shapes = ["{}[{}]".format(*shape) for shape in _SHAPE.findall(text)]
        if start:
            # An operation that is under way holds its operands and its results.
            shapes = shapes[len(shapes) // 2 :]
        size = sum(_bytes(shape) for shape in shapes)
        found.append(Collective(kind, tuple(shapes), size, _devices(line), nested))
    return found


def moved(operations: Iterable[Collective]) -> dict[str, int]:
    """Bytes by kind of operation."""
    sums: dict[str, int] = {}
    for operation in operations:
        sums[operation.kind] = sums.get(operation.kind, 0) + operation.bytes
    return sums


def _bytes(shape: str) -> int:
    kind, sizes = _SHAPE.fullmatch(shape).groups()  # type: ignore[union-attr]
    bits = 8 if kind == "pred" else int(_BITS.findall(kind)[0])
    return math.prod(int(size) for size in sizes.split(",") if size) * bits // 8


def _devices(line: str) -> int:
    """The size of the groups: written out, as an iota, or by axes of a mesh."""
    if groups := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return len(groups[1].split(","))
    if iota := re.search(r"replica_groups=\[\d+,(\d+)\]<=", line):
        return int(iota[1])
    if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{('[^}]*)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", mesh[2]) if axis in sizes)
    if pairs := re.search(r"source_target_pairs=\{(.*?)\}\}", line):
        return pairs[1].count("{")
    return 0

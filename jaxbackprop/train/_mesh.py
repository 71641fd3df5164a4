"""The mesh of devices that a run is split over, as `--mesh data=4,model=2` says it."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ._manifest import RunError

if TYPE_CHECKING:
    from jax.sharding import Mesh

# The axis over which the examples of a batch are split, and that of large parameters.
DATA, MODEL = "data", "model"


def parse_mesh(text: str) -> dict[str, int]:
    """The sizes of a mesh's axes.

    Args:
        text: such as ``data=4`` or ``data=2,model=2``.

    Raises:
        ValueError: it says no mesh.
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if name not in (DATA, MODEL) or not equals or not (number.isascii() and number.isdigit()):
            raise ValueError(f"--mesh must be like data=4 or data=2,model=2, not {text!r}")
        if name in sizes:
            raise ValueError(f"--mesh says {name} twice: {text!r}")
        if not 1 <= int(number) <= 2**20:
            raise ValueError(f"--mesh must have axes of 1 to {2**20} devices, not {text!r}")
        sizes[name] = int(number)
    return {DATA: sizes.get(DATA, 1), MODEL: sizes.get(MODEL, 1)}


def make_mesh(mesh: Mesh | Mapping[str, int] | None) -> Mesh | None:
    """The mesh that is asked for, of this run's devices; on several processes all of them, where none is.

    Args:
        mesh: one of jax, with the axis ``data`` and perhaps ``model``, both Auto; or the sizes of these.

    Raises:
        RunError: there are too few devices, or those of some process would be left out.
        TypeError, ValueError: it is no such mesh.
    """
    import jax
    from jax.sharding import AxisType, Mesh

    devices, hosts = jax.devices(), jax.process_count()
    if mesh is None:
        if hosts == 1:
            return None
        mesh = {DATA: len(devices)}
    if isinstance(mesh, Mesh):
        kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
        if DATA not in kinds or kinds.keys() - {DATA, MODEL} or set(kinds.values()) != {AxisType.Auto}:
            raise ValueError(f"mesh must have Auto axes data and perhaps model, not {kinds}: see axis_types")
        return mesh
    if not isinstance(mesh, Mapping):
        raise TypeError(f"mesh must be a jax.sharding.Mesh or sizes by axis, not {mesh!r:.60}")
    sizes = {DATA: 1, **mesh}
    if sizes.keys() - {DATA, MODEL} or not all(map(_is_size, sizes.values())):
        raise ValueError(f"mesh must give positive sizes of the axes data and perhaps model, not {mesh!r}")
    needed = math.prod(sizes.values())
    said = ",".join(f"{name}={size}" for name, size in sizes.items())
    if needed > len(devices):
        there = "is 1" if len(devices) == 1 else f"are {len(devices)}"
        forced = (
            f"; XLA_FLAGS=--xla_force_host_platform_device_count={needed} makes one CPU show as {needed}"
            if jax.default_backend() == "cpu" and hosts == 1
            else ""
        )
        raise RunError(f"the mesh {said} needs {needed} devices, but there {there}{forced}")
    if hosts > 1 and needed != len(devices):
        raise RunError(f"the mesh {said} has {needed} devices, but the {hosts} processes have {len(devices)}")
    shape, names = tuple(sizes.values()), tuple(sizes)
    return jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * len(names), devices=devices[:needed])


def _is_size(size: object) -> bool:
    # NumPy's integers too; numpy itself is not imported for the command line's sake.
    return hasattr(size, "__index__") and not isinstance(size, bool) and operator.index(size) > 0

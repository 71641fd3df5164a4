"""The machine a run is made on: what the last bits of its figures depend on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import jax
from jax.sharding import Mesh

from jaxbackprop._version import __version__

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def describe_machine(mesh: Mesh | None = None) -> dict[str, Any]:
    """The machine as JSON holds it: versions, device, platform, threads, processes and the mesh of a run."""
    affinity = getattr(os, "sched_getaffinity", None)
    processes = jax.process_count()
    return {
        "versions": {
            "jaxbackprop": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
        "device": str(jax.devices()[0].device_kind),
        "platform": jax.default_backend(),
        "threads": len(affinity(0)) if affinity is not None else os.cpu_count(),
        "processes": processes if processes > 1 else None,
        "mesh": None if mesh is None else ",".join(f"{name}={size}" for name, size in mesh.shape.items()),
    }

"""The figures that are taken of values and gradients while both passes run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxbackprop._precision import accumulator
from jaxbackprop.graph import Port

from ._activations import Activation
from ._measurement_plan import MeasurementPlan
from ._thresholds import threshold

PortKey = tuple[int, int]
"""Node and output of a port: as a dictionary's key in a pytree it must have an order."""


class ForwardFigures(NamedTuple):
    """What was measured in the forward pass; inside a loop every figure has an axis of steps.

    Attributes:
        size: by node, the norm of its first result, or the largest magnitude in any of its results.
        saturated: by activation, the share of saturated entries.
        alive: by relu, which units are positive for some example; where it is not sure which axes are units,
            under "examples" also the other way round.
        inner: the figures of programs inside nodes.
    """

    size: dict[int, jax.Array]
    saturated: dict[int, jax.Array]
    alive: dict[int, dict[str, jax.Array]]
    inner: dict[int, ForwardFigures]


class CarryFigures(NamedTuple):
    """Norms of a carry's gradient in each step.

    Attributes:
        before: of the gradient that leaves the step, towards earlier ones.
        total: of the gradient that comes to the step.
        added: of the part of `total` that comes from this step's own result and not from later steps.
    """

    before: jax.Array
    total: jax.Array
    added: jax.Array


class UnderflowFigures(NamedTuple):
    """Norms of a gradient in 16 bits or fewer, both times the scale.

    Attributes:
        lost: of what it loses where it is not scaled.
        whole: of the gradient.
    """

    lost: jax.Array
    whole: jax.Array


class BackwardFigures(NamedTuple):
    """What was measured in the backward pass; inside a loop every figure has an axis of steps.

    Attributes:
        gradient: by port, the norm or largest magnitude of the gradient that came to it.
        underflow: where the pass was scaled, by port in a dtype of 16 bits or fewer.
        inner: the figures of programs inside nodes, those that a gradient came to.
        carries: in the body of a loop, by carry.
    """

    gradient: dict[PortKey, jax.Array]
    underflow: dict[PortKey, UnderflowFigures]
    inner: dict[int, BackwardFigures]
    carries: dict[int, CarryFigures]


class UpdateFigures(NamedTuple):
    """What was measured of the optimizer's update of a parameter.

    Attributes:
        norm: of the update.
        of: the norm of the parameter.
        lost: of a parameter in 16 bits, the share of entries that have an update and stay as they were.
    """

    norm: jax.Array
    of: jax.Array
    lost: jax.Array | None

    @property
    def ratio(self) -> float | None:
        """The norm of the update by that of the parameter; None where that is 0."""
        return float(self.norm) / float(self.of) if float(self.of) > 0 else None


def port_key(port: Port) -> PortKey:
    """The key of a port's figures."""
    return port.node, port.output


def norm(x: ArrayLike) -> jax.Array:
    """The Euclidean norm, in float32 or wider, correct also where the squares overflow or underflow."""
    x = jnp.asarray(x)
    if x.size == 0:
        return jnp.zeros((), jnp.float32)
    x = jnp.abs(x)
    x = x.astype(accumulator(x.dtype))
    largest = jnp.max(x)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, jnp.ones_like(largest))
    return largest * jnp.sqrt(jnp.sum(jnp.square(x / scale))) if x.ndim else largest


def size(plan: MeasurementPlan, results: Sequence[ArrayLike]) -> jax.Array:
    """The norm of the first floating-point result; in an exhaustive plan the largest magnitude of all."""
    floats = [jnp.asarray(x) for x in results if is_float(x)]
    if not plan.exhaustive:
        return norm(floats[0])
    largest = jnp.zeros((), jnp.float32)
    for x in floats:
        # A nan in x makes the largest magnitude nan.
        largest = jnp.maximum(largest, jnp.max(jnp.abs(x), initial=0).astype(jnp.float32))
    return largest


def is_float(x: ArrayLike) -> bool:
    """Whether a value is real or complex and not of integers."""
    return jnp.issubdtype(jnp.asarray(x).dtype, jnp.inexact)


def saturated_share(activation: Activation, y: ArrayLike) -> jax.Array:
    """The share of an activation's results whose slope is nearly 0."""
    y = jnp.asarray(y).astype(jnp.float32)
    if activation.kind == "hardtanh":
        flat = jnp.abs(y) >= activation.bound
    else:
        # The slope by the largest slope: y (1 - y) is at most 1/4, and 1 - y² at most 1.
        slope = 4 * y * (1 - y) if activation.kind == "sigmoid" else 1 - y * y
        flat = slope < threshold("saturated slope")
    return jnp.mean(flat.astype(jnp.float32))


def alive_units(activation: Activation, y: ArrayLike) -> dict[str, jax.Array]:
    """Which units are positive for some example; see `ForwardFigures.alive`."""
    positive = jnp.asarray(y) > 0
    found = {"units": jnp.any(positive, tuple(a for a in range(positive.ndim) if a not in activation.units))}
    if not activation.sure:
        found["examples"] = jnp.any(positive, activation.units)
    return found


def is_narrow(dtype: DTypeLike) -> bool:
    """Whether a dtype holds floating-point numbers in 16 bits or fewer."""
    return jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4


def least_number(dtype: DTypeLike) -> float:
    """The distance of the least numbers of a narrow dtype; what is below half of it is 0.

    A dtype with float32's range has float32's fate: compilers let numbers below the normal ones be 0.
    """
    limits = jnp.finfo(dtype)
    tiny = float(limits.tiny)
    return tiny if tiny <= float(jnp.finfo(jnp.float32).tiny) else float(limits.smallest_subnormal)


def underflow(gradient: jax.Array, scale: jax.Array) -> UnderflowFigures:
    """What a gradient in a narrow dtype would lose to underflow if it were not scaled.

    Args:
        gradient: times the scale.
        scale: a power of 2, a float32 scalar.
    """
    wide, least = gradient.astype(jnp.float32), least_number(gradient.dtype)
    tiny = float(jnp.finfo(gradient.dtype).tiny)
    # Not by a cast there and back, which compilers leave out.
    kept = jnp.zeros_like(wide) if least == tiny else jnp.round(wide / (least * scale)) * (least * scale)
    lost = jnp.where(jnp.abs(wide) < tiny * scale, wide - kept, 0)
    return UnderflowFigures(norm(lost), norm(wide))

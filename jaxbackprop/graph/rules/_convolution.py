"""Convolution: both gradients are convolutions again, of the same number of multiplications.

Along one spatial axis, with stride s, the input's entries set l places apart and the kernel's r, and `low`
zeros before,

    y[o] = sum over t and j of x[j] w[t], where o s + t r = j l + low.

The equation ties an output, a tap and an input together, and is symmetric in the three: solved for j it gives
dx from dy and w, solved for t it gives dw from x and dy. Strides and dilations change places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._rule import Local, rule

Pads = list[tuple[int, int]]


@rule("conv_general_dilated", formula="da = dy * reversed b, db = a * dy")
def _conv_general_dilated(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if 0 in (*at.operands[0].shape, *at.operands[1].shape, *dy.shape):
        return jnp.zeros(at.operands[i].shape, at.operands[i].dtype)
    gradient = _of_kernel(at, dy) if i else _of_input(at, dy)
    return gradient.astype(at.operands[i].dtype)


def _of_input(at: Local, dy: jax.Array) -> jax.Array:
    """Each input gets the gradients of the outputs that saw it, times the tap that they saw it through."""
    params = at.params
    x_spec, w_spec, y_spec = params["dimension_numbers"]
    batches = params["batch_group_count"]
    groups = max(params["feature_group_count"], batches)
    # What was grouped by outputs is grouped by inputs on the way back.
    kernel = _regroup(at.x[1].astype(dy.dtype), w_spec[0], w_spec[1], groups)
    # Output o saw input j through tap t where j l + (T-1-t) r = o s + (T-1) r - low: taps run backwards.
    dx = lax.conv_general_dilated(
        dy,
        lax.rev(kernel, w_spec[2:]),
        window_strides=params["lhs_dilation"],
        padding=_pads_of_input(at),
        lhs_dilation=params["window_strides"],
        rhs_dilation=params["rhs_dilation"],
        dimension_numbers=lax.ConvDimensionNumbers(y_spec, (w_spec[1], w_spec[0], *w_spec[2:]), x_spec),
        feature_group_count=groups,
        precision=params["precision"],
        preferred_element_type=params["preferred_element_type"],
    )
    return _regroup(dx, x_spec[1], x_spec[0], batches)


def _of_kernel(at: Local, dy: jax.Array) -> jax.Array:
    """Each tap gets the inputs that it saw, times the gradients of the outputs that it saw them for."""
    params = at.params
    x_spec, w_spec, y_spec = params["dimension_numbers"]
    # Tap t sees input j for output o where t r + o s = j l + low. Batch and features change places, since the
    # sum is over the batch now, and so do groups of features and groups of the batch.
    return lax.conv_general_dilated(
        at.x[0].astype(dy.dtype),
        dy,
        window_strides=params["rhs_dilation"],
        padding=_pads_of_kernel(at),
        lhs_dilation=params["lhs_dilation"],
        rhs_dilation=params["window_strides"],
        dimension_numbers=lax.ConvDimensionNumbers(
            (x_spec[1], x_spec[0], *x_spec[2:]),
            (y_spec[1], y_spec[0], *y_spec[2:]),
            (w_spec[1], w_spec[0], *w_spec[2:]),
        ),
        feature_group_count=params["batch_group_count"],
        batch_group_count=params["feature_group_count"],
        precision=params["precision"],
        preferred_element_type=params["preferred_element_type"],
    )


def _pads_of_input(at: Local) -> Pads:
    """The padding of dy under which there are as many results as inputs."""
    pads = []
    for n, taps, outputs, stride, (low, _), apart, dilation in _axes(at):
        pads.append(mirrored_padding(n, taps, outputs, stride, low, apart, dilation))
    return pads


def mirrored_padding(
    n: int, taps: int, outputs: int, stride: int, low: int, apart: int, dilation: int
) -> tuple[int, int]:
    """Along one axis, the padding of dy, its entries a stride apart, that gives each input one result."""
    return (taps - 1) * dilation - low, (n - 1) * apart + low - (outputs - 1) * stride


def _pads_of_kernel(at: Local) -> Pads:
    """The padding of the input under which there are as many results as taps."""
    pads = []
    for n, taps, outputs, stride, (low, _), apart, dilation in _axes(at):
        pads.append((low, (taps - 1) * dilation + (outputs - 1) * stride - (n - 1) * apart - low))
    return pads


def _axes(at: Local) -> Iterator[tuple[Any, ...]]:
    """For each spatial axis: inputs, taps, outputs, stride, padding, dilation of the input, of the kernel."""
    params = at.params
    arrays = (*at.operands, *at.results)
    sizes: list[Sequence[int]] = [
        [array.shape[axis] for axis in spec[2:]]
        for array, spec in zip(arrays, params["dimension_numbers"], strict=True)
    ]
    names = ("window_strides", "padding", "lhs_dilation", "rhs_dilation")
    return zip(*sizes, *(params[name] for name in names), strict=True)


def _regroup(x: jax.Array, source: int, target: int, groups: int) -> jax.Array:
    """Makes groups, the outer part of one axis, the outer part of another."""
    if groups == 1:
        return x
    x = x.reshape(*x.shape[:source], groups, x.shape[source] // groups, *x.shape[source + 1 :])
    x = jnp.moveaxis(x, source, target)
    return x.reshape(*x.shape[:target], groups * x.shape[target + 1], *x.shape[target + 2 :])

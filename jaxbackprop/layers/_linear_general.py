"""LinearGeneral: an affine layer between several axes, on `ops.linear`."""

from __future__ import annotations

import math
from collections.abc import Iterable

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax.nn.initializers import Initializer, xavier_uniform, zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxbackprop import ops


class LinearGeneral(nnx.Module):
    """Affine map from some axes to others, as `flax.nnx.LinearGeneral`, whose gradients are hand-derived.

    Flax's `batch_axis`, `precision`, `dot_general`, `preferred_element_type` and `promote_dtype` have no
    counterpart.

    Attributes:
        kernel: (*in_features, *out_features).
        bias: (*out_features,), or None.
    """

    def __init__(
        self,
        in_features: int | Iterable[int],
        out_features: int | Iterable[int],
        *,
        axis: int | Iterable[int] = -1,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        kernel_init: Initializer = xavier_uniform(),  # noqa: B008  (a pure function, as in flax)
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        """Draws the parameters.

        Args:
            in_features: lengths of the inputs' axes that are mapped, in their order there.
            out_features: lengths of the axes that they become, which come last.
            axis: which axes of the inputs are mapped.
            use_bias: whether to add a bias.
            dtype: of the computation; None infers it from inputs and parameters.
            param_dtype: of the parameters.
            kernel_init: Xavier uniform unless told; draws the matrix of all inputs by all outputs.
            bias_init: zeros unless told.
            rngs: source of the `params` keys.

        Raises:
            ValueError: where in_features and axis differ in number.
        """
        self.in_features = _as_tuple(in_features)
        self.out_features = _as_tuple(out_features)
        self.axis = _as_tuple(axis)
        if len(self.in_features) != len(self.axis):
            raise ValueError(f"in_features and axis must be as many, got {self.in_features} and {self.axis}")
        self.use_bias = use_bias
        self.dtype = dtype
        self.param_dtype = param_dtype
        n, m = math.prod(self.in_features), math.prod(self.out_features)
        kernel = kernel_init(rngs.params(), (n, m), param_dtype)
        self.kernel = nnx.Param(kernel.reshape(*self.in_features, *self.out_features))
        self.bias: nnx.Param | None
        if use_bias:
            self.bias = nnx.Param(bias_init(rngs.params(), (m,), param_dtype).reshape(self.out_features))
        else:
            self.bias = nnx.data(None)

    def __call__(self, inputs: Float[Array, "..."]) -> Float[Array, "..."]:
        """Maps the axes; those that stay come first, in their order.

        Raises:
            ValueError: where the inputs lack an axis, or its length is another.
        """
        lengths = self._lengths(inputs)
        if lengths != self.in_features:
            wanted = f"{self.in_features} entries along axes {self.axis}"
            raise ValueError(f"inputs must have {wanted}, got shape {inputs.shape}")
        bias = None if self.bias is None else self.bias[...].reshape(-1)
        inputs, kernel, bias = promote_dtype((inputs, self.kernel[...], bias), dtype=self.dtype)
        n = len(self.axis)
        inputs = jnp.moveaxis(inputs, self._axes(inputs), range(-n, 0))
        rows, columns = math.prod(self.in_features), math.prod(self.out_features)
        y = ops.linear(
            inputs.reshape(*inputs.shape[: inputs.ndim - n], rows), kernel.reshape(rows, columns).T, bias
        )
        return y.reshape(*y.shape[:-1], *self.out_features)

    def _axes(self, inputs: Array) -> tuple[int, ...]:
        return tuple(sorted(axis % inputs.ndim for axis in self.axis))

    def _lengths(self, inputs: Array) -> tuple[int, ...] | None:
        if any(not -inputs.ndim <= axis < inputs.ndim for axis in self.axis):
            return None
        axes = self._axes(inputs)
        return tuple(inputs.shape[axis] for axis in axes) if len(set(axes)) == len(axes) else None


def _as_tuple(value: int | Iterable[int]) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, Iterable) else (value,)

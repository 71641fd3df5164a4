"""Linear: an affine layer on `ops.linear`."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax.nn.initializers import Initializer, xavier_uniform, zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxbackprop import ops

from ._parameters import optional_param


class Linear(nnx.Module):
    """Affine map of the last axis, as `flax.nnx.Linear`, whose gradients are hand-derived.

    Attributes:
        kernel: (in_features, out_features), flax's orientation; the operator receives its transpose.
        bias: (out_features,), or None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        kernel_init: Initializer = xavier_uniform(),  # noqa: B008  (a pure function, as in flax)
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        """Draws the parameters.

        Args:
            in_features: length of the input's last axis.
            out_features: length of the output's last axis.
            use_bias: whether to add a bias.
            dtype: of the computation; None infers it from input and parameters.
            param_dtype: of the parameters.
            kernel_init: Xavier uniform unless told; `layers.symmetric_uniform(r)` draws from [-r, r).
            bias_init: zeros unless told.
            rngs: source of the `params` key.
        """
        self.kernel = nnx.Param(kernel_init(rngs.params(), (in_features, out_features), param_dtype))
        self.bias = optional_param(use_bias, bias_init, rngs, (out_features,), param_dtype)
        self.in_features = in_features
        self.out_features = out_features
        self.use_bias = use_bias
        self.dtype = dtype
        self.param_dtype = param_dtype

    def __call__(self, inputs: Float[Array, "... n"]) -> Float[Array, "... m"]:
        """Maps (..., in_features) to (..., out_features)."""
        bias = None if self.bias is None else self.bias[...]
        inputs, kernel, bias = promote_dtype((inputs, self.kernel[...], bias), dtype=self.dtype)
        return ops.linear(inputs, kernel.T, bias)

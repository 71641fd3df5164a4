"""Layer normalisation: a layer on `ops.layer_norm`."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax.nn.initializers import Initializer, ones, zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxbackprop import ops

from ._parameters import optional_param


class LayerNorm(nnx.Module):
    """Normalisation of every row over its last axis, as `flax.nnx.LayerNorm`; its gradients are hand-derived.

    The variance is always the mean of squared differences (flax: `use_fast_variance=False`). Flax's other
    axes, `axis_name`, `mask` and `promote_dtype` have no counterpart.

    Attributes:
        scale: (num_features,), or None.
        bias: (num_features,), or None.
    """

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Initializer = zeros,
        scale_init: Initializer = ones,
        rngs: nnx.Rngs,
    ):
        """Makes the parameters.

        Args:
            num_features: length of the inputs' last axis.
            epsilon: added to the variance.
            dtype: of the computation; None infers it from inputs and parameters.
            param_dtype: of the parameters.
            use_bias: whether to add a bias.
            use_scale: whether to multiply by a scale; not needed before a linear layer.
            bias_init: zeros unless told.
            scale_init: ones unless told.
            rngs: source of the `params` keys.
        """
        self.scale = optional_param(use_scale, scale_init, rngs, (num_features,), param_dtype)
        self.bias = optional_param(use_bias, bias_init, rngs, (num_features,), param_dtype)
        self.num_features = num_features
        self.epsilon = epsilon
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.use_bias = use_bias
        self.use_scale = use_scale

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        """Normalises (..., num_features) row by row.

        Raises:
            ValueError: where x ends in another number.
        """
        if x.ndim == 0 or x.shape[-1] != self.num_features:
            raise ValueError(f"x must end in an axis of {self.num_features} features, got shape {x.shape}")
        scale = None if self.scale is None else self.scale[...]
        bias = None if self.bias is None else self.bias[...]
        x, scale, bias = promote_dtype((x, scale, bias), dtype=self.dtype)
        return ops.layer_norm(x, scale, bias, epsilon=self.epsilon)

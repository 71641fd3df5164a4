"""Batch normalisation: a layer on `ops.batch_norm` that averages its statistics for inference."""

from __future__ import annotations

from collections.abc import Hashable

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax import lax
from jax.nn.initializers import Initializer, ones, zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jaxbackprop import ops

from ._parameters import optional_param


class BatchNorm(nnx.Module):
    """Batch normalisation of one axis, as `flax.nnx.BatchNorm`, whose gradients are hand-derived.

    After `model.train()` it normalises with the batch's statistics and averages them, after `model.eval()`
    it uses the averages.
    The variance is always the mean of squared differences (flax: `use_fast_variance=False`), and where places
    of `axis_name` mask different numbers of rows, rows count and not places. Flax's `axis_index_groups`,
    several feature axes and `promote_dtype` have no counterpart; no gradient flows through the averages.

    Attributes:
        mean: running average of the mean, (num_features,), in float32 as flax's.
        var: running average of the biased variance, likewise.
        scale: (num_features,), or None.
        bias: (num_features,), or None.
    """

    def __init__(
        self,
        num_features: int,
        *,
        use_running_average: bool | None = False,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-5,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Initializer = zeros,
        scale_init: Initializer = ones,
        axis_name: Hashable = None,
        rngs: nnx.Rngs,
    ):
        """Starts the averages at mean 0 and variance 1.

        Args:
            num_features: length of the inputs' feature axis.
            use_running_average: whether the averages are used instead of the batch's statistics; None leaves
                it to the call.
            axis: the feature axis of the inputs.
            momentum: share of a running average that stays, in [0, 1].
            epsilon: added to the variance.
            dtype: of the computation; None infers it from inputs and parameters.
            param_dtype: of scale and bias.
            use_bias: whether to add a bias.
            use_scale: whether to multiply by a scale; not needed before a linear layer.
            bias_init: zeros unless told.
            scale_init: ones unless told.
            axis_name: of a mapped axis whose places hold one batch together.
            rngs: source of the `params` keys.
        """
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must lie in [0, 1], got {momentum}")
        self.mean = nnx.BatchStat(jnp.zeros(num_features, jnp.float32))
        self.var = nnx.BatchStat(jnp.ones(num_features, jnp.float32))
        self.scale = optional_param(use_scale, scale_init, rngs, (num_features,), param_dtype)
        self.bias = optional_param(use_bias, bias_init, rngs, (num_features,), param_dtype)
        self.num_features = num_features
        self.use_running_average = use_running_average
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.use_bias = use_bias
        self.use_scale = use_scale
        self.axis_name = axis_name

    def __call__(
        self,
        x: Float[Array, "..."],
        use_running_average: bool | None = None,
        *,
        mask: Bool[Array, "..."] | None = None,
    ) -> Float[Array, "..."]:
        """Normalises, and in training moves the averages.

        Args:
            x: any shape with `num_features` entries along `axis`.
            use_running_average: overrides the constructor's.
            mask: which entries count in the batch's statistics; broadcasts to x as flax's does, with one
                entry along `axis`: features are not masked apart.

        Raises:
            ValueError: where neither the constructor nor the call says which statistics to use, or shapes do
                not fit.
        """
        if use_running_average is None:
            use_running_average = self.use_running_average
        if use_running_average is None:
            raise ValueError("use_running_average must be given to the constructor or to the call")
        if not -x.ndim <= self.axis < x.ndim or x.shape[self.axis] != self.num_features:
            raise ValueError(
                f"x must have {self.num_features} entries along axis {self.axis}, got shape {x.shape}"
            )
        scale = None if self.scale is None else self.scale[...]
        bias = None if self.bias is None else self.bias[...]
        mean, var = self.mean[...], self.var[...]
        x, _, scale, bias = promote_dtype((x, mean, scale, bias), dtype=self.dtype)
        rows = jnp.moveaxis(x, self.axis, -1)
        if use_running_average:
            # Not rounded to half precision, unlike flax's.
            wide = x.dtype if x.dtype == jnp.float64 else jnp.float32
            y = ops.batch_norm_inference(
                rows, mean.astype(wide), var.astype(wide), scale, bias, epsilon=self.epsilon
            )
        else:
            counted = None if mask is None else self._counted(mask, x)
            y, *batch = ops.batch_norm(
                rows, scale, bias, counted, epsilon=self.epsilon, axis_name=self.axis_name
            )
            for running, new in zip((self.mean, self.var), batch, strict=True):
                new = lax.stop_gradient(new).astype(running[...].dtype)
                running[...] = self.momentum * running[...] + (1 - self.momentum) * new
        return jnp.moveaxis(y, -1, self.axis)

    def _counted(self, mask: Array, x: Array) -> Array:
        one_feature = list(x.shape)
        one_feature[self.axis] = 1
        if mask.ndim != x.ndim or any(m not in (1, n) for m, n in zip(mask.shape, one_feature, strict=True)):
            raise ValueError(f"mask must broadcast to {tuple(one_feature)}, got {mask.shape}")
        return jnp.squeeze(jnp.broadcast_to(mask, one_feature), self.axis)

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Sets what `nnx.view` may set."""
        if use_running_average is not None:
            self.use_running_average = use_running_average

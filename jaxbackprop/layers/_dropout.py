"""Dropout: a layer on `ops.dropout` that draws its own keys."""

from __future__ import annotations

import jax
from flax import nnx
from jaxtyping import Array, Float

from jaxbackprop import ops


class Dropout(nnx.Module):
    """Inverted dropout, as `flax.nnx.Dropout`, whose gradient is hand-derived.

    `model.train()` and `model.eval()` switch it on and off.
    """

    def __init__(
        self,
        rate: float,
        *,
        deterministic: bool = False,
        rng_collection: str = "dropout",
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ):
        """Takes a stream of keys.

        Args:
            rate: probability that an entry is dropped, in [0, 1].
            deterministic: whether inputs pass unchanged.
            rng_collection: the stream of `rngs` to draw from.
            rngs: source of keys; may be None where every call brings its own.
        """
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must lie in [0, 1], got {rate}")
        self.rate = rate
        self.deterministic = deterministic
        self.rng_collection = rng_collection
        self.rngs: nnx.RngStream | None
        if rngs is None:
            self.rngs = nnx.data(None)
        else:
            self.rngs = (rngs[rng_collection] if isinstance(rngs, nnx.Rngs) else rngs).fork()

    def __call__(
        self,
        inputs: Float[Array, "..."],
        *,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | jax.Array | None = None,
    ) -> Float[Array, "..."]:
        """Thins the inputs.

        Args:
            inputs: any shape.
            deterministic: overrides the constructor's.
            rngs: overrides the constructor's; a key is used as it is.

        Raises:
            ValueError: where a key is needed and there is none.
        """
        if (self.deterministic if deterministic is None else deterministic) or self.rate == 0:
            return ops.dropout(inputs, None, self.rate, deterministic=True)
        source = self.rngs if rngs is None else rngs
        if source is None:
            raise ValueError(
                "rngs must be given to the constructor or to the call, for dropout is not deterministic"
            )
        if isinstance(source, nnx.Rngs):
            source = source[self.rng_collection]
        key = source() if isinstance(source, nnx.RngStream) else source
        return ops.dropout(inputs, key, self.rate)

    def set_view(self, deterministic: bool | None = None) -> None:
        """Sets what `nnx.view` may set."""
        if deterministic is not None:
            self.deterministic = deterministic

"""The vanilla recurrent network: a cell, and the layer that runs it over sequences with `ops.rnn`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from flax.nnx.nn.recurrent import flip_sequences
from jax import lax
from jax.nn.initializers import Initializer, orthogonal, xavier_uniform, zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxbackprop import ops
from jaxbackprop._shapes import as_choice, as_static_bool

from ._linear import Linear

_ACTIVATIONS = {
    "tanh": (ops.tanh, nnx.tanh, jnp.tanh, lax.tanh),
    "relu": (ops.relu, nnx.relu, jax.nn.relu),
}


class SimpleCell(nnx.RNNCellBase):
    """One step h' = f(W_i x + b + W_h h), as `flax.nnx.SimpleCell`, whose gradients are hand-derived.

    Flax's `residual`, `carry_init` in the constructor, `keep_rngs` and `promote_dtype` have no counterpart,
    and dtype is inferred unless it is given (flax: float32).

    Attributes:
        dense_i: `Linear` from in_features, with the bias.
        dense_h: `Linear` from the state, without.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        activation_fn: Literal["tanh", "relu"] | Callable[..., Any] = "tanh",
        kernel_init: Initializer = xavier_uniform(),  # noqa: B008  (pure functions, as in flax)
        recurrent_kernel_init: Initializer = orthogonal(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        """Draws the parameters.

        Args:
            in_features: length of the inputs' last axis.
            hidden_features: length of the state.
            dtype: of the computation; None infers it from inputs, state and parameters.
            param_dtype: of the parameters, and of a state that starts.
            activation_fn: f: "tanh", "relu", or one of the functions of those names in `jaxbackprop.ops`,
                `flax.nnx`, `jax.numpy`, `jax.nn` and `jax.lax`.
            kernel_init: of the inputs' weights, Xavier uniform unless told.
            recurrent_kernel_init: of the state's weights, orthogonal unless told: every eigenvalue
                has modulus 1.
            bias_init: zeros unless told.
            rngs: source of the `params` keys.

        Raises:
            ValueError: where activation_fn is another one.
        """
        self.in_features = in_features
        self.hidden_features = hidden_features
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.activation = _activation_name(activation_fn)
        self.dense_h = Linear(
            hidden_features,
            hidden_features,
            use_bias=False,
            dtype=dtype,
            param_dtype=param_dtype,
            kernel_init=recurrent_kernel_init,
            rngs=rngs,
        )
        self.dense_i = Linear(
            in_features,
            hidden_features,
            dtype=dtype,
            param_dtype=param_dtype,
            kernel_init=kernel_init,
            bias_init=bias_init,
            rngs=rngs,
        )

    def __call__(
        self, carry: Float[Array, "... m"], inputs: Float[Array, "... n"]
    ) -> tuple[Float[Array, "... m"], Float[Array, "... m"]]:
        """The next state, twice: as carry and as output."""
        state = self.run(inputs[..., None, :], carry)[..., 0, :]
        return state, state

    def run(
        self,
        inputs: Float[Array, "... T n"],
        carry: Float[Array, "... m"],
        mask: Array | None = None,
        keep: Literal["y", "x"] | None = None,
        checkpoint: int | Literal["sqrt"] | None = None,
        return_sequences: bool = True,
    ) -> Float[Array, "... T m"] | Float[Array, "... m"]:
        """The states after every one of T steps, or after the last; see `ops.rnn` for the options."""
        assert self.dense_i.bias is not None
        parameters = (self.dense_i.kernel[...], self.dense_h.kernel[...], self.dense_i.bias[...])
        x, W_x, W_h, b, h0 = promote_dtype((inputs, *parameters, carry), dtype=self.dtype)
        return ops.rnn(
            *(x, W_x.T, W_h.T, b, h0, mask),
            activation=self.activation,
            keep=keep,
            checkpoint=checkpoint,
            return_sequences=return_sequences,
        )

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: Initializer | None = None,
    ) -> Float[Array, "... m"]:
        """A state to start from.

        Args:
            input_shape: shape of the inputs of one step.
            rngs: source of the `carry` key; not needed for zeros.
            carry_init: zeros unless told.

        Raises:
            ValueError: where carry_init needs a key and there is none.
        """
        shape = (*input_shape[:-1], self.hidden_features)
        if carry_init is None:
            return jnp.zeros(shape, self.param_dtype)
        if rngs is None:
            raise ValueError("rngs must be given where carry_init is")
        key = rngs.carry() if isinstance(rngs, nnx.Rngs) else rngs()
        return carry_init(key, shape, self.param_dtype)

    @property
    def num_feature_axes(self) -> int:
        """Axes of one step's inputs that are no batch."""
        return 1


def _activation_name(function: str | Callable[..., Any]) -> Literal["tanh", "relu"]:
    name: Literal["tanh", "relu"]
    for name in ("tanh", "relu"):
        if function == name or function in _ACTIVATIONS[name]:
            return name
    raise ValueError(f"activation_fn must be 'tanh' or 'relu', or that function, got {function!r}")


class RNN(nnx.Module):
    """A `SimpleCell` run over sequences, as `flax.nnx.RNN`, whose gradients are hand-derived.

    Behind the end that `seq_lengths` gives, the state stays and padding is not read (flax runs on, and its
    outputs there are of no use). The first state is zeros, unless `initial_carry` is given. Flax's `unroll`,
    `state_axes` and `broadcast_rngs` have no counterpart.

    Attributes:
        cell: the `SimpleCell`.
        rngs: the stream that the cell may draw a first state from, as flax's; a `SimpleCell` does not.
    """

    def __init__(
        self,
        cell: SimpleCell,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        keep: Literal["y", "x"] | None = None,
        checkpoint: int | Literal["sqrt"] | None = None,
        return_sequences: bool = True,
        rngs: nnx.Rngs | nnx.RngStream | bool = True,
    ):
        """Wraps a cell.

        Args:
            cell: whose parameters are used.
            time_major: whether time is the first axis, instead of the last but one.
            return_carry: whether the last state is returned beside all outputs.
            reverse: whether sequences run from their end to their start.
            keep_order: whether outputs then come in the inputs' order.
            keep: what the backward pass keeps, see `ops.rnn`: "y" is lean, "x" accurate where tanh saturates;
                None chooses by the dtype.
            checkpoint: how many steps apart states are kept, those between being computed again, see
                `ops.rnn`; "sqrt" is √T, None keeps all.
            return_sequences: whether the outputs are those of all steps, or of the last alone, (..., m);
                with a checkpoint, memory beside inputs and gradients then grows as √T.
            rngs: source of the `carry` stream; True makes one, False none.

        Raises:
            TypeError: where cell is another module, or return_sequences no bool.
            ValueError: where keep is neither "x" nor "y" nor None.
        """
        if not isinstance(cell, SimpleCell):
            raise TypeError(f"cell must be a SimpleCell of jaxbackprop.layers, got {type(cell).__name__}")
        self.cell = cell
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.keep = as_choice("keep", keep, "x", "y", None)
        self.checkpoint = checkpoint
        self.return_sequences = as_static_bool("return_sequences", return_sequences)
        self.rngs: nnx.RngStream | None
        if isinstance(rngs, bool):
            self.rngs = nnx.RngStream(0, tag="carry") if rngs else nnx.data(None)
        else:
            self.rngs = (rngs.carry if isinstance(rngs, nnx.Rngs) else rngs).fork()

    def __call__(
        self,
        inputs: Float[Array, "..."],
        *,
        initial_carry: Float[Array, "... m"] | None = None,
        seq_lengths: Int[Array, "..."] | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> Any:
        """Runs the cell.

        Args:
            inputs: (..., T, n), or (T, ..., n) where time is the first axis.
            initial_carry: (..., m), the state before the first step; None for zeros.
            seq_lengths: (...), the steps of every sequence; None for T.
            return_carry: overrides the constructor's, as do the rest.
            time_major: see the constructor.
            reverse: see the constructor.
            keep_order: see the constructor.
            rngs: see the constructor.

        Returns:
            The outputs, (..., T, m) or (T, ..., m), or (..., m) of the last step; or the pair (last state,
            outputs).

        Raises:
            TypeError: where checkpoint is neither a string nor an integer.
            ValueError: where shapes do not fit, or checkpoint is no number of steps.
        """
        return_carry = self.return_carry if return_carry is None else return_carry
        time_major = self.time_major if time_major is None else time_major
        reverse = self.reverse if reverse is None else reverse
        keep_order = self.keep_order if keep_order is None else keep_order
        if inputs.ndim < 2:
            raise ValueError(f"inputs must have an axis of steps and one of features, got {inputs.shape}")
        x = jnp.moveaxis(inputs, 0, -2) if time_major else inputs
        batch, steps = x.shape[:-2], x.shape[-2]
        mask = None
        if seq_lengths is not None:
            if seq_lengths.shape != batch:
                raise ValueError(f"seq_lengths must have shape {batch}, got {seq_lengths.shape}")
            mask = lax.broadcasted_iota(jnp.int32, x.shape[:-1], len(batch)) < seq_lengths[..., None]
        if initial_carry is None:
            initial_carry = self.cell.initialize_carry(
                (*batch, x.shape[-1]), self.rngs if rngs is None else rngs
            )
        if reverse:
            x = flip_sequences(x, seq_lengths, num_batch_dims=len(batch), time_major=False)
        y = self.cell.run(x, initial_carry, mask, self.keep, self.checkpoint, self.return_sequences)
        if not self.return_sequences:
            return (y, y) if return_carry else y
        carry = y[..., -1, :] if steps else initial_carry.astype(y.dtype)
        if reverse and keep_order:
            y = flip_sequences(y, seq_lengths, num_batch_dims=len(batch), time_major=False)
        y = jnp.moveaxis(y, -2, 0) if time_major else y
        return (carry, y) if return_carry else y

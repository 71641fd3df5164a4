"""A language model for large vocabularies: word vectors, a recurrent layer, a head without logits."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxbackprop import ops
from jaxbackprop.layers import RNN, Embed, Linear, SimpleCell


class LanguageModel(nnx.Module):
    """Words so far -> word vectors -> states of a recurrent layer -> the next word.

    With word vectors e(w) the states are ``h_t = tanh(W_h h_{t-1} + W_x e(w_t) + b)``, and the next word has
    the probabilities ``softmax(E U h_t + c)``: U takes a state to the length of a word vector, and E is the
    table of word vectors itself unless `tied` is False.

    Attributes:
        words: `Embed`, the table of word vectors.
        recurrent: `RNN` of a `SimpleCell`.
        projection: `Linear` from the state to a word vector's length.
        output: `Embed` whose rows are the output weights; None where the word vectors are.
        bias: one number a word.
    """

    def __init__(
        self,
        *,
        num_words: int,
        word_dim: int,
        hidden: int,
        tied: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters.

        Args:
            num_words: V, rows of the table.
            word_dim: length of a word vector.
            hidden: units of the recurrent layer.
            tied: whether the table of word vectors is the output's weights too.
            dtype: of the computation; None takes the parameters'.
            param_dtype: of the parameters.
            rngs: source of the `params` keys.

        Raises:
            ValueError: where a size is below 1.
        """
        for name, size in {"num_words": num_words, "word_dim": word_dim, "hidden": hidden}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, not {size}")

        def table() -> Embed:
            return Embed(num_words, word_dim, dtype=dtype, param_dtype=param_dtype, rngs=rngs)

        self.dtype = dtype
        self.words = table()
        cell = SimpleCell(word_dim, hidden, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.recurrent = RNN(cell, rngs=False)
        self.projection = Linear(hidden, word_dim, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.output = nnx.data(None) if tied else table()
        self.bias = nnx.Param(jnp.zeros((num_words,), param_dtype))

    def __call__(self, ids: Int[Array, "... T"]) -> Float[Array, "... T d"]:
        """What is compared with every word's output vector to score it as the next: one vector a place."""
        return self.projection(self.recurrent(self.words(ids)))

    def head(self) -> tuple[Float[Array, "V d"], Float[Array, " V"]]:
        """Weights and bias of the scores of all words."""
        table = self.words if self.output is None else self.output
        weights, bias = promote_dtype((table.embedding[...], self.bias[...]), dtype=self.dtype)
        return weights, bias


def language_model_loss(
    model: LanguageModel,
    ids: Int[Array, "... T"],
    *,
    ignore_id: int | None = None,
    chunk: int | Literal["auto", "lean", "fast"] = "auto",
) -> Float[Array, ""]:
    """Mean cross-entropy of each word after the first, given those before it.

    The scores of all words at all places never exist at once; see `ops.linear_softmax_cross_entropy`.

    Args:
        model: the language model.
        ids: sequences of T words, T at least 2.
        ignore_id: words that are not to be predicted (padding); they are read, so they need a vector.
        chunk: places scored at a time.

    Returns:
        A scalar, in nats a word.

    Raises:
        ValueError: where a sequence has fewer than two words.
    """
    if ids.ndim == 0 or ids.shape[-1] < 2:
        raise ValueError(f"ids must be sequences of two words at least, got shape {ids.shape}")
    W, bias = model.head()
    return ops.linear_softmax_cross_entropy(
        model(ids[..., :-1]), W, ids[..., 1:], bias, ignore_label=ignore_id, chunk=chunk
    )


def next_word_log_probabilities(model: LanguageModel, ids: Int[Array, "... T"]) -> Float[Array, "... V"]:
    """Log-probabilities of every word to come after the last of each sequence."""
    W, bias = model.head()
    return jax.nn.log_softmax(ops.linear(model(ids)[..., -1, :], W, bias))

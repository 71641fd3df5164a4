"""What is put on BERT's encoder: a class a sequence, or a tag a word."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from jaxbackprop import ops
from jaxbackprop.layers import Dropout, Linear

from ._encoder import Bert

NO_WORD = -1


class BertClassifier(nnx.Module):
    """Bert's pooled vector -> dropout -> one logit a class, as on the lecture's slide.

    Attributes:
        bert: the encoder, which is trained with the rest unless it is frozen.
        classifier: `Linear` from hidden_size to the classes.

    Source: lecture, unit 1 "A pitfall when retraining word vectors" (BERTClassifier).
    """

    def __init__(
        self,
        bert: Bert,
        num_classes: int = 2,
        dropout: float | None = None,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the classifier's weights.

        Args:
            bert: the encoder.
            num_classes: C, at least 1.
            dropout: probability of dropping an entry of the pooled vector; None takes the encoder's.
            dtype: of the logits; None takes the parameters' and the encoder's.
            param_dtype: of the classifier's parameters.
            rngs: source of the `params` keys.
        """
        self.bert = bert
        self.dropout, self.classifier = _head(
            bert, "num_classes", num_classes, dropout, dtype, param_dtype, rngs
        )

    def __call__(
        self,
        input_ids: Int[ArrayLike, "B T"],
        token_type_ids: Int[ArrayLike, "B T"] | None = None,
        attention_mask: Int[ArrayLike, "B T"] | None = None,
        *,
        key: jax.Array | None = None,
    ) -> Float[Array, "B C"]:
        """One logit a class; see `Bert` for the arguments."""
        encoder_key, head_key = (None, None) if key is None else jax.random.split(key)
        _, pooled = self.bert(input_ids, token_type_ids, attention_mask, key=encoder_key)
        return self.classifier(self.dropout(pooled, deterministic=key is None, rngs=head_key))


class BertTagger(nnx.Module):
    """The vector of each word's first piece -> dropout -> one logit a tag.

    Attributes:
        bert: the encoder.
        classifier: `Linear` from hidden_size to the tags.

    Source: Devlin et al. 2019, section 5.3.
    """

    def __init__(
        self,
        bert: Bert,
        num_tags: int,
        dropout: float | None = None,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the classifier's weights; see `BertClassifier` for the arguments."""
        self.bert = bert
        self.dropout, self.classifier = _head(bert, "num_tags", num_tags, dropout, dtype, param_dtype, rngs)

    def __call__(
        self,
        input_ids: Int[ArrayLike, "B T"],
        first_pieces: Int[ArrayLike, "B W"],
        token_type_ids: Int[ArrayLike, "B T"] | None = None,
        attention_mask: Int[ArrayLike, "B T"] | None = None,
        *,
        key: jax.Array | None = None,
    ) -> Float[Array, "B W C"]:
        """Scores every tag for every word.

        Args:
            input_ids: the pieces of W words a sequence.
            first_pieces: the place of each word's first piece, in [0, T); -1 where a sequence has no more
                words, whose logits say nothing.
            token_type_ids: see `Bert`.
            attention_mask: see `Bert`.
            key: random key of the dropouts; without one nothing is dropped.

        Returns:
            The logits.

        Raises:
            TypeError, ValueError: an array does not fit.
        """
        encoder_key, head_key = (None, None) if key is None else jax.random.split(key)
        sequence, _ = self.bert(input_ids, token_type_ids, attention_mask, key=encoder_key)
        batch, steps, size = sequence.shape
        first = jnp.asarray(first_pieces)
        if first.ndim != 2 or first.shape[0] != batch:
            raise ValueError(f"first_pieces must have shape ({batch}, words), got {first.shape}")
        # A place out of range must not read from the next sequence.
        inside = (first >= 0) & (first < steps)
        rows = first + jnp.arange(batch, dtype=first.dtype)[:, None] * steps
        rows = jnp.where(inside, rows, jnp.where(first == NO_WORD, NO_WORD, batch * steps))
        words = ops.embedding(sequence.reshape(batch * steps, size), rows, padding_id=NO_WORD)
        return self.classifier(self.dropout(words, deterministic=key is None, rngs=head_key))


def _head(
    bert: Bert,
    name: str,
    outputs: int,
    dropout: float | None,
    dtype: DTypeLike | None,
    param_dtype: DTypeLike,
    rngs: nnx.Rngs,
) -> tuple[Dropout, Linear]:
    if outputs < 1:
        raise ValueError(f"{name} must be at least 1, not {outputs}")
    config = bert.config
    linear = Linear(
        config.hidden_size,
        outputs,
        kernel_init=nnx.initializers.normal(config.initializer_range),
        dtype=dtype,
        param_dtype=param_dtype,
        rngs=rngs,
    )
    return Dropout(config.hidden_dropout_prob if dropout is None else dropout), linear

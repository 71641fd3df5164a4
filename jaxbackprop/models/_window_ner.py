"""The lecture's window classifier for named entities: one label a word, from the words around it."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import he_uniform, xavier_uniform
from jaxtyping import Array, Float, Int

from jaxbackprop import ops
from jaxbackprop._precision import accumulator
from jaxbackprop.layers import BatchNorm, Dropout, Embed, Linear, PReLU

# Half of a relu's inputs do not pass, which He's initialization makes up for.
_LIKE_RELU = ("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "softplus")
ACTIVATIONS = ("tanh", "hardtanh", "sigmoid", *_LIKE_RELU)
PADDING_ID = -1
# He et al. 2015.
_FIRST_SLOPE = 0.25
# The scale of GloVe's numbers, so that no feature drowns another.
_UNIT_NORMAL = nnx.initializers.normal(1.0)
MASK = "mask"
"""The entry of a batch that is False for rows that only fill it up; without it every row is an example."""
_FEATURES = ("words", "shapes", "prefixes", "suffixes")


class WindowNER(nnx.Module):
    """Window of 2m + 1 words -> lookup tables -> hidden layer -> one logit a tag.

    Each word of the window is its word vector and, as in Collobert et al. (2011), the vectors of its
    capitalisation, of its first and of its last letters. The window's vectors are concatenated,
    ``h = f(W x + b)`` is the hidden layer, and the logits are linear in ``h``. Dropout acts on ``x``
    and on ``h``. With batch normalization it is ``h = f(BN(W x))``; as dropout it takes note of the key:
    with one it normalizes by the batch, whose statistics it averages, without one by the averages.

    A word id of -1 is a place outside the sentence: it reads as zeros.

    Args:
        num_words: rows V of the table of word vectors.
        word_dim: length of a word vector.
        num_shapes, num_prefixes, num_suffixes: rows of the tables of the discrete features.
        shape_dim: length of a capitalisation vector; 0 leaves the feature out.
        affix_dim: length of the vector of a prefix, and of a suffix; 0 leaves both out.
        window: m, the words taken on either side.
        hidden: units of the hidden layer.
        num_tags: C, the classes.
        activation: f, an operator's name: ``tanh``, ``hardtanh``, ``sigmoid`` (Xavier initialization),
            ``relu``, ``leaky_relu``, ``prelu`` (its slope is trained), ``elu``, ``gelu``, ``silu`` or
            ``softplus`` (He initialization).
        dropout: probability with which a hidden unit is zeroed in training, in [0, 1).
        input_dropout: the same for each number of the concatenated window.
        batch_norm: whether the hidden layer's inputs to f are normalized over the batch.
        weight_init: initializer of the weights of both linear layers; None takes the activation's for the
            hidden layer, and Xavier's for the logits.
        word_init: initializer of the word vectors; a table of given vectors is one that returns it.
        dtype: dtype of the computation; None takes that of the parameters.
        param_dtype: dtype of the parameters.
        rngs: random streams; ``params`` draws the initial parameters.

    Raises:
        ValueError: an unknown activation, or a size that is out of range.

    Source: lecture, unit 1 "Derivative wrt a weight matrix" (named entities) and "Deriving gradient wrt
        words" (windows); Collobert et al. 2011, JMLR 12.
    """

    def __init__(
        self,
        *,
        num_words: int,
        word_dim: int,
        num_shapes: int,
        num_prefixes: int,
        num_suffixes: int,
        num_tags: int,
        shape_dim: int = 5,
        affix_dim: int = 10,
        window: int = 2,
        hidden: int = 300,
        activation: str = "tanh",
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        batch_norm: bool = False,
        weight_init: nnx.Initializer | None = None,
        word_init: nnx.Initializer = _UNIT_NORMAL,
        dtype: jax.typing.DTypeLike | None = None,
        param_dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        sizes = {"num_words": num_words, "word_dim": word_dim, "num_tags": num_tags, "hidden": hidden}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, not {size}")
        for name, size in {"window": window, "shape_dim": shape_dim, "affix_dim": affix_dim}.items():
            if size < 0:
                raise ValueError(f"{name} must be at least 0, not {size}")

        self.window = window
        self.activation = activation

        def embed(rows: int, features: int, init: nnx.Initializer = _UNIT_NORMAL) -> Embed:
            return Embed(
                rows,
                features,
                dtype=dtype,
                param_dtype=param_dtype,
                embedding_init=init,
                padding_id=PADDING_ID,
                rngs=rngs,
            )

        self.words = embed(num_words, word_dim, word_init)
        self.shapes = embed(num_shapes, shape_dim) if shape_dim else None
        self.prefixes = embed(num_prefixes, affix_dim) if affix_dim else None
        self.suffixes = embed(num_suffixes, affix_dim) if affix_dim else None
        inputs = (2 * window + 1) * (word_dim + shape_dim + 2 * affix_dim)
        self.input_dropout = Dropout(input_dropout)
        self.hidden = Linear(
            inputs,
            hidden,
            dtype=dtype,
            param_dtype=param_dtype,
            kernel_init=weight_init or (he_uniform() if activation in _LIKE_RELU else xavier_uniform()),
            # The mean that is taken off takes a bias with it.
            use_bias=not batch_norm,
            rngs=rngs,
        )
        self.batch_norm = (
            BatchNorm(hidden, dtype=dtype, param_dtype=param_dtype, rngs=rngs) if batch_norm else None
        )
        self.prelu = (
            PReLU(_FIRST_SLOPE, dtype=dtype, param_dtype=param_dtype) if activation == "prelu" else None
        )
        self.dropout = Dropout(dropout)
        self.output = Linear(
            hidden,
            num_tags,
            dtype=dtype,
            param_dtype=param_dtype,
            kernel_init=weight_init or xavier_uniform(),
            rngs=rngs,
        )

    def __call__(
        self, batch: Mapping[str, Int[Array, "batch width"]], *, key: jax.Array | None = None
    ) -> Float[Array, "batch tags"]:
        """Score every tag for the word in the middle of each window.

        Args:
            batch: ``words``, ``shapes``, ``prefixes`` and ``suffixes``, each ids of shape (B, 2m + 1),
                -1 outside the sentence; perhaps ``mask``, bool of shape (B,), whose False rows are kept out
                of the statistics of batch normalization. Other entries are ignored.
            key: random key of the dropout masks; without one nothing is dropped, and batch normalization
                uses its averages.

        Returns:
            Logits of shape (B, C).

        Raises:
            ValueError: the windows are not 2m + 1 wide.
        """
        width = 2 * self.window + 1
        if batch["words"].shape[-1] != width:
            raise ValueError(
                f"words has shape {batch['words'].shape} but the model's windows are {width} words wide"
            )
        tables = {name: getattr(self, name) for name in _FEATURES}
        pieces = [table.window(batch[name]) for name, table in tables.items() if table is not None]
        keys = (None, None) if key is None else jax.random.split(key)
        x = jnp.concatenate(pieces, axis=-1)
        x = self.input_dropout(x, deterministic=key is None, rngs=keys[0])
        z = self.hidden(x)
        if self.batch_norm is not None:
            mask = batch[MASK][:, None] if MASK in batch else None
            z = self.batch_norm(z, use_running_average=key is None, mask=mask)
        h = getattr(ops, self.activation)(z) if self.prelu is None else self.prelu(z)
        h = self.dropout(h, deterministic=key is None, rngs=keys[1])
        return self.output(h)


def window_ner_loss(
    model: WindowNER,
    batch: Mapping[str, Array],
    l2_strength: float,
    *,
    key: jax.Array | None = None,
) -> Float[Array, ""]:
    """Mean cross-entropy over the batch's words, plus L2 on the weights of the two linear layers.

    Args:
        model: the classifier.
        batch: the model's input and ``labels``, int of shape (B,); rows where ``mask`` is False do not count.
        l2_strength: lambda of the penalty lambda * sum(W^2); 0 leaves it out.
        key: random key of the dropout mask; without one the loss is deterministic.

    Returns:
        A scalar, in nats a word (and the penalty).
    """
    logits = model(batch, key=key)
    losses = ops.softmax_cross_entropy(logits.astype(accumulator(logits.dtype)), batch["labels"])
    if MASK in batch:
        examples = jnp.where(batch[MASK], losses, jnp.zeros((), losses.dtype))
        loss = jnp.sum(examples) / jnp.sum(batch[MASK], dtype=losses.dtype)
    else:
        loss = jnp.mean(losses)
    if l2_strength == 0:
        return loss
    penalty = ops.l2(nnx.to_pure_dict(nnx.state(model, nnx.Param)), l2_strength)
    return ops.add(loss.astype(penalty.dtype), penalty)

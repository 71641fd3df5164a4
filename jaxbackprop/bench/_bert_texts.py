"""Labelled sentences as batches of like lengths, and what a frozen BERT makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from jaxbackprop.data import Labelled
from jaxbackprop.finetune import BertDataset
from jaxbackprop.models import MASK, Bert, BertClassifier, class_logits
from jaxbackprop.pretrained import BertTokenizer

# Padded to one of few lengths, a short sentence costs little and few programs are compiled.
WIDTHS = (16, 32, 48)
_ROWS = 64
_INPUTS = ("input_ids", "token_type_ids", "attention_mask")


class EncodedTexts:
    """Sentences as pieces.

    Attributes:
        labels: (N,), int32.
        vectors: (N, H), the mean of the frozen encoder's vectors over a sentence's pieces.
        pooled: (N, H), the frozen encoder's pooled vectors.
    """

    def __init__(
        self, rows: Sequence[Labelled], labels: Sequence[str], tokenizer: BertTokenizer, bert: Bert
    ) -> None:
        """Encodes them; what is longer than the last of `WIDTHS` is cut.

        Args:
            rows: N sentences with their labels.
            labels: the names of all labels.
            tokenizer: text to pieces.
            bert: the frozen encoder.
        """
        at = {name: place for place, name in enumerate(Labelled._fields)}
        longest = min(WIDTHS[-1], bert.config.max_position_embeddings)
        found = BertDataset(
            rows, at["sentence"], at["label"], tokenizer, longest, pad=True, labels=labels
        ).arrays
        self.labels = found.pop("labels")
        self._pieces = found
        self._width = np.searchsorted(WIDTHS, found["attention_mask"].sum(1))
        self.vectors, self.pooled = self._frozen(bert)

    def batches(
        self, rows: Int[np.ndarray, "n"], size: int, rng: np.random.Generator
    ) -> Iterator[dict[str, np.ndarray]]:
        """Some of the sentences in batches for `jaxbackprop.finetune.classifier_loss`, once each.

        Args:
            rows: which.
            size: sentences a batch; the last one is filled up with what its mask leaves out.
            rng: draws who shares a batch, among sentences of like length, and the order of the batches.
        """
        ordered = rows[np.lexsort((rng.random(len(rows)), self._width[rows]))]
        groups = [ordered[begin : begin + size] for begin in range(0, len(ordered), size)]
        for at in rng.permutation(len(groups)):
            chosen = groups[at]
            filled = np.resize(chosen, size)
            yield {
                **self._cut(filled, int(self._width[chosen].max())),
                "pooled": self.pooled[filled],
                "labels": self.labels[filled],
                MASK: np.arange(size) < len(chosen),
            }

    def predicted(self, model: BertClassifier, *, frozen: bool) -> Int[np.ndarray, "N"]:
        """The class that a model gives each sentence.

        Args:
            model: the classifier.
            frozen: whether its encoder is the frozen one, whose vectors are there.
        """
        if frozen:
            return np.asarray(model.classifier(jnp.asarray(self.pooled))).argmax(-1)
        found = np.zeros(len(self.labels), np.int64)
        for width in np.unique(self._width):
            rows = np.flatnonzero(self._width == width)
            found[rows] = class_logits(model, self._cut(rows, width)).argmax(-1)
        return found

    def _cut(self, rows: Int[np.ndarray, "n"], width: int) -> dict[str, np.ndarray]:
        return {name: self._pieces[name][rows, : WIDTHS[width]] for name in _INPUTS}

    def _frozen(self, bert: Bert) -> tuple[Float[np.ndarray, "N H"], Float[np.ndarray, "N H"]]:
        graphdef, state = nnx.split(bert)
        vectors = np.zeros((len(self.labels), bert.config.hidden_size), np.float32)
        pooled = np.zeros_like(vectors)
        for width in np.unique(self._width):
            rows = np.flatnonzero(self._width == width)
            for begin in range(0, len(rows), _ROWS):
                chosen = rows[begin : begin + _ROWS]
                inputs = self._cut(np.resize(chosen, _ROWS), width)
                mean, first = _sentence_vectors(graphdef, state, inputs)
                vectors[chosen], pooled[chosen] = mean[: len(chosen)], first[: len(chosen)]
        return vectors, pooled


@partial(jax.jit, static_argnums=0)
def _sentence_vectors(
    graphdef: nnx.GraphDef[Any], state: nnx.State, inputs: dict[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    sequence, pooled = nnx.merge(graphdef, state)(**inputs)
    counted = inputs["attention_mask"][:, :, None].astype(sequence.dtype)
    return jnp.sum(sequence * counted, 1) / jnp.sum(counted, 1), pooled

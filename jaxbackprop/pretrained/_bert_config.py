"""What a BERT is made of, in the words of Hugging Face's config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jaxbackprop.data import DataError

from ._json_file import read_object

# The names of a feed-forward layer's activation there, and ours; gelu is exact, the new ones approximate.
HIDDEN_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
# Fields that change what the encoder computes, and the one value under which it computes what ours does.
_ONLY = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "quantization_config": None,
}
_MOST = 1 << 20
# Sizes a folder may ask for; the largest BERT that was published has 24 layers of 1024.
_RANGES = {
    "vocab_size": (1, 1 << 24),
    "hidden_size": (1, 1 << 15),
    "num_hidden_layers": (0, 1024),
    "num_attention_heads": (1, 1 << 15),
    "intermediate_size": (1, 1 << 17),
    "max_position_embeddings": (1, _MOST),
    "type_vocab_size": (1, _MOST),
}
_PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The sizes of a BERT; names and defaults are those of Hugging Face's `BertConfig`.

    Attributes:
        vocab_size: V, pieces of words.
        hidden_size: H, length of a vector.
        num_hidden_layers: layers of the encoder.
        num_attention_heads: heads of each, a divisor of H.
        intermediate_size: units between the two maps of a layer's feed-forward part.
        hidden_act: what acts on these: gelu (exact), gelu_new (by tanh), relu, silu, and their other names.
        hidden_dropout_prob: of dropout after the embeddings and each part of a layer, in [0, 1).
        attention_probs_dropout_prob: of the attention weights' dropout, in [0, 1).
        max_position_embeddings: pieces in the longest sequence.
        type_vocab_size: kinds of segments, 2 where sentences come in pairs.
        layer_norm_eps: added to the variance.
        initializer_range: standard deviation of weights that are drawn.

    Raises:
        ValueError: a value is out of its range; it is named.
        TypeError: a value is of another type.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r:.60}")
            if not least <= value <= most:
                raise ValueError(f"{name} must lie in [{least}, {most}], not {_shown(value)}")
        for name in (*_PROBABILITIES, "layer_norm_eps", "initializer_range"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise TypeError(f"{name} must be a number, not {value!r:.60}")
            if not (math.isfinite(value) and 0 <= value < 1):
                raise ValueError(f"{name} must lie in [0, 1), not {value:g}")
        if not isinstance(self.hidden_act, str) or self.hidden_act not in HIDDEN_ACTIVATIONS:
            known = ", ".join(HIDDEN_ACTIVATIONS)
            raise ValueError(f"hidden_act must be one of {known}, not {self.hidden_act!r:.60}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads must divide hidden_size {self.hidden_size}, "
                f"got {self.num_attention_heads}"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BertConfig:
        """Those of a config.json; fields that say nothing of the encoder are passed over.

        Raises:
            ValueError: a field asks for what this encoder does not do; or see the class.
            TypeError: see the class.
        """
        for name, only in _ONLY.items():
            if (value := values.get(name, only)) != only:
                raise ValueError(f"{name} is {value!r:.60}, and only {only!r} is supported")
        if values.get("pruned_heads"):
            raise ValueError("pruned_heads names heads, and none may be pruned")
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, `from_dict`'s way back."""
        return {"model_type": "bert", **asdict(self)}


def read_config(folder: Path) -> BertConfig:
    """The sizes that a folder's config.json says.

    Raises:
        DataError: it is missing or not what it should be.
    """
    path = folder / "config.json"
    values = read_object(path)
    try:
        return BertConfig.from_dict(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None


def _shown(number: int) -> str:
    digits = len(str(number)) if abs(number) < 10**30 else 31
    return str(number) if digits < 20 else "an integer of 20 digits or more"

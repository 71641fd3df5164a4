"""Hugging Face folders made on the spot: a tiny random BERT whose pieces are Hangul, too."""

import json
import struct

import numpy as np

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "movie", "is", "good", "##s", "##ly", "bad"]
PIECES += ["영화", "좋", "##다", "나쁘", "##는", "재미", "##있", "##없", "!", ".", "a", "b"]
CONFIG = {
    "model_type": "bert",
    "vocab_size": len(PIECES),
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "hidden_act": "gelu",
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}


def tensors(seed=0, config=CONFIG):
    """Random tensors by Hugging Face's names, large enough that each of them matters."""
    draw = np.random.default_rng(seed)
    size, wide = config["hidden_size"], config["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], size),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], size),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], size),
        "embeddings.LayerNorm.weight": (size,),
        "embeddings.LayerNorm.bias": (size,),
        "pooler.dense.weight": (size, size),
        "pooler.dense.bias": (size,),
    }
    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}"
        for name, inputs, outputs in (
            ("attention.self.query", size, size),
            ("attention.self.key", size, size),
            ("attention.self.value", size, size),
            ("attention.output.dense", size, size),
            ("intermediate.dense", size, wide),
            ("output.dense", wide, size),
        ):
            shapes[f"{layer}.{name}.weight"] = (outputs, inputs)
            shapes[f"{layer}.{name}.bias"] = (outputs,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{layer}.{name}.weight"] = shapes[f"{layer}.{name}.bias"] = (size,)
    # A layer norm whose scale is far from 1 hides what it is given.
    means = {name: float(name.endswith("LayerNorm.weight")) for name in shapes}
    return {name: draw.normal(means[name], 0.4, shape).astype(np.float32) for name, shape in shapes.items()}


NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}


def safetensors(arrays):
    """The bytes of a safetensors file, written by hand: a peer of the reader."""
    header, at = {}, 0
    for name, array in arrays.items():
        shape, dtype = list(array.shape), NAMES[array.dtype.name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    return with_header(json.dumps(header), b"".join(array.tobytes() for array in arrays.values()))


def with_header(header, data=b""):
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text)) + text + data


def write_folder(folder, arrays=None, config=CONFIG, pieces=PIECES):
    """Writes a folder and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(
        safetensors(tensors(config=config) if arrays is None else arrays)
    )
    if pieces is not None:
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return folder

"""Hugging Face folders read, and refused."""

import json

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxbackprop.models import load_bert
from jaxbackprop.pretrained import DataError

from .folders import CONFIG, tensors, write_folder

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")
IDS = np.array([[2, 5, 6, 7, 8, 3], [2, 12, 13, 14, 3, 0]], np.int32)
MASK = (IDS != 0).astype(np.int32)


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """What the plain file comes to."""
    return load_bert(write_folder(tmp_path_factory.mktemp("plain")))(IDS, None, MASK)[1]


def old_names(arrays):
    """As BERT's first files name them, under a prefix and beside heads and buffers."""
    renamed = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): a
        for name, a in arrays.items()
    }
    heads = {
        "cls.predictions.bias": np.zeros(3, np.float32),
        "classifier.weight": np.zeros((2, 12), np.float32),
    }
    return heads | renamed | {"bert.embeddings.position_ids": np.arange(16)[None]}


@pytest.mark.parametrize(
    "change", [old_names, lambda arrays: arrays | {"embeddings.position_ids": np.arange(16)}]
)
def test_prefixes_old_names_heads_and_buffers(tmp_path, pooled, change):
    bert = load_bert(write_folder(tmp_path, change(tensors())))
    np.testing.assert_array_equal(bert(IDS, None, MASK)[1], pooled)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_files(tmp_path, pooled, dtype):
    bert = load_bert(write_folder(tmp_path, {name: a.astype(dtype) for name, a in tensors().items()}))
    assert bert.words.embedding[...].dtype == jnp.float32
    np.testing.assert_array_equal(
        bert.words.embedding[...],
        tensors()["embeddings.word_embeddings.weight"].astype(dtype).astype(np.float32),
    )
    np.testing.assert_allclose(bert(IDS, None, MASK)[1], pooled, atol=0.1)


def test_a_missing_pooler_is_drawn_always_the_same_and_said(tmp_path):
    arrays = {name: a for name, a in tensors().items() if not name.startswith("pooler")}
    said = []
    berts = [load_bert(write_folder(tmp_path, arrays), warn=said.append) for _ in range(2)]
    assert "has no pooler" in said[0]
    np.testing.assert_array_equal(*(bert.pooler.kernel[...] for bert in berts))
    assert 0 < np.std(berts[0].pooler.kernel[...]) < 0.05
    assert not berts[0].pooler.bias[...].any()


def test_what_does_not_fit_is_listed(tmp_path):
    arrays = tensors()
    arrays["embeddings.LayerNorm.bias"] = np.zeros(13, np.float32)
    arrays["pooler.dense.bias"] = np.zeros(12, np.int64)
    arrays["encoder.layer.2.output.dense.bias"] = np.zeros(12, np.float32)
    del arrays["encoder.layer.1.intermediate.dense.bias"]
    with pytest.raises(DataError) as caught:
        load_bert(write_folder(tmp_path, arrays))
    for said in (
        "embeddings.LayerNorm.bias has shape (13,), not (12,)",
        "pooler.dense.bias has dtype I64",
        "'encoder.layer.2.output.dense.bias' has no place",
        "encoder.layer.1.intermediate.dense.bias is missing",
    ):
        assert said in str(caught.value)


def test_a_list_of_many_is_cut(tmp_path):
    with pytest.raises(DataError, match="and 32 more$") as caught:
        load_bert(write_folder(tmp_path, {"a": np.zeros(3, np.float32)}))
    assert len(str(caught.value)) < 800


def test_a_vocabulary_that_is_too_large_for_the_table(tmp_path):
    write_folder(
        tmp_path, config=CONFIG | {"vocab_size": 20}, arrays=tensors(config=CONFIG | {"vocab_size": 20})
    )
    with pytest.raises(DataError, match="ids up to 23, but the model has 20 pieces"):
        load_bert(tmp_path)


def test_without_tokenizer_it_is_a_model_all_the_same(tmp_path, pooled):
    bert = load_bert(write_folder(tmp_path, pieces=None))
    np.testing.assert_array_equal(bert(IDS, None, MASK)[1], pooled)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"hidden_act": "mish"}, "hidden_act must be one of"),
        ({"hidden_size": 10**30}, "hidden_size must lie in"),
        ({"num_hidden_layers": -1}, "num_hidden_layers must lie in"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps must be a number"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path, change, said):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(DataError, match=said):
        load_bert(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"layer_norm_eps": NaN}', "NaN, which is no number"),
        ('{"layer_norm_eps": 1e999}', "1e999, which no float holds"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "expected a JSON object, got list"),
        ("{", "expected JSON"),
        ('{"a": "' + "x" * 2_000_000 + '"}', "at most 1,048,576 bytes"),
        ('{"hidden_size": ' + "1" * 5000 + "}", "expected JSON"),
    ],
)
def test_a_config_that_is_no_config(tmp_path, text, said):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=said):
        load_bert(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*config\.json: No such file"):
        load_bert(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(DataError, match=r"cannot read .*model\.safetensors: No such file"):
        load_bert(tmp_path)

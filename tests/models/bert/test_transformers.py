"""Outputs beside those of transformers' BertModel on the same files (extra `bert-test`)."""

import numpy as np
import pytest

from jaxbackprop.models import load_bert
from jaxbackprop.pretrained import asset_folder, load_tokenizer

from .folders import CONFIG, tensors, write_folder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def assert_same(folder, batch):
    theirs = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        named = zip(("input_ids", "token_type_ids", "attention_mask"), batch, strict=True)
        want = theirs(**{name: torch.from_numpy(array).long() for name, array in named})
    sequence, pooled = load_bert(folder)(*batch)
    words = batch[2].astype(bool)
    want_sequence = want.last_hidden_state.numpy()[words]
    np.testing.assert_allclose(np.asarray(sequence)[words], want_sequence, atol=1e-5, rtol=0)
    np.testing.assert_allclose(pooled, want.pooler_output.numpy(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu", "silu"])
@pytest.mark.filterwarnings("ignore")
def test_a_tiny_bert(tmp_path, act):
    config = CONFIG | {"hidden_act": act, "layer_norm_eps": 1e-3}
    folder = write_folder(tmp_path, tensors(3, config), config)
    draw = np.random.default_rng(1)
    ids, types = draw.integers(0, CONFIG["vocab_size"], (3, 9)), draw.integers(0, 2, (3, 9))
    assert_same(folder, (ids, types, (np.arange(9) < [[9], [5], [1]]).astype(int)))


SENTENCES = ["The movie was better than its book.", "영화가 좋다 — naïve, don't you think?", ""]


@pytest.mark.filterwarnings("ignore")
def test_the_real_one():
    folder = asset_folder("bert-mini")
    if not folder.is_dir():
        pytest.skip("jaxbackprop assets bert-mini has not been run")
    found = load_tokenizer(folder).encode(SENTENCES, SENTENCES[::-1], max_length=24)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    want = theirs(SENTENCES, SENTENCES[::-1], padding=True, truncation=True, max_length=24)
    for name, array in found._asdict().items():
        np.testing.assert_array_equal(array, want[name], err_msg=name)
    assert_same(folder, found)

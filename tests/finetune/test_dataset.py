"""The lecture's dataset class."""

import numpy as np
import pytest

from jaxbackprop.finetune import BertDataset
from jaxbackprop.pretrained import load_tokenizer
from tests.models.bert.folders import PIECES, write_folder

pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(write_folder(tmp_path_factory.mktemp("dataset")))


def test_columns_lengths_padding_and_pairs(tokenizer):
    rows = [["1", "영화 좋다", "pos", "a"], ["2", "the movie is good !", "neg", "b"]]
    dataset = BertDataset(rows, 1, 2, tokenizer, 6, pad=True)
    assert (len(dataset), dataset.labels) == (2, ("neg", "pos"))
    ids, types, mask, label = dataset[0]
    assert [PIECES[n] for n in ids] == ["[CLS]", "영화", "좋", "##다", "[SEP]", "[PAD]"]
    np.testing.assert_array_equal(mask, [1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(types, np.zeros(6))
    assert label == 1
    # The longer one is cut.
    assert dataset.arrays["input_ids"].shape == (2, 6)
    assert BertDataset(rows, 1, 2, tokenizer, 32).arrays["input_ids"].shape == (2, 8)
    in_pairs = BertDataset(rows, 1, 2, tokenizer, 12, pair=3, labels=["pos"])
    np.testing.assert_array_equal(in_pairs.arrays["labels"], [0, -1])
    assert in_pairs.arrays["token_type_ids"].sum() == 4

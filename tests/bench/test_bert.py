"""BERT's step beside the same model in plain flax; that they are the same is tests/models/bert's to show."""

import jax
import pytest

from jaxbackprop.bench import _bert
from jaxbackprop.bench._machine import Limits
from jaxbackprop.models import BertConfig

SMALL = BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=16,
)


@pytest.fixture
def promoting():
    """Layers of flax rely on it."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def test_rows_of_time_and_memory(promoting, monkeypatch):
    monkeypatch.setattr(_bert, "torch_device", lambda say: None)
    limits = Limits(bandwidth=1e10, gemm=1e11)
    rows = _bert.at(SMALL, limits, print, case="small", batch=4, steps=8, seconds=0.01)
    assert [(row.peer, row.unit, row.bar) for row in rows] == [
        (_bert.FLAX, "ms", pytest.approx(1 / 0.95)),
        (_bert.FLAX, "bytes", 1.0),
    ]
    assert rows[0].bound == pytest.approx(1e3 * _bert.operations(SMALL, 4, 8) / 1e11)


def test_operations_are_those_of_the_products():
    # Forward: four maps of 16 × 16, two of 16 × 32, scores and sums over 8 places; two backward.
    forward = 32 * 2 * (4 * 16 * 16 + 2 * 16 * 32) + 4 * 2 * 2 * 8 * 8 * 16
    assert _bert.operations(SMALL, 4, 8) == 3 * forward

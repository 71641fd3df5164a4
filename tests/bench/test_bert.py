"""BERT's step beside the same model in plain flax; that they are the same is tests/models/bert's to show."""

import math

import jax
import pytest

from jaxbackprop.bench import _bert
from jaxbackprop.bench._bert_products import _of_a_layer, _operands
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
    said = []
    rows = _bert.at(SMALL, limits, said.append, case="small", batch=4, steps=8, seconds=0.01)
    assert [(row.peer, row.unit, row.bar) for row in rows] == [
        (_bert.FLAX, "ms", pytest.approx(1 / 0.95)),
        (_bert.PRODUCTS, "ms", None),
        (_bert.FLAX, "bytes", 1.0),
    ]
    assert rows[0].bound == pytest.approx(1e3 * _bert.operations(SMALL, 4, 8) / 1e11)
    whole, products = rows[0].ours, rows[1].other
    share = f"small: the matrix products alone take {products / whole:.0%} of our step; "
    assert share + f"{products / rows[0].other:.0%} of {_bert.FLAX}" in said[-1]


def test_operations_are_those_of_the_products():
    # Forward: four maps of 16 × 16, two of 16 × 32, scores and sums over 8 places; two backward.
    forward = 32 * 2 * (4 * 16 * 16 + 2 * 16 * 32) + 4 * 2 * 2 * 8 * 8 * 16
    assert _bert.operations(SMALL, 4, 8) == 3 * forward


def test_products_by_themselves_are_all_that_are_counted():
    operands = _operands(SMALL, 4, 8)
    jaxpr = jax.make_jaxpr(_of_a_layer)(*operands)
    counted = 0
    for equation in jaxpr.jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            ((axes, _), _) = equation.params["dimension_numbers"]
            summed = math.prod(equation.invars[0].aval.shape[axis] for axis in axes)
            counted += 2 * summed * equation.outvars[0].aval.size
    assert counted == _bert.operations(SMALL, 4, 8)

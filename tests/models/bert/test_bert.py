"""The encoder and its heads, beside the same model in plain flax under jax.grad."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop.bench._plain_bert import PlainBert
from jaxbackprop.models import Bert, BertClassifier, BertConfig, BertTagger

SIZES = {
    "vocab_size": 30,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 9,
    "initializer_range": 0.5,
}
CONFIG = BertConfig(**SIZES)


@pytest.fixture(scope="module")
def bert():
    return Bert(CONFIG, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def batch():
    draw = np.random.default_rng(0)
    ids, types = draw.integers(0, 30, (3, 7), np.int32), draw.integers(0, 2, (3, 7), np.int32)
    mask = (np.arange(7) < np.array([[7], [4], [1]])).astype(np.int32)
    return ids, types, mask


@functools.partial(jax.jit, static_argnums=1)
def _compiled(state, graphdef, inputs):
    return nnx.merge(graphdef, state)(*inputs)


def compiled(model, *inputs):
    """What the model gives, by one program, which is sooner there than one an operator."""
    graphdef, state = nnx.split(model)
    return _compiled(state, graphdef, inputs)


def loss(model, ids, types, mask, key=None):
    sequence, pooled = model(ids, types, mask, key=key)
    weights = jnp.asarray(mask, sequence.dtype)[:, :, None]
    return jnp.sum(jnp.sin(sequence) * weights) + jnp.sum(jnp.cos(pooled))


def value_and_grad(model, batch):
    graphdef, state = nnx.split(model)
    return jax.jit(jax.value_and_grad(lambda state: loss(nnx.merge(graphdef, state), *batch)))(state)


def assert_same(ours, twin, batch, rtol, atol):
    nnx.update(twin, nnx.state(ours))
    (value, grads), (plain_value, plain_grads) = value_and_grad(ours, batch), value_and_grad(twin, batch)
    np.testing.assert_allclose(value, plain_value, rtol=rtol)
    grads, plain_grads = nnx.to_pure_dict(grads), nnx.to_pure_dict(plain_grads)
    assert jax.tree.structure(grads) == jax.tree.structure(plain_grads)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=rtol, atol=atol), grads, plain_grads)


def test_value_and_gradients_are_those_of_the_plain_twin(bert, batch):
    with jax.numpy_rank_promotion("allow"):
        assert_same(bert, PlainBert(CONFIG, rngs=nnx.Rngs(1)), batch, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("act", ["gelu", pytest.param("gelu_new", marks=pytest.mark.exhaustive)])
def test_in_float64_they_agree_to_its_digits(batch, act):
    config = BertConfig(**SIZES, hidden_act=act)
    with float64_on_cpu():
        ours = Bert(config, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        twin = PlainBert(config, param_dtype=jnp.float64, rngs=nnx.Rngs(1))
        assert_same(ours, twin, batch, rtol=1e-9, atol=1e-9)


def outside(model, *inputs):
    """The primitives on floating-point operands outside our operators, whose equations are opaque here."""
    graphdef, state = nnx.split(model)
    run = lambda state, key: nnx.merge(graphdef, state)(*inputs, key=key)  # noqa: E731
    jaxpr = jax.make_jaxpr(run)(state, jax.random.key(0))
    others, ours = set(), 0
    for equation in jaxpr.jaxpr.eqns:
        if equation.primitive.name == "custom_vjp_call":
            ours += 1
        elif any(jnp.issubdtype(operand.aval.dtype, jnp.floating) for operand in equation.invars):
            others.add(equation.primitive.name)
    return others, ours


# Sums, shapes, and the choice of the first place: nothing that a derivative would have to be found for.
MOVES = {"add", "broadcast_in_dim", "reshape", "transpose", "slice", "squeeze"}


def test_all_that_is_differentiable_is_one_of_our_operators_or_moves_numbers(bert, batch):
    others, ours = outside(bert, *batch)
    assert others <= MOVES
    # Tables, norm, dropout; pooler, tanh. A layer: six maps, attention, gelu, two norms, two dropouts.
    assert ours == 5 + 2 * 12 + 2
    others, more = outside(BertClassifier(bert, 3, rngs=nnx.Rngs(1)), *batch)
    assert others <= MOVES
    assert more == ours + 2
    first = np.zeros((3, 2), np.int32)
    others, more = outside(BertTagger(bert, 3, rngs=nnx.Rngs(1)), batch[0], first, *batch[1:])
    assert others <= MOVES
    # The words' vectors are read as rows of a table; the pooler is not asked.
    assert more == ours + 3


def test_padding_changes_nothing(bert, batch):
    ids, types, mask = batch
    longer = [np.pad(array, ((0, 0), (0, 2))) for array in batch]
    longer[0][longer[2] == 0] = 17
    sequence, pooled = compiled(bert, ids, types, mask)
    padded, padded_pooled = compiled(bert, *longer)
    words = mask.astype(bool)
    np.testing.assert_allclose(padded[:, :7][words], sequence[words], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(padded_pooled, pooled, rtol=1e-5, atol=1e-6)
    alone, alone_pooled = compiled(bert, ids[1:2, :4], types[1:2, :4])
    np.testing.assert_allclose(sequence[1, :4], alone[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pooled[1], alone_pooled[0], rtol=1e-5, atol=1e-6)


def test_segments_places_and_the_mask_as_bool(bert, batch):
    ids, types, mask = batch
    sequence, pooled = bert(ids, types, mask)
    assert (sequence.shape, pooled.shape) == ((3, 7, 12), (3, 12))
    np.testing.assert_array_equal(bert(ids, types, mask.astype(bool))[0], sequence)
    np.testing.assert_array_equal(bert(ids)[0], bert(ids, np.zeros_like(ids), np.ones_like(ids))[0])
    assert not np.allclose(bert(ids, types)[1], bert(ids)[1])
    assert not np.allclose(bert(ids[:, ::-1])[1], bert(ids)[1])


def test_a_key_drops_and_the_same_key_drops_the_same(bert, batch):
    one, again, other = (bert(*batch, key=jax.random.key(n))[1] for n in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)
    assert not np.allclose(one, bert(*batch)[1])


@pytest.mark.parametrize(
    ("error", "change", "said"),
    [
        (TypeError, {"input_ids": np.zeros((2, 3))}, "input_ids must be integers"),
        (ValueError, {"input_ids": np.zeros(3, int)}, r"input_ids must have shape \(B, T\)"),
        (
            ValueError,
            {"input_ids": np.zeros((2, 10), int)},
            "10 pieces long, and the model knows 9 positions",
        ),
        (ValueError, {"input_ids": np.full((2, 3), 30)}, "30"),
        (ValueError, {"token_type_ids": np.zeros((2, 4), int)}, r"token_type_ids has shape \(2, 4\)"),
        (ValueError, {"token_type_ids": np.full((2, 3), 2)}, "2"),
        (TypeError, {"attention_mask": np.ones((2, 3))}, "attention_mask must be integers"),
        (ValueError, {"attention_mask": np.ones((3, 2), int)}, "attention_mask has shape"),
    ],
)
def test_bad_input_is_named(bert, error, change, said):
    with pytest.raises(error, match=said):
        bert(**{"input_ids": np.zeros((2, 3), int)} | change)


def test_computes_in_half_precision_and_keeps_full(batch):
    half = Bert(CONFIG, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    sequence, pooled = half(*batch)
    assert (sequence.dtype, pooled.dtype) == (jnp.bfloat16, jnp.bfloat16)
    value, grads = value_and_grad(half, batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
    assert np.isfinite(value)


def test_the_classifier_is_the_slides(bert, batch):
    model = BertClassifier(bert, 4, rngs=nnx.Rngs(1))
    logits = model(*batch)
    head = model.classifier
    np.testing.assert_allclose(logits, bert(*batch)[1] @ head.kernel[...] + head.bias[...][None], rtol=1e-5)
    still = BertClassifier(bert, 4, dropout=0.0, rngs=nnx.Rngs(1))
    assert still.dropout.rate == 0
    assert model.dropout.rate == CONFIG.hidden_dropout_prob
    with pytest.raises(ValueError, match="num_classes must be at least 1, not 0"):
        BertClassifier(bert, 0, rngs=nnx.Rngs(0))


def test_the_tagger_reads_each_words_first_piece(bert, batch):
    ids, types, mask = batch
    model = BertTagger(bert, 4, rngs=nnx.Rngs(1))
    first = np.array([[1, 3, 6], [1, 2, -1], [0, -1, -1]], np.int32)
    logits = model(ids, first, types, mask)
    sequence, _ = bert(*batch)
    head = model.classifier
    for row, word, place in ((0, 0, 1), (0, 2, 6), (1, 1, 2), (2, 0, 0)):
        want = sequence[row, place] @ head.kernel[...] + head.bias[...]
        np.testing.assert_allclose(logits[row, word], want, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"first_pieces must have shape \(3, words\)"):
        model(ids, first[:2])
    # A place behind the sequence is no place of the next one.
    with pytest.raises(ValueError, match="21"):
        model(ids, np.full((3, 1), 7, np.int32))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_size": 13}, "num_attention_heads must divide hidden_size 13"),
        ({"vocab_size": 0}, "vocab_size must lie in"),
        ({"hidden_act": "tanhh"}, "hidden_act must be one of gelu"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob must lie in"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps must lie in"),
    ],
)
def test_sizes_out_of_range_are_named(change, said):
    with pytest.raises(ValueError, match=said):
        BertConfig(**SIZES | change)
    with pytest.raises(TypeError, match="hidden_size must be an integer"):
        BertConfig(**SIZES | {"hidden_size": 12.0})

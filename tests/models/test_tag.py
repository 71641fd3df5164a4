"""Tagging in chunks and buckets gives what tagging one sentence at a time gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxbackprop.models import WindowNER, _tag, tag_ids, transitions, viterbi

TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


@pytest.fixture
def model():
    return WindowNER(
        num_words=30,
        word_dim=4,
        num_shapes=3,
        num_prefixes=5,
        num_suffixes=6,
        shape_dim=2,
        affix_dim=3,
        window=1,
        hidden=8,
        num_tags=len(TAGS),
        rngs=nnx.Rngs(0),
    )


def some_windows(words, seed=0):
    rng = np.random.default_rng(seed)
    rows = {"words": 30, "shapes": 3, "prefixes": 5, "suffixes": 6}
    return {name: rng.integers(-1, n, (words, 3)).astype(np.int32) for name, n in rows.items()}


LENGTHS = np.array([1, 40, 3, 0, 17, 16, 2, 33, 1, 5])


def test_valid_tags_equal_those_of_each_sentence_alone(model, monkeypatch):
    monkeypatch.setattr(_tag, "_CHUNK", 64)  # several chunks of words, several groups of sentences
    windows = some_windows(int(LENGTHS.sum()))
    ids = tag_ids(model, windows, LENGTHS, TAGS)
    logits = model({name: jnp.asarray(rows) for name, rows in windows.items()})
    allowed, start = (jnp.asarray(a) for a in transitions(TAGS))
    at = 0
    for length in LENGTHS:
        padded = np.pad(logits[at : at + length], ((0, 40 - length), (0, 0)))
        expected = jax.jit(viterbi)(padded, np.arange(40) < length, allowed, start)
        np.testing.assert_array_equal(ids[at : at + length], expected[:length])
        at += length


def test_greedy_tags_are_the_largest_logits_and_differ_from_valid_ones(model):
    windows = some_windows(int(LENGTHS.sum()))
    logits = np.asarray(model({name: jnp.asarray(rows) for name, rows in windows.items()}))
    ids = tag_ids(model, windows, LENGTHS, TAGS, decode="greedy")
    np.testing.assert_array_equal(ids, logits.argmax(axis=1))
    assert (ids != tag_ids(model, windows, LENGTHS, TAGS)).any()


def test_a_second_corpus_of_like_size_compiles_nothing_new(model):
    tag_ids(model, some_windows(100), [40, 30, 20, 10], TAGS)
    compiled = _tag._viterbi._cache_size(), _tag._logits._cache_size()
    tag_ids(model, some_windows(90, seed=1), [33, 27, 19, 11], TAGS)
    assert (_tag._viterbi._cache_size(), _tag._logits._cache_size()) == compiled


def test_no_sentence_no_tag(model):
    assert tag_ids(model, some_windows(0), [], TAGS).shape == (0,)


def test_bad_arguments_are_named(model):
    with pytest.raises(ValueError, match="decode must be valid or greedy, not 'best'"):
        tag_ids(model, some_windows(3), [3], TAGS, decode="best")
    with pytest.raises(ValueError, match="lengths add up to 2 but windows has 3 rows"):
        tag_ids(model, some_windows(3), [2], TAGS)


def test_a_broken_model_has_no_best_sequence(model):
    model.output.bias[...] = jnp.full(len(TAGS), jnp.nan)
    with pytest.raises(FloatingPointError, match="not finite"):
        tag_ids(model, some_windows(3), [3], TAGS)

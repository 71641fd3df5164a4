"""The best valid sequence, held against every valid sequence there is."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.models import greedy, transitions, viterbi

TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


def is_valid(sequence, tags):
    """BIO read off its definition: I-x stands only behind B-x or I-x."""
    for before, tag in zip(("O", *sequence), sequence, strict=False):
        if tag.startswith("I-") and before not in ("B-" + tag[2:], tag):
            return False
    return all(tag in tags for tag in sequence)


def best_by_enumeration(logits, tags):
    """All sequences; the highest sum; among equals the one that is first read from the end."""
    time = len(logits)
    candidates = [
        ids
        for ids in itertools.product(range(len(tags)), repeat=time)
        if is_valid(tuple(tags[i] for i in ids), tags)
    ]
    return max(
        candidates, key=lambda ids: (sum(logits[t, i] for t, i in enumerate(ids)), [-i for i in ids[::-1]])
    )


@st.composite
def cases(draw):
    tags = draw(st.permutations(TAGS[: draw(st.sampled_from([1, 3, 5]))]))
    time = draw(st.integers(1, 5))
    # Small whole numbers: sums are exact and ties are frequent.
    numbers = st.lists(st.integers(-2, 2), min_size=len(tags), max_size=len(tags))
    logits = draw(st.lists(numbers, min_size=time, max_size=time))
    return tuple(tags), np.array(logits, np.float32)


compiled = jax.jit(viterbi)


@given(case=cases(), filler=st.sampled_from([-7.0, 0.0, 7.0]))
def test_viterbi_finds_the_best_valid_sequence(case, filler):
    tags, logits = case
    allowed, start = (jnp.asarray(a) for a in transitions(tags))
    mask = np.arange(5) < len(logits)
    # What stands in the padding must not matter.
    padded = np.full((5, len(tags)), filler, np.float32)
    padded[: len(logits)] = logits
    path = np.asarray(compiled(padded, mask, allowed, start))
    assert tuple(path[: len(logits)]) == best_by_enumeration(logits, tags)
    assert (path[len(logits) :] == 0).all()


def test_viterbi_is_vmapped_and_jitted_without_a_change():
    allowed, start = (jnp.asarray(a) for a in transitions(TAGS))
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(6, 9, 5)).astype(np.float32))
    mask = jnp.arange(9)[None, :] < jnp.array([9, 1, 4, 8, 2, 9])[:, None]
    together = jax.jit(jax.vmap(viterbi, in_axes=(0, 0, None, None)))(logits, mask, allowed, start)
    alone = [compiled(*sentence, allowed, start) for sentence in zip(logits, mask, strict=True)]
    np.testing.assert_array_equal(together, jnp.stack(alone))


def test_a_sentence_of_many_thousand_words_keeps_its_digits():
    tags = ("O", "B-a", "I-a", "B-b", "I-b")
    allowed, start = transitions(tags)
    logits = np.random.default_rng(0).normal(size=(20_000, 5)).astype(np.float32) * 2 + 8
    got = np.asarray(viterbi(jnp.asarray(logits), jnp.ones(len(logits), bool), allowed, start))
    best, pointers = np.where(start, logits[0].astype(np.float64), -np.inf), []
    for scores in logits[1:].astype(np.float64):
        candidates = best[:, None] + np.where(allowed, 0, -np.inf)
        pointers.append(candidates.argmax(0))
        best = candidates.max(0) + scores
    path = [int(best.argmax())]
    for pointer in reversed(pointers):
        path.append(int(pointer[path[-1]]))
    np.testing.assert_array_equal(got, path[::-1])


def test_a_stray_inside_tag_is_repaired_by_the_score_of_the_whole():
    # Greedily: O, I-a. The valid ways out are O O (3 + 0) and B-a I-a (2 + 5): the second is better.
    logits = jnp.array([[3.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0, 0.0]])
    allowed, start = (jnp.asarray(a) for a in transitions(TAGS))
    assert greedy(logits).tolist() == [0, 2]
    assert viterbi(logits, jnp.ones(2, bool), allowed, start).tolist() == [1, 2]


def test_a_type_without_a_b_tag_is_never_entered():
    allowed, start = (jnp.asarray(a) for a in transitions(("O", "I-a")))
    logits = jnp.array([[0.0, 9.0], [0.0, 9.0]])
    assert viterbi(logits, jnp.ones(2, bool), allowed, start).tolist() == [0, 0]


def test_no_word_no_tag():
    allowed, start = (jnp.asarray(a) for a in transitions(TAGS))
    assert viterbi(jnp.zeros((0, 5)), jnp.zeros(0, bool), allowed, start).shape == (0,)


def test_transitions_are_the_definition():
    allowed, start = transitions(TAGS)
    for i, before in enumerate(TAGS):
        assert start[i] == is_valid((before,), TAGS)
        for j, tag in enumerate(TAGS):
            opened = ("B" + before[1:], before) if before.startswith("I-") else (before,)
            assert allowed[i, j] == is_valid((*opened, tag), TAGS)


def test_greedy_takes_the_first_of_equal_scores():
    assert greedy(jnp.array([[1.0, 1.0], [0.0, 1.0]])).tolist() == [0, 1]


@pytest.mark.parametrize("tags", [("O", "a"), ("O", "B-"), ("O", "E-a"), ("",)])
def test_other_tags_are_refused_by_name(tags):
    with pytest.raises(ValueError, match=repr(tags[-1])):
        transitions(tags)


def test_tags_of_which_none_opens_a_sentence_are_refused():
    with pytest.raises(ValueError, match="no tag"):
        transitions(("I-a",))

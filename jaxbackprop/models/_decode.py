"""From one logit a tag and word to a sequence of tags: greedily, or the best sequence that is valid."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


def transitions(tags: Sequence[str]) -> tuple[Bool[np.ndarray, "tags tags"], Bool[np.ndarray, " tags"]]:
    """Which BIO tag may follow which, and which may open a sentence.

    ``I-x`` continues an entity of type x: it may follow ``B-x`` and ``I-x`` alone, and opens no sentence.
    Every other tag may stand anywhere.

    Args:
        tags: the C tags, ``O``, ``B-type`` or ``I-type``, in the order of the logits.

    Returns:
        ``allowed`` of shape (C, C), where ``allowed[i, j]`` says that tag j may follow tag i, and ``start``
        of shape (C,).

    Raises:
        ValueError: a tag of another form, or tags none of which can open a sentence.
    """
    for tag in tags:
        if tag != "O" and (tag[:2] not in ("B-", "I-") or len(tag) < 3):
            raise ValueError(f"tags must be O, B-type or I-type, not {tag!r}")
    start = np.array([not tag.startswith("I-") for tag in tags], dtype=bool)
    if not start.any():
        raise ValueError(f"no tag of {tuple(tags)} can open a sentence")
    allowed = np.array(
        [[start[j] or before[2:] == tag[2:] for j, tag in enumerate(tags)] for before in tags], dtype=bool
    )
    return allowed, start


def greedy(logits: Float[Array, "*batch tags"]) -> Int[Array, "*batch"]:
    """The best tag of each word by itself; the sequence may be one that no annotator could write.

    Args:
        logits: scores of shape (..., C).

    Returns:
        int32 tag ids of shape (...); of equal scores the first.
    """
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)


def viterbi(
    logits: Float[Array, "time tags"],
    mask: Bool[Array, " time"],
    allowed: Bool[Array, "tags tags"],
    start: Bool[Array, " tags"],
) -> Int[Array, " time"]:
    """The sequence of tags with the highest sum of logits among those the transitions allow.

    The sum of logits and the sum of log-probabilities differ by a constant of each word, so they agree
    on the best sequence. One forward `lax.scan` keeps, for each tag, the best score of a sequence that
    ends in it and where it came from; one backward scan follows the pointers. Where several sequences
    are equally good, the last word takes the first of its tags that ends one of them, and so on
    backwards.

    Args:
        logits: scores of one sentence, shape (T, C), finite.
        mask: which of the T places are words, shape (T,): the words first, then the padding.
        allowed: ``allowed[i, j]``, whether tag j may follow tag i, shape (C, C).
        start: whether a tag may open the sentence, shape (C,).

    Returns:
        int32 tag ids of shape (T,); 0 in the padding.
    """
    if logits.shape[0] == 0:
        return jnp.zeros(0, jnp.int32)
    forbidden = jnp.asarray(-jnp.inf, logits.dtype)
    cost = jnp.where(allowed, 0, forbidden).astype(logits.dtype)
    first = jnp.where(start, logits[0], forbidden)
    stay = jnp.arange(logits.shape[1], dtype=jnp.int32)

    def forward(best: Array, place: tuple[Array, Array]) -> tuple[Array, Array]:
        scores, is_word = place
        candidates = best[:, None] + cost
        came_from = jnp.argmax(candidates, axis=0).astype(jnp.int32)
        reached = jnp.max(candidates, axis=0) + scores
        # Only differences count; a sum over a long sentence would outgrow the digits of its terms.
        reached = reached - jnp.max(reached)
        # In the padding nothing moves: the state of the last word is carried to the end.
        return jnp.where(is_word, reached, best), jnp.where(is_word, came_from, stay)

    best, pointers = jax.lax.scan(forward, first, (logits[1:], mask[1:]))
    last = jnp.argmax(best).astype(jnp.int32)

    def backward(tag: Array, pointer: Array) -> tuple[Array, Array]:
        before = pointer[tag]
        return before, before

    _, earlier = jax.lax.scan(backward, last, pointers, reverse=True)
    path = jnp.concatenate([earlier, last[None]])
    return jnp.where(mask, path, 0)

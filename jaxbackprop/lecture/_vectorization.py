"""Unit 3: the slide's cell, a loop over word vectors against one product."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.bench import Peer, side_by_side, waiting

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict

_TIMES = 10


def _slides_cell(effort: Effort, say: Say) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    N, d, C = 500, 300, 5
    W = rng.random((C, d))
    wordvectors_list = [rng.random((d, 1)) for _ in range(N)]
    wordvectors_one_matrix = np.hstack(wordvectors_list)
    say("NumPy")
    product = Peer("product", lambda: W.dot(wordvectors_one_matrix))
    loop = Peer("loop", lambda: [W.dot(wordvectors_list[i]) for i in range(N)])
    (numpy,) = side_by_side("lecture", "NumPy", product, [loop], seconds=effort.seconds)

    say("jax.jit")
    A, X = jnp.asarray(W, jnp.float32), jnp.asarray(wordvectors_one_matrix, jnp.float32)
    product = Peer("product", waiting(jax.jit(jnp.matmul), (A, X)))
    each = jax.jit(lambda A, vectors: jax.lax.map(lambda vector: A @ vector, vectors))
    loop = Peer("loop", waiting(each, (A, X.T)))
    (compiled,) = side_by_side("lecture", "jit", product, [loop], seconds=effort.seconds)
    return {
        "NumPy, loop (ms)": numpy.other,
        "NumPy, product (ms)": numpy.ours,
        "NumPy, times": list(numpy.ratio),
        "jit, times": list(compiled.ratio),
    }


def _tenfold(figures: Figures) -> Verdict:
    low, middle, high = figures["NumPy, times"]
    figure = f"{middle:.1f} times ({low:.1f} to {high:.1f})"
    compiled = f"compiled by XLA it is {figures['jit, times'][1]:.1f} times"
    if low >= _TIMES:
        return Verdict(Outcome.HOLDS, figure, f"a call costs more than the products in it; {compiled}")
    if middle >= 1.5:
        why = (
            f"faster, not surely ten times: a call of NumPy is what the loop pays for, 500 times; {compiled}"
        )
        return Verdict(Outcome.IN_PART, figure, why)
    return Verdict(Outcome.FAILS, figure, f"the loop is as fast; {compiled}")


CLAIMS = (
    Claim(
        "matrix-product",
        3,
        "Vectorization",
        "One matrix product is ten times as fast as a loop over 500 vectors.",
        _slides_cell,
        _tenfold,
    ),
)

"""`bench head`: linear map and softmax cross-entropy over a large vocabulary, beside autodiff and torch.

What is timed is the loss and its gradients with respect to inputs and weights: a training step's last layer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxbackprop import ops

from ._machine import Limits
from ._measure import Curve, Peer, Row, side_by_side, waiting
from ._memory import temporary_rows
from ._torch import to_its_end, torch_device

Chunk = Literal["lean", "auto", "fast"]
AUTODIFF, TORCH, TORCH_CHUNKED = "jax.grad of optax's loss", "torch", "torch linear_cross_entropy in chunks"
_TOKENS, _INPUTS, _CLASSES = 4096, 256, 50_000
# What is asked for beside autodiff, by chunk: the least ratio of time, and of temporary memory.
_BARS: dict[Chunk, tuple[float | None, float | None]] = {
    "lean": (1 / 1.05, 15.0),
    "auto": (None, None),
    "fast": (1 / 0.85, 4.0),
}
_TORCH_BARS = {TORCH: 1.7, TORCH_CHUNKED: 2.5}
# Growth: tokens of a batch and sizes of the vocabulary, each beside the smaller of the other.
_GROWING_TOKENS, _GROWING_CLASSES, _FEW_TOKENS, _FEW_CLASSES = (
    (256, 512, 1024, 2048),
    (5_000, 10_000, 20_000, 50_000),
    512,
    10_000,
)


def head(limits: Limits, say: Callable[[str], None]) -> list[Row]:
    """Time, temporary memory and products, at the size of a word-level language model.

    Args:
        limits: of the machine.
        say: told the size, and what cannot be measured.
    """
    say(f"head: {_TOKENS} tokens of {_INPUTS} inputs, {_CLASSES} classes, float32; loss and both gradients")
    return at_size(_TOKENS, _INPUTS, _CLASSES, limits, say)


def at_size(
    tokens: int,
    inputs: int,
    classes: int,
    limits: Limits,
    say: Callable[[str], None],
    *,
    chunks: Sequence[Chunk] = tuple(_BARS),
    seconds: float = 5.0,
) -> list[Row]:
    """The rows of one size.

    Args:
        tokens: N.
        inputs: D.
        classes: V.
        limits: of the machine.
        say: told what cannot be measured.
        chunks: settings of ours; torch is held against the last.
        seconds: about how long to measure each.
    """
    given = arguments(tokens, inputs, classes)
    dense = compiled(autodiff_loss, given)
    ours = {chunk: compiled(our_loss(chunk), given) for chunk in chunks}
    # Logits forwards; the gradients of inputs and weights backwards.
    bound = 1e3 * 3 * 2 * tokens * inputs * classes / limits.gemm
    found = []
    for chunk, program in ours.items():
        time_bar, memory_bar = _BARS[chunk]
        peers = [Peer(AUTODIFF, waiting(dense, given), time_bar)]
        if chunk == chunks[-1]:
            peers += torch_peers(given, say)
        case = f"chunk '{chunk}'"
        found += side_by_side(
            "head", case, Peer("ours", waiting(program, given)), peers, seconds=seconds, bound_ms=bound
        )
        found += temporary_rows("head", case, AUTODIFF, program, dense, memory_bar)
    return found


def curves(limits: Limits, say: Callable[[str], None]) -> list[Curve]:
    """Time against the number of tokens, and against the size of the vocabulary."""
    tokens = [(n, _INPUTS, _FEW_CLASSES) for n in _GROWING_TOKENS]
    classes = [(_FEW_TOKENS, _INPUTS, v) for v in _GROWING_CLASSES]
    return [
        Curve(
            f"loss and gradients of the head, V = {_FEW_CLASSES}",
            "tokens N",
            _GROWING_TOKENS,
            _growth(tokens, limits),
        ),
        Curve(
            f"loss and gradients of the head, N = {_FEW_TOKENS}",
            "classes V",
            _GROWING_CLASSES,
            _growth(classes, limits),
        ),
    ]


def _growth(sizes: Sequence[tuple[int, int, int]], limits: Limits) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    for size in sizes:
        rows = at_size(*size, limits, lambda _: None, chunks=("auto",), seconds=0.5)
        timed = [row for row in rows if row.unit == "ms"]
        times.setdefault("ours", []).append(timed[0].ours)
        for row in timed:
            times.setdefault(row.peer, []).append(row.other)
        jax.clear_caches()
    return times


# ---- who does it ------------------------------------------------------------------------------------------


def arguments(tokens: int, inputs: int, classes: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Inputs, weights and labels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((tokens, inputs), np.float32)
    W = rng.standard_normal((classes, inputs), np.float32) / np.float32(inputs**0.5)
    return jnp.asarray(x), jnp.asarray(W), jnp.asarray(rng.integers(0, classes, tokens), jnp.int32)


def our_loss(chunk: Chunk) -> Callable[..., jax.Array]:
    """Ours, in chunks."""
    return functools.partial(ops.linear_softmax_cross_entropy, reduction="mean", chunk=chunk)


def autodiff_loss(x: jax.Array, W: jax.Array, labels: jax.Array) -> jax.Array:
    """The usual formula."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(x @ W.T, labels))


def compiled(loss: Callable[..., jax.Array], given: Sequence[jax.Array]) -> jax.stages.Compiled:
    """The loss and its gradients by x and W."""
    return jax.jit(jax.value_and_grad(loss, (0, 1))).lower(*given).compile()


def torch_peers(given: Sequence[jax.Array], say: Callable[[str], None]) -> list[Peer]:
    """Torch as it is usually written, and its own loss in chunks."""
    device = torch_device(say)
    if device is None:
        return []
    import torch

    x, W, labels = (torch.from_numpy(np.array(a)).to(device) for a in given)
    x.requires_grad_()
    W.requires_grad_()
    labels = labels.long()

    def peer(name: str, loss: Callable[[], Any]) -> Peer:
        def call() -> tuple[Any, Any]:
            x.grad = W.grad = None
            loss().backward()
            return x.grad, W.grad

        return Peer(name, to_its_end(call, device), _TORCH_BARS[name])

    functional = torch.nn.functional
    found = [peer(TORCH, lambda: functional.cross_entropy(x @ W.T, labels))]
    options = getattr(torch.nn, "LinearCrossEntropyOptions", None)
    if options is None:
        say(f"torch {torch.__version__} has no linear_cross_entropy in chunks")
        return found
    chunked = functional.linear_cross_entropy
    return [*found, peer(TORCH_CHUNKED, lambda: chunked(x, W, labels, options=options()))]

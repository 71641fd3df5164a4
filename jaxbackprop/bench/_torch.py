"""torch as a peer: where it computes, when it is done, and how fast it multiplies."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

from ._machine import SIDE

T = TypeVar("T")
_REPEATS = 10


def torch_device(say: Callable[[str], None]) -> str | None:
    """The device on which torch computes beside jax, or None.

    Args:
        say: told why there is none.
    """
    if find_spec("torch") is None:
        say("torch is not installed: nothing is measured beside it")
        return None
    import jax

    platform = jax.default_backend()
    if platform == "cpu":
        return "cpu"
    import torch

    if platform == "gpu" and torch.cuda.is_available():
        return "cuda"
    say(f"torch has no {platform} device: nothing is measured beside it")
    return None


def to_its_end(call: Callable[[], T], device: str) -> Callable[[], T]:
    """The call, and then what it started on the device has ended; it has run once already."""
    import torch

    def synchronized() -> T:
        result = call()
        torch.cuda.synchronize()
        return result

    whole = call if device == "cpu" else synchronized
    whole()
    return whole


def torch_gemm(device: str, *, side: int = SIDE, repeats: int = _REPEATS) -> float:
    """Operations a second in torch's product of two side x side matrices, float32: the best of some runs."""
    import torch

    A = torch.full((side, side), 1 / side, device=device)
    product = to_its_end(lambda: A @ A, device)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        product()
        times.append(time.perf_counter() - began)
    return 2 * side**3 / min(times)

"""The benchmark of the head: who computes what, and the rows; times are not looked at."""

import json

import jax
import numpy as np
import pytest

from jaxbackprop.bench import _head
from jaxbackprop.bench._machine import Limits
from jaxbackprop.bench._memory import temporary_bytes

LIMITS = Limits(bandwidth=1e10, gemm=1e11)
SIZE = (64, 8, 500)


def test_everyone_computes_the_same():
    given = _head.arguments(*SIZE)
    value, grads = _head.compiled(_head.autodiff_loss, given)(*given)
    for chunk in ("lean", "auto", "fast"):
        got, got_grads = _head.compiled(_head.our_loss(chunk), given)(*given)
        np.testing.assert_allclose(got, value, rtol=1e-5)
        for g, w in zip(got_grads, grads, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-6)


def test_torch_computes_the_same():
    pytest.importorskip("torch")
    given = _head.arguments(*SIZE)
    _, grads = _head.compiled(_head.autodiff_loss, given)(*given)
    for peer in _head.torch_peers(given, print):
        for g, w in zip(peer.call(), grads, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-6)


def test_a_row_of_time_and_one_of_memory_a_chunk(monkeypatch):
    monkeypatch.setattr(_head, "torch_peers", lambda given, say: [])
    rows = _head.at_size(*SIZE, LIMITS, print, seconds=0.0)
    assert [(row.case, row.unit, row.peer) for row in rows] == [
        (f"chunk '{chunk}'{what}", unit, _head.AUTODIFF)
        for chunk in ("lean", "auto", "fast")
        for what, unit in (("", "ms"), (": temporary memory", "bytes"))
    ]
    assert [row.bar for row in rows] == [1 / 1.05, 15.0, None, None, 1 / 0.85, 4.0]
    # Three products of 2 N D V operations.
    assert rows[0].bound == pytest.approx(1e3 * 6 * 64 * 8 * 500 / 1e11)
    json.dumps([row.as_json() for row in rows])


def test_torch_that_is_not_there_is_said_once(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    said = []
    rows = _head.at_size(*SIZE, LIMITS, said.append, seconds=0.0)
    assert said == ["torch is not installed: nothing is measured beside it"]
    assert {row.peer for row in rows} == {_head.AUTODIFF}


@pytest.mark.parametrize(("chunk", "least"), [("lean", 15), ("auto", 7), ("fast", 4)])
def test_the_memory_asked_for_at_full_size(chunk, least):
    """Compiled, not run."""
    given = [
        jax.ShapeDtypeStruct(s, d) for s, d in (((4096, 256), "f4"), ((50_000, 256), "f4"), ((4096,), "i4"))
    ]
    ours, dense = (
        temporary_bytes(_head.compiled(loss, given)) for loss in (_head.our_loss(chunk), _head.autodiff_loss)
    )
    assert dense >= least * ours


def test_curves(monkeypatch):
    monkeypatch.setattr(_head, "_GROWING_TOKENS", (8, 16))
    monkeypatch.setattr(_head, "_GROWING_CLASSES", (50, 100))
    monkeypatch.setattr(_head, "_FEW_CLASSES", 50)
    monkeypatch.setattr(_head, "_FEW_TOKENS", 8)
    monkeypatch.setattr(_head, "torch_peers", lambda given, say: [])
    monkeypatch.setattr(_head, "side_by_side", lambda *args, **keywords: rows(*args))

    def rows(benchmark, case, ours, peers):
        return [_head.Row(benchmark, case, peer.name, 1.0, 2.0, (2.0,) * 3, peer.bar) for peer in peers]

    by_tokens, by_classes = _head.curves(LIMITS, print)
    assert (list(by_tokens.x), list(by_classes.x)) == ([8, 16], [50, 100])
    assert by_tokens.values == {"ours": [1.0, 1.0], _head.AUTODIFF: [2.0, 2.0]}
